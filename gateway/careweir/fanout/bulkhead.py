"""How many calls a vendor gets at once, and how many may wait: one slow vendor fills no more.

Nor does one application: an eighth of the places is never taken by whoever holds all the others,
those that wait are served application by application, and where the queue is full it is the
application with the most in it that is shed.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress

from careweir_kit.errors import VendorError

_NEWEST_WEIGHS = 0.2
_FOR_OTHERS = 8  # one place in so many is left to other parties
_Place = asyncio.Future[None]


class Shed(VendorError):
    """Not asked: too many calls already wait for this tool. Nothing was recorded or sent."""

    code = "overloaded"

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Bulkhead:
    """``places`` calls at once, ``queue_max`` waiting, the rest shed at once.

    Within a party (an application; questions that are answered later are one together) calls are
    served in order of arrival. A call that could not get a place before its deadline, by how long
    calls take of late, is shed without waiting. Every ``enter`` that returns is answered by one
    ``leave`` of the same party.
    """

    def __init__(self, places: int, queue_max: int, *, clock: Callable[[], float]) -> None:
        self._places = places
        self._queue_max = queue_max
        self._clock = clock
        self._held: Counter[str] = Counter()
        self._most: dict[str, int] = {}
        self._waiting: dict[str, deque[_Place]] = {}  # the party to be served next comes first
        self._mean_s = 0.0
        self.shed_total = 0
        self.waited_total = 0
        self.waited_s_total = 0.0

    @property
    def active(self) -> int:
        """Calls under way."""
        return self._held.total()

    @property
    def queued(self) -> int:
        """Calls that wait now."""
        return sum(map(len, self._waiting.values()))

    async def enter(self, deadline: float, party: str = "", *, share: float = 1.0) -> float:
        """Take a place, waiting for it if need be; returns when it was taken. Raises Shed.

        ``share``: the part of all places that this party may hold.
        """
        now = self._clock()
        kept_free = self._places // _FOR_OTHERS if party else 0
        self._most[party] = max(1, min(self._places - kept_free, int(self._places * share)))
        if self.active < self._places and self._may(party):
            self._held[party] += 1
            return now
        ahead_s = self._mean_s * (self._before(party) + 1) / self._places
        full = self.queued >= self._queue_max and not self._made_room(party)
        if full or now + ahead_s >= deadline:
            raise self._shed(ahead_s)
        place: _Place = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(party, deque()).append(place)
        try:
            async with asyncio.timeout_at(deadline):
                await place
        except BaseException as error:
            self._give_up(place, party)
            if isinstance(error, TimeoutError):
                raise self._shed(self._mean_s) from None
            raise
        entered = self._clock()
        self.waited_total += 1
        self.waited_s_total += entered - now
        return entered

    def leave(self, entered: float, party: str = "") -> None:
        """Give the place to the party whose turn it is."""
        self._mean_s += _NEWEST_WEIGHS * (self._clock() - entered - self._mean_s)
        self._free(party)

    def _may(self, party: str) -> bool:
        return self._held[party] < self._most[party]

    def _before(self, party: str) -> int:
        """How many are served before a new call of this party, one of each party in turn."""
        mine = len(self._waiting.get(party, ()))
        others = (len(line) for name, line in self._waiting.items() if name != party)
        return mine + sum(min(line, mine + 1) for line in others)

    def _made_room(self, party: str) -> bool:
        """Shed the newest call of the party with the most in a full queue: not of this one."""
        longest = max(self._waiting, key=lambda name: len(self._waiting[name]), default=party)
        line = self._waiting.get(longest, deque())
        if len(line) <= len(self._waiting.get(party, ())) + 1:
            return False
        newest = line.pop()
        if not newest.done():
            newest.set_exception(self._shed(self._mean_s))
            newest.exception()  # whoever was cancelled meanwhile need not hear of it
        return True

    def _free(self, party: str) -> None:
        self._held[party] -= 1
        self._pass_on()
        self._forget(party)

    def _forget(self, party: str) -> None:
        if not self._held[party]:
            del self._held[party]
            if party not in self._waiting:
                self._most.pop(party, None)

    def _pass_on(self) -> None:
        """Fill free places, each party in its turn."""
        while self.active < self._places:
            party = next((name for name in self._waiting if self._may(name)), None)
            if party is None:
                return
            line = self._waiting.pop(party)
            place = line.popleft()
            if line:
                self._waiting[party] = line  # behind the others
            if not place.done():
                self._held[party] += 1
                place.set_result(None)

    def _give_up(self, place: _Place, party: str) -> None:
        """A place that was given at the very moment of giving up goes to the next one."""
        if place.done() and not place.cancelled() and place.exception() is None:
            self._free(party)
        line = self._waiting.get(party, deque())
        with suppress(ValueError):
            line.remove(place)
        if not line:
            self._waiting.pop(party, None)
            self._forget(party)

    def _shed(self, ahead_s: float) -> Shed:
        self.shed_total += 1
        return Shed("not asked: too many calls wait for it", retry_after_s=max(1.0, ahead_s))
