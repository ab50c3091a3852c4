"""The feed: every entry reaches a receiver, in order, across outages and restarts; none waits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from audit.conftest import Clock, Opener, intent, outcome
from careweir import feed as feeds
from careweir.feed import Feed, Places, Syslog, Webhook


class Siem:
    """A receiver on a real socket; ``status`` is what a webhook is answered."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.heads: list[bytes] = []
        self.status = 200
        self.port = 0

    @asynccontextmanager
    async def listening(self, *, port: int = 0) -> AsyncIterator[Siem]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(5)
        if first != b"POST ":
            self.bodies.append(first + await reader.read())
            writer.close()
            return
        head = first + await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(length)
        self.heads.append(head)
        if self.status == 200:
            self.bodies.append(body)
        answer = f"HTTP/1.1 {self.status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        writer.write(answer.encode())
        await writer.drain()
        writer.close()

    def events(self) -> list[dict[str, Any]]:
        """Every event that was taken."""
        return [json.loads(line) for body in self.bodies for line in body.splitlines()]

    def uids(self) -> list[str]:
        return [event["metadata"]["uid"] for event in self.events()]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "POLL_S", 0.01)
    monkeypatch.setattr(feeds, "RETRY_MAX_S", 0.05)


async def until(holds: Any) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - a socket is waited for
            await asyncio.sleep(0.01)


def test_a_webhook_gets_every_entry_in_order_with_its_token(opener: Opener, tmp_path: Path) -> None:
    async def story() -> None:
        async with Siem().listening() as siem, opener() as trail:
            url = f"http://127.0.0.1:{siem.port}/in"
            feed = Feed(trail, Webhook(url, "s3cret"), tmp_path)
            feed.start()
            for n in range(250):
                await asyncio.gather(trail.append(intent(n)), trail.append(outcome(n)))
            await until(lambda: len(siem.events()) == 501)
            await feed.stop()
            assert siem.uids() == [f"{trail.writer}/{n}" for n in range(1, 502)]
            assert all(b"authorization: bearer s3cret" in head.lower() for head in siem.heads)
            assert {event["class_uid"] for event in siem.events()} == {6003}

    asyncio.run(story())


def test_an_outage_loses_nothing_and_holds_up_nobody(opener: Opener, tmp_path: Path) -> None:
    async def story() -> None:
        async with Siem().listening() as siem, opener() as trail:
            siem.status = 503
            feed = Feed(trail, Webhook(f"http://127.0.0.1:{siem.port}", None), tmp_path)
            feed.start()
            for n in range(20):
                await trail.append(intent(n))
            await until(lambda: feed.failures > 2)
            assert siem.bodies == []
            siem.status = 200
            await until(lambda: len(siem.events()) == 21)
            await until(lambda: feed.failures == 0)
            await feed.stop()
            assert siem.uids() == [f"{trail.writer}/{n}" for n in range(1, 22)]

    asyncio.run(story())


def test_after_restarts_it_goes_on_where_it_was(opener: Opener, tmp_path: Path) -> None:
    async def story() -> None:
        async with Siem().listening() as siem:
            url, writers = f"http://127.0.0.1:{siem.port}", []
            for boot in range(3):
                siem.status = 200 if boot != 1 else 500
                async with opener() as trail:
                    writers.append(trail.writer)
                    feed = Feed(trail, Webhook(url, None), tmp_path)
                    feed.start()
                    await trail.append(intent(boot))
                    await trail.append(outcome(boot))
                    if boot != 1:
                        await until(lambda: f"{writers[-1]}/3" in siem.uids())
                    await feed.stop()
            uids = siem.uids()
            for writer in writers[:2]:  # their ends too, which were written after the feed stopped
                assert [uid for uid in uids if uid.startswith(writer)][-1] == f"{writer}/4"
            assert len(uids) == len(set(uids)) == 11

    asyncio.run(story())


def test_syslog_gets_a_message_an_event(opener: Opener, tmp_path: Path) -> None:
    async def story() -> None:
        async with Siem().listening() as siem, opener() as trail:
            receiver = Syslog(f"127.0.0.1:{siem.port}", clock=Clock(), replica="gw")
            feed = Feed(trail, receiver, tmp_path)
            feed.start()
            await trail.append(intent(1))
            await until(lambda: b"".join(siem.bodies).count(b"careweir - audit -") == 2)
            await feed.stop()
            taken = b"".join(siem.bodies)
            length, _, rest = taken.partition(b" ")
            message = rest[: int(length)].decode()
            assert message.startswith("<109>1 2026-03-02T08:00:")
            assert json.loads(message.partition("\ufeff")[2])["class_uid"] == 6003

    asyncio.run(story())


def test_a_place_file_that_cannot_be_read_begins_with_this_boot(tmp_path: Path) -> None:
    path = tmp_path / "places.json"
    path.write_text("{")

    places = Places(path, "gw.1")

    assert [(place.writer, place.seq) for place in places.chains] == [("gw.1", 0)]
    assert Places(path, "gw.2").chains[0].writer == "gw.1"
