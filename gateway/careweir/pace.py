"""Room for a question in this process, and the share of its deadline that the process needs itself.

A deadline is kept only if what follows the tools fits into it too: reading what came last,
comparing, a durable record. So tools are waited for less than the whole deadline, and the more
questions may end at the same time the more of it is kept back: they all end on one event loop.
How long an end takes is learnt from those before.

A question that would be late whatever the tools do is refused before anything of it is recorded
or sent: it would help nobody and make the next one late as well.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from careweir.errors import Overloaded

END_FIRST_S: Final = 0.01  # before anything is learnt
END_MAX_S: Final = 0.1  # one that took longer says little about the next
LEARNS_UP, LEARNS_DOWN = 0.3, 0.02
KEPT_BACK_MAX: Final = 0.6  # of what is left of the deadline
FULL_AT: Final = 2.0  # of it: what was learnt of few at a time is too much of many
RECORD_LATE_MAX_S: Final = 2.0  # a disk that hesitates costs a late answer, not the answer
WAITED_MAX: Final = 0.5  # of the deadline, before anybody looked at the question
FOR_OTHERS: Final = 8
ALWAYS: Final = 8  # so many are taken whatever was learnt


class Pace:
    """Counts the questions under way, and learns how long one takes to end after its tools.

    ``clock`` is loop time, in seconds.
    """

    def __init__(self, in_flight_max: int, *, clock: Callable[[], float]) -> None:
        self._in_flight_max = in_flight_max
        self._clock = clock
        self._deadlines: dict[object, float] = {}  # of the questions under way
        self._asked_by: Counter[str] = Counter()  # how many of them, by application
        self.refused_total = 0
        self._arrived = 0
        self._ending = 0
        self._ends = 0  # ever begun
        self._end_s = END_FIRST_S

    @property
    def in_flight(self) -> int:
        """Questions under way."""
        return len(self._deadlines)

    @asynccontextmanager
    async def arriving(self) -> AsyncIterator[float]:
        """Gives the loop time of arrival; all that are there get theirs before one is worked on."""
        now = self._clock()
        self._arrived += 1
        try:
            await asyncio.sleep(0)
            yield now
        finally:
            self._arrived -= 1

    @contextmanager
    def room(self, arrived: float, deadline: float, client: str = "") -> Iterator[None]:
        """Count a question while it is answered; raises Overloaded before anything is done.

        The last eighth of all room is never taken by an application that holds the rest.
        """
        now, key = self._clock(), object()
        most = self._in_flight_max - (self._in_flight_max // FOR_OTHERS if client else 0)
        if self.in_flight >= self._in_flight_max or self._asked_by[client] >= most:
            raise self._refused("too many questions at once")
        late = now - arrived > (deadline - arrived) * WAITED_MAX
        ends_s = (self._until(deadline) + 1) * self._end_s
        full = ends_s > (deadline - now) * FULL_AT
        if late or (full and self.in_flight >= ALWAYS):
            raise self._refused("too busy to answer before this deadline")
        self._deadlines[key] = deadline
        self._asked_by[client] += 1
        try:
            yield
        finally:
            del self._deadlines[key]
            self._asked_by -= Counter((client,))  # keeps no zeros

    def tools_until(self, deadline: float) -> float:
        """When tools are waited for no longer, so that the answer is there at ``deadline``."""
        left = max(0.0, deadline - self._clock())
        to_come = max(0, self._arrived - self.in_flight)  # here, and not looked at yet
        needed = max(1, self._until(deadline) + to_come) * self._end_s
        return deadline - min(left * KEPT_BACK_MAX, needed)

    def recorded_by(self, deadline: float) -> float:
        """When a durable outcome is waited for no longer: the record is what is too slow then."""
        return max(deadline, self._clock()) + RECORD_LATE_MAX_S

    @contextmanager
    def ending(self, until: float) -> Iterator[None]:
        """What follows the tools, which were waited for no longer than ``until``."""
        began = min(until, self._clock())
        # Those that end beside it share the event loop with it, whoever began first.
        others = self._ending - self._ends
        self._ending += 1
        self._ends += 1
        try:
            yield
        finally:
            self._ending -= 1
            self._learn((self._clock() - began) / (others + self._ends))

    def _refused(self, why: str) -> Overloaded:
        self.refused_total += 1
        return Overloaded(why, retry_after_s=1)

    def _until(self, deadline: float) -> int:
        """The questions under way that may end no later than this."""
        return sum(one <= deadline for one in self._deadlines.values())

    def _learn(self, seconds: float) -> None:
        """Quickly that it takes longer, slowly that it does not."""
        more = min(END_MAX_S, seconds) - self._end_s
        self._end_s += more * (LEARNS_UP if more > 0 else LEARNS_DOWN)
