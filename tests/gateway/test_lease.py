"""Connections are closed with the last request that could use them, and not before."""

from __future__ import annotations

import asyncio
import gc

from careweir.fanout.lease import leased
from careweir_kit.adapter import VendorAnswer, VendorRequest

REQUEST = VendorRequest("POST", "x")


class Line:
    """A transport that answers when it is told to, and knows whether it is closed."""

    def __init__(self) -> None:
        self.answer = asyncio.Event()
        self.closed = asyncio.Event()

    async def send(self, url: str, request: VendorRequest, *, bytes_max: int) -> VendorAnswer:
        await self.answer.wait()
        assert not self.closed.is_set()
        return VendorAnswer(200, {}, url.encode())

    async def close(self) -> None:
        self.closed.set()


async def _nothing_is_closed(line: Line) -> bool:
    gc.collect()
    for _ in range(5):
        await asyncio.sleep(0)
    return not line.closed.is_set()


def test_a_request_under_way_keeps_its_connections_and_closes_them_when_it_ends() -> None:
    async def story() -> None:
        line = Line()
        house = leased({"tool": line})
        asked = asyncio.create_task(house["tool"].send("u", REQUEST, bytes_max=1))
        await asyncio.sleep(0)

        house = {}  # a reload: the gateway lets go
        assert await _nothing_is_closed(line)

        line.answer.set()
        assert (await asked).body == b"u"
        del asked
        gc.collect()
        await asyncio.wait_for(line.closed.wait(), 5)
        assert house == {}

    asyncio.run(story())


def test_between_two_attempts_the_connections_stay_open() -> None:
    async def story() -> None:
        line = Line()
        line.answer.set()
        prepared = leased({"tool": line})["tool"]  # what a request holds while it waits

        assert await _nothing_is_closed(line)
        assert (await prepared.send("again", REQUEST, bytes_max=1)).body == b"again"
        del prepared
        await asyncio.wait_for(line.closed.wait(), 5)

    asyncio.run(story())


def test_closing_at_the_end_of_the_process_closes_once() -> None:
    async def story() -> None:
        line = Line()
        lease = leased({"tool": line})["tool"]
        await lease.close()
        assert line.closed.is_set()
        line.closed.clear()
        await lease.close()
        del lease
        assert await _nothing_is_closed(line)

    asyncio.run(story())
