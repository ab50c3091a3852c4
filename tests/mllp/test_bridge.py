"""A sender of HL7 v2 over MLLP, a bridge, and a gateway: over real sockets."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
import yaml

from careweir.fanout.wire import Network, read_networks
from careweir.mllp import END, RETURN, START, Bridge, Limits
from support.charts import chest
from support.inprocess import InProcess, bearer, gateway, simulated
from support.paths import ROOT

TOOL, SECRET = "relay-cxr", "a secret that both sides hold"
HL7 = {"content-type": "application/hl7-v2"}


def site(folder: Path) -> dict[str, Any]:
    """The shipped policies with this tool turned on, and its secret."""
    config = folder / "policies"
    shutil.copytree(ROOT / "policies", config)
    file = config / "tools" / f"{TOOL}.yaml"
    tool = yaml.safe_load(file.read_text()) | {"lifecycle": "live", "push": {"secret": "RELAY"}}
    file.write_text(yaml.safe_dump(tool))
    (folder / "secrets").mkdir()
    (folder / "secrets" / "RELAY").write_text(SECRET)
    return {"config": config, "secrets_dir": folder / "secrets"}


async def late_message(up: InProcess, vendor: Any) -> tuple[str, bytes]:
    """A question for which the vendor was too slow, and what it would have said."""
    vendor.state.set({"fault": "hang", "count": 1})
    asked = await up.ask(chest(deadline_ms=700, tools=[TOOL]), role="radiologist")
    sent = vendor.state.received[-1]
    body = sent if isinstance(sent, bytes) else str(sent).encode()
    async with httpx.AsyncClient(trust_env=False) as direct:
        answer = await direct.post(f"{vendor.url}/hl7", content=body, headers=HL7)
    return asked.json()["id"], answer.content


@asynccontextmanager
async def bridged(
    client: httpx.AsyncClient,
    *,
    secret: str = SECRET,
    peers: tuple[Network, ...] | None = (),
    limits: Limits | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    bridge = Bridge(
        client,
        tool=TOOL,
        secret=secret.encode(),
        peers=peers,
        clock=lambda: datetime.now(UTC),
        limits=limits,
    )
    server = await bridge.listen("127.0.0.1", 0, tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def say(port: int, *messages: bytes, tls: ssl.SSLContext | None = None) -> list[bytes]:
    """What comes back for each message, b"" where the connection ends instead."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=tls, server_hostname="localhost" if tls else None
    )
    answers = []
    try:
        for message in messages:
            writer.write(START + message + END + RETURN)
            try:
                answers.append(await reader.readuntil(END + RETURN))
            except (asyncio.IncompleteReadError, ConnectionError):
                answers.append(b"")
                break
    finally:
        writer.close()
    return answers


async def said_until(port: int, done: Callable[[list[bytes]], bool]) -> list[bytes]:
    """Say it until the answer is what it will be; the last answer, whatever it is."""
    answers: list[bytes] = []
    for _ in range(100):
        answers = await say(port, b"MSH|x\r")
        if done(answers):
            break
    return answers


def code_of(answer: bytes) -> str:
    """MSA-1 of a framed acknowledgement."""
    assert answer.startswith(START)
    (segment,) = [one for one in answer.split(b"\r") if one.startswith(b"MSA")]
    return segment.split(b"|")[1].decode()


def test_a_result_over_mllp_is_acknowledged_stored_and_compared(tmp_path: Path) -> None:
    async def story() -> tuple[list[str], Any]:
        async with (
            simulated(TOOL) as vendor,
            gateway(tmp_path / "data", {TOOL: vendor.url}, **site(tmp_path)) as up,
            bridged(up.client) as port,
        ):
            inference, message = await late_message(up, vendor)
            codes = [code_of(one) for one in await say(port, message, message, b"MSH|^~\\&|x\r")]
            body: Any = {}
            for _ in range(200):
                path, headers = f"/v1/inferences/{inference}", bearer("radiologist")
                body = (await up.client.get(path, headers=headers)).json()
                if body.get("late"):
                    break
                await asyncio.sleep(0.02)
            return codes, body

    codes, body = asyncio.run(story())

    assert codes == ["AA", "AA", "AR"]
    (late,) = body["late"]
    assert late["tool"] == TOOL
    assert late["findings"]


def test_without_the_gateways_word_the_sender_keeps_its_message(tmp_path: Path) -> None:
    async def story() -> tuple[list[bytes], list[bytes], list[bytes]]:
        async with gateway(tmp_path / "data", {}, **site(tmp_path)) as up:
            async with bridged(up.client) as port:
                understood = await say(port, b"MSH|^~\\&|x\r")
            async with bridged(up.client, secret="another") as port:
                stranger = await say(port, b"MSH|^~\\&|x\r")
        async with (
            httpx.AsyncClient(base_url="http://127.0.0.1:9", trust_env=False) as nobody,
            bridged(nobody) as port,
        ):
            return understood, stranger, await say(port, b"MSH|^~\\&|x\r")

    understood, stranger, alone = asyncio.run(story())

    assert code_of(understood[0]) == "AR"
    assert stranger == [b""]
    assert alone == [b""]


class Acknowledging(httpx.AsyncBaseTransport):
    """A gateway that takes everything."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        return httpx.Response(200, headers=HL7, content=b"MSH|^~\\&\rMSA|AA|1\r")


def test_no_more_senders_at_once_than_the_limit() -> None:
    async def story() -> tuple[list[bytes], list[bytes]]:
        async with (
            httpx.AsyncClient(transport=Acknowledging(), base_url="http://x") as client,
            bridged(client, limits=Limits(connections_max=1)) as port,
        ):
            _, first = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.sleep(0)
            first.write(START)
            await first.drain()
            second = await said_until(port, lambda answers: answers == [b""])
            first.close()
            await first.wait_closed()
            third = await said_until(port, lambda answers: answers != [b""])
            return second, third

    second, third = asyncio.run(story())

    assert second == [b""]
    assert code_of(third[0]) == "AA"


@pytest.mark.parametrize("shows_certificate", [True, False])
def test_where_client_certificates_decide_nobody_sends_without_one(
    shows_certificate: bool,
) -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(server)
    server.verify_mode = ssl.CERT_REQUIRED
    sender = ssl.create_default_context()
    authority.configure_trust(sender)
    if shows_certificate:
        authority.issue_cert("sender.example").configure_cert(sender)

    async def story() -> list[bytes]:
        async with (
            httpx.AsyncClient(transport=Acknowledging(), base_url="http://x") as client,
            bridged(client, peers=None, tls=server) as port,
        ):
            return await say(port, b"MSH|x\r", tls=sender)

    if shows_certificate:
        assert code_of(asyncio.run(story())[0]) == "AA"
    else:
        with pytest.raises((ssl.SSLError, AssertionError, ConnectionError)):
            assert asyncio.run(story()) != [b""]


def test_networks_that_may_send_are_those_that_were_named() -> None:
    async def nobody() -> Bridge:
        client = httpx.AsyncClient(transport=Acknowledging(), base_url="http://x")
        named = read_networks("10.1.2.0/24")
        return Bridge(client, tool=TOOL, secret=b"s", peers=named, clock=lambda: datetime.now(UTC))

    bridge = asyncio.run(nobody())

    assert bridge._may_connect(("10.1.2.9", 1))
    assert bridge._may_connect(("127.0.0.1", 1))
    assert not bridge._may_connect(("10.1.3.9", 1))
