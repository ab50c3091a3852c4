"""A small HTTP/1.1 server on asyncio: the faults need the socket itself, not a framework."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import json
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

from careweir_kit.simulation.faults import (
    DRIP_S,
    ControlRefused,
    Fault,
    State,
    huge_parts,
    spoiled,
)
from careweir_kit.simulation.model import SimRequest, SimResponse, Twist, json_response

CONTROL = "/__control"
HEAD_BYTES_MAX = 65_536
BODY_BYTES_MAX = 64 * 1024 * 1024
TWISTS: Mapping[Fault, Twist] = {"wrong_patient": "wrong_patient", "old_model": "old_model"}


@dataclass(frozen=True, slots=True)
class Vendor:
    """What the server stands for."""

    answer: Callable[[SimRequest], SimResponse]
    seed: int
    bytes_cap: int
    bearer: str | None  # the secret that callers must show; None: nothing is demanded
    auth: Mapping[str, Any] = field(default_factory=dict)  # how: ``auth`` of the tool file


class SimulatorServer:
    """One vendor on one loopback port."""

    def __init__(self, vendor: Vendor, *, latency_ms: int) -> None:
        self._vendor = vendor
        self._memory: dict[str, Any] = {}
        self.state = State(latency_ms=latency_ms, latency_default_ms=latency_ms)

    async def listen(self, port: int) -> tuple[asyncio.Server, int]:
        """Listen on 127.0.0.1; returns the server and its port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=HEAD_BYTES_MAX)
        return server, server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Keep answering on one connection until either side has had enough."""
        try:
            while (request := await _read_request(reader, writer)) is not None:
                if request.path.partition("?")[0] == CONTROL:
                    await _write(writer, self._control(request))
                elif not await self._vendor_call(request, reader, writer):
                    break
        except (ConnectionError, EOFError, asyncio.LimitOverrunError, ValueError):
            pass  # the client went away, or does not speak HTTP
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def _control(self, request: SimRequest) -> SimResponse:
        if request.method == "GET":
            return json_response(200, self.state.view())
        try:
            self.state.set(json.loads(request.body or b"{}"))
        except ControlRefused as refusal:
            return json_response(400, {"error": str(refusal)})
        except ValueError:
            return json_response(400, {"error": "not JSON"})
        return json_response(200, self.state.view())

    async def _vendor_call(
        self, request: SimRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Answer one call; False when the connection is over."""
        if (token := self._token(request)) is not None:
            await _write(writer, token)
            return True
        fault = self.state.take(request)
        request = replace(request, call=self.state.calls)  # its own, however many come meanwhile
        if fault == "hang":
            await reader.read()  # ends when the client gives up
            return False
        if fault == "reset":
            _reset(writer)
            return False
        await asyncio.sleep(self.state.latency_ms / 1000)
        if fault == "huge_body":
            await _write_huge(writer, self._vendor.bytes_cap)
            return False
        response = self._answer(request, fault)
        await (_drip if fault == "slow_drip" else _write)(writer, response)
        return True

    def _answer(self, request: SimRequest, fault: Fault) -> SimResponse:
        if not self._authorised(request):
            return json_response(401, {"error": "unauthorised"})
        twist = TWISTS.get(fault, "none")
        call = replace(
            request,
            seed=self._vendor.seed,
            twist=twist,
            memory=self._memory,
        )
        try:
            healthy = self._vendor.answer(call)
        except (ValueError, KeyError, TypeError, LookupError):
            healthy = json_response(400, {"error": "bad request"})
        return spoiled(fault, healthy, request, self.state)

    def _authorised(self, request: SimRequest) -> bool:
        secret, auth = self._vendor.bearer, self._vendor.auth
        if secret is None:
            return True
        shown = request.headers.get(str(auth.get("header", "Authorization")).lower(), "")
        match auth.get("kind"):
            case "header":
                wanted = f"{auth.get('prefix', '')}{secret}"
            case "oauth2":
                wanted = f"Bearer {_issued(secret)}"
            case _:
                wanted = f"Bearer {secret}"
        return hmac.compare_digest(shown.encode(), wanted.encode())

    def _token(self, request: SimRequest) -> SimResponse | None:
        """The token endpoint of a vendor with OAuth 2.0; None for any other path."""
        secret, auth = self._vendor.bearer, self._vendor.auth
        path = urlsplit(str(auth.get("token_url", ""))).path
        if secret is None or auth.get("kind") != "oauth2" or request.path != f"/{path.strip('/')}":
            return None
        pair = f"{quote(str(auth['client_id']), safe='')}:{quote(secret, safe='')}".encode()
        wanted = f"Basic {base64.b64encode(pair).decode()}"
        granted = "grant_type=client_credentials" in request.body.decode("latin-1").split("&")
        if not granted or request.headers.get("authorization") != wanted:
            return json_response(401, {"error": "invalid_client"})
        token = {"access_token": _issued(secret), "token_type": "Bearer", "expires_in": 300}
        return json_response(200, token)


def _issued(secret: str) -> str:
    """The token that stands for a secret."""
    return hmac.digest(secret.encode(), b"token", "sha256").hex()


async def _read_request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> SimRequest | None:
    """The next request, or None when the client has closed."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, _, rest = first.partition(" ")
    path = rest.partition(" ")[0]
    pairs = (line.partition(":") for line in lines if ":" in line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return SimRequest(method, path, headers, await _read_body(reader, headers), call=0, seed=0)


async def _read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if "chunked" not in headers.get("transfer-encoding", "").lower():
        length = int(headers.get("content-length") or 0)
        return await reader.readexactly(min(length, BODY_BYTES_MAX))
    parts = []
    while size := int((await reader.readline()).partition(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(parts)


def _head(response: SimResponse, *, length: int | None) -> bytes:
    lines = [f"HTTP/1.1 {response.status} {_phrase(response.status)}"]
    lines += [f"content-type: {response.content_type}"] if response.content_type else []
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    lines += ["connection: close"] if length is None else [f"content-length: {length}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Status"


async def _write(writer: asyncio.StreamWriter, response: SimResponse) -> None:
    writer.write(_head(response, length=len(response.body)) + response.body)
    await writer.drain()


async def _drip(writer: asyncio.StreamWriter, response: SimResponse) -> None:
    """A byte at a time: every read succeeds, the answer never comes within a deadline."""
    whole = _head(response, length=len(response.body)) + response.body
    for position in range(len(whole)):
        writer.write(whole[position : position + 1])
        await writer.drain()
        await asyncio.sleep(DRIP_S)


async def _write_huge(writer: asyncio.StreamWriter, bytes_cap: int) -> None:
    writer.write(_head(SimResponse(200, b""), length=None))
    for part in huge_parts(bytes_cap):
        writer.write(part)
        await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with a TCP RST instead of a FIN."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
