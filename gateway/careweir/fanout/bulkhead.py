"""How many calls a vendor gets at once, and how many may wait: one slow vendor fills no more."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from careweir_kit.errors import VendorError

_NEWEST_WEIGHS = 0.2


class Shed(VendorError):
    """Not asked: too many calls already wait for this tool. Nothing was recorded or sent."""

    code = "overloaded"

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Bulkhead:
    """``places`` calls at once, ``queue_max`` waiting in order of arrival, the rest shed at once.

    A call that could not get a place before its deadline, by how long calls take of late, is shed
    without waiting. Every ``enter`` that returns is answered by one ``leave``.
    """

    def __init__(self, places: int, queue_max: int, *, clock: Callable[[], float]) -> None:
        self._places = places
        self._queue_max = queue_max
        self._clock = clock
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._mean_s = 0.0
        self.active = 0
        self.shed_total = 0
        self.waited_total = 0
        self.waited_s_total = 0.0

    @property
    def queued(self) -> int:
        """Calls that wait now."""
        return len(self._waiting)

    async def enter(self, deadline: float) -> float:
        """Take a place, waiting for it if need be; returns when it was taken. Raises Shed."""
        now = self._clock()
        if self.active < self._places:
            self.active += 1
            return now
        ahead_s = self._mean_s * (len(self._waiting) + 1) / self._places
        if len(self._waiting) >= self._queue_max or now + ahead_s >= deadline:
            raise self._shed(ahead_s)
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            async with asyncio.timeout_at(deadline):
                await place
        except BaseException as error:
            self._give_up(place)
            if isinstance(error, TimeoutError):
                raise self._shed(self._mean_s) from None
            raise
        entered = self._clock()
        self.waited_total += 1
        self.waited_s_total += entered - now
        return entered

    def leave(self, entered: float) -> None:
        """Give the place to the call that has waited longest."""
        self._mean_s += _NEWEST_WEIGHS * (self._clock() - entered - self._mean_s)
        self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self.active -= 1

    def _give_up(self, place: asyncio.Future[None]) -> None:
        """A place that was given at the very moment of giving up goes to the next one."""
        if place.done() and not place.cancelled():
            self._pass_on()
        with suppress(ValueError):
            self._waiting.remove(place)

    def _shed(self, ahead_s: float) -> Shed:
        self.shed_total += 1
        return Shed("not asked: too many calls wait for it", retry_after_s=max(1.0, ahead_s))
