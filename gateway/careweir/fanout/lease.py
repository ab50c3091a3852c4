"""Connections to a vendor that close when the last request that could use them has gone.

A reload gives every tool new connections. A request that is under way, an answer that comes late, a
retry that still waits: whatever holds the old ones goes on using them, and nobody needs to count.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Mapping

from careweir.fanout.transport import Transport
from careweir_kit.adapter import VendorAnswer, VendorRequest


class Lease:
    """A Transport that closes its connections once nothing refers to it any more."""

    __slots__ = ("__weakref__", "_end", "_pool")

    def __init__(self, pool: Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._pool = pool
        self._end = weakref.finalize(self, _close_soon, pool, loop)
        self._end.atexit = False

    async def send(self, url: str, request: VendorRequest, *, bytes_max: int) -> VendorAnswer:
        """As the connections send it."""
        return await self._pool.send(url, request, bytes_max=bytes_max)

    async def close(self) -> None:
        """Close now: the process ends."""
        if self._end.detach() is not None:
            await self._pool.close()


def leased(pools: Mapping[str, Transport]) -> dict[str, Transport]:
    """The same connections, each closed with its last user. Call within the event loop."""
    loop = asyncio.get_running_loop()
    return {name: Lease(pool, loop) for name, pool in pools.items()}


_closing: set[asyncio.Task[None]] = set()


def _close_soon(pool: Transport, loop: asyncio.AbstractEventLoop) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(_close, pool)


def _close(pool: Transport) -> None:
    task: asyncio.Task[None] = asyncio.ensure_future(pool.close())
    _closing.add(task)
    task.add_done_callback(_closing.discard)
