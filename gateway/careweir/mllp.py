"""HL7 v2 over MLLP, for senders that speak nothing else: a listener that posts to the gateway.

It runs as a process of its own (``careweir mllp``) and knows framing only. Each message goes to
``POST /v1/tools/{tool}/results``, signed with the tool's push secret; the acknowledgement that
comes back is the adapter's, and is sent on as it is. Where the gateway gives none (it is down, it
does not know the sender), the connection is closed without an answer, and the sender keeps its
message and sends it again, as MLLP wants it. Nothing is kept here, nothing of it is logged.

MLLP has no identity: who may send is said by client certificates, or by networks on a wire that is
trusted. Without either, only this machine may.

Source: HL7 v2.5.1 appendix C; Transport Specification: MLLP, Release 1 (0x0B … 0x1C 0x0D).
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import Any

import httpx

from careweir.fanout.wire import Network
from careweir.log import log
from careweir.webhook import signed

START, END, RETURN = b"\x0b", b"\x1c", b"\r"
HL7 = "application/hl7-v2"
CONNECTIONS_MAX = 64
IDLE_S = 300.0  # between messages
FRAME_S = 30.0  # from a message's first byte to its last
CHUNK = 65_536


class BadFrame(Exception):
    """What came is not MLLP, is longer than is read, or stopped half way."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one sender may cost."""

    bytes_max: int = 1_048_576
    connections_max: int = CONNECTIONS_MAX
    idle_s: float = IDLE_S
    frame_s: float = FRAME_S


class Bridge:
    """Hands what one tool's sender says to the gateway, one message at a time a connection."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        tool: str,
        secret: bytes,
        peers: tuple[Network, ...] | None,
        clock: Callable[[], datetime],
        limits: Limits | None = None,
    ) -> None:
        """``peers``: networks that may connect; None where client certificates decide."""
        self._client = client
        self._tool = tool
        self._secret = secret
        self._peers = peers
        self._clock = clock
        self._limits = limits or Limits()
        self._open = 0

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None) -> asyncio.Server:
        """Begin to listen; raises OSError where that is not possible."""
        return await asyncio.start_server(
            self._connected, host, port, ssl=tls, limit=self._limits.bytes_max + CHUNK
        )

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._may_connect(writer.get_extra_info("peername")):
            log.warning("sender refused", tool=self._tool)
            writer.close()
            return
        self._open += 1
        try:
            async for message in frames(reader, self._limits):
                answer = await self._posted(message)
                if answer is None:
                    return
                writer.write(START + answer + END + RETURN)
                await writer.drain()
        except BadFrame as error:
            log.warning("message refused", tool=self._tool, reason=str(error))
        except OSError:
            return  # the sender went away
        finally:
            self._open -= 1
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def _may_connect(self, peer: Any) -> bool:
        if self._open >= self._limits.connections_max:
            return False
        if self._peers is None:
            return True
        address = ip_address(peer[0])
        return address.is_loopback or any(address in network for network in self._peers)

    async def _posted(self, message: bytes) -> bytes | None:
        """The acknowledgement of the tool's adapter, or None where the gateway gave none."""
        name = hashlib.sha256(message).hexdigest()
        headers = {"content-type": HL7, **signed(self._secret, name, message, now=self._clock())}
        path = f"/v1/tools/{self._tool}/results"
        try:
            answer = await self._client.post(path, content=message, headers=headers)
        except httpx.HTTPError as error:
            log.error("gateway not reached", tool=self._tool, error_type=type(error).__name__)
            return None
        media_type = answer.headers.get("content-type", "").partition(";")[0].strip()
        if media_type != HL7 or END in answer.content:
            log.error("message not taken", tool=self._tool, status=answer.status_code)
            return None
        return answer.content


async def frames(reader: asyncio.StreamReader, limits: Limits) -> AsyncIterator[bytes]:
    """The messages of one connection until it ends; raises BadFrame."""
    while await _begun(reader, limits):
        try:
            async with asyncio.timeout(limits.frame_s):
                framed = await reader.readuntil(END + RETURN)
        except (asyncio.IncompleteReadError, TimeoutError):
            raise BadFrame("a message stopped half way") from None
        except asyncio.LimitOverrunError:
            raise BadFrame("a message is longer than is read") from None
        message = framed.removesuffix(END + RETURN)
        if len(message) > limits.bytes_max:
            raise BadFrame("a message is longer than is read")
        if START in message or END in message:
            raise BadFrame("a message within a message")
        yield message


async def _begun(reader: asyncio.StreamReader, limits: Limits) -> bool:
    """Wait for the first byte of a message; False when the connection ended, or was idle."""
    try:
        async with asyncio.timeout(limits.idle_s):
            first = await reader.read(1)
    except TimeoutError:
        return False
    if first not in (b"", START):
        raise BadFrame("no start of a message")
    return bool(first)
