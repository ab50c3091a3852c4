"""What this process knows of one tool's health: its breakers, budget, places and pause."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass

from careweir.fanout.breaker import CALLS_MIN, Breaker, BreakerRules, BreakerState
from careweir.fanout.budget import RetryBudget
from careweir.fanout.bulkhead import Bulkhead
from careweir.fanout.retry import Clock, Sleep
from careweir_kit.errors import VendorThrottled
from careweir_kit.tool import Tool

PAUSE_MAX_S = 60.0
SHORT_PAUSE_S = 1.0
PAUSE_JITTER = 0.1
SLOW_SHARE_OF_DEADLINE = 0.8
LEASE_OVER_DEADLINE_S = 1.0


class Guard:
    """One for each tool, for the life of the process, shared by all callers."""

    def __init__(
        self, tool: Tool, *, clock: Clock, sleep: Sleep, rng: random.Random, failures_min: int = 0
    ) -> None:
        self.tool = tool
        self.clock = clock
        self.sleep = sleep
        self.rng = rng
        limits = tool.limits
        self.bulkhead = Bulkhead(limits.concurrent_max, limits.queue_max, clock=clock)
        self.budget = RetryBudget(clock=clock)
        self.patience_s = tool.deadline_ms / 1000 / 4
        deadline_s = tool.deadline_ms / 1000
        slow_ms = limits.slow_ms
        self._rules = BreakerRules(
            in_a_row=max(limits.failures_in_a_row, failures_min),
            calls_min=max(CALLS_MIN, failures_min),
            open_max_s=limits.open_s_max,
            slow_s=deadline_s * SLOW_SHARE_OF_DEADLINE if slow_ms is None else slow_ms / 1000,
            lease_s=deadline_s + LEASE_OVER_DEADLINE_S,
        )
        self._breakers: dict[str, Breaker] = {}
        self._paused_until = 0.0
        self._throttled_in_a_row = 0

    def breaker(self, endpoint: str) -> Breaker:
        """The breaker of one endpoint, made when it is first asked."""
        found = self._breakers.get(endpoint)
        if found is None:
            found = Breaker(self._rules, clock=self.clock, rng=self.rng)
            self._breakers[endpoint] = found
        return found

    @property
    def state(self) -> BreakerState:
        """``open`` only when no endpoint may be asked; ``closed`` when any one is."""
        states = {one.state for one in self._breakers.values()}
        if not states or "closed" in states:
            return "closed"
        return "half_open" if "half_open" in states else "open"

    def breakers(self) -> list[Breaker]:
        """The breakers of all endpoints asked so far."""
        return list(self._breakers.values())

    def throttled(self, retry_after_s: float | None) -> None:
        """The vendor asked for a pause: all callers keep it, up to a minute.

        A single request for a pause of at most a second stays with the call that got it; from the
        second in a row it is everybody's.
        """
        self._throttled_in_a_row += 1
        wait = min(PAUSE_MAX_S, retry_after_s or 0.0)
        if wait > SHORT_PAUSE_S or self._throttled_in_a_row > 1:
            self._paused_until = max(self._paused_until, self.clock() + wait)

    def took_it(self) -> None:
        """The vendor took a request: it is not throttling."""
        self._throttled_in_a_row = 0

    async def wait_out_pause(self, deadline: float) -> None:
        """Return when the vendor's pause is over; raises VendorThrottled when that is too late."""
        left = self._paused_until - self.clock()
        if left <= 0:
            return
        wait = left * self.rng.uniform(1, 1 + PAUSE_JITTER)  # not all of them at once
        if self.clock() + wait >= deadline:
            raise VendorThrottled("not asked: it wants a pause", retry_after_s=left)
        await self.sleep(wait)


@dataclass(frozen=True, slots=True)
class Hold:
    """A tool that is not asked until a person says so; ``disclosure`` is what it was held for."""

    disclosure: str
    since_s: float


class Guards:
    """The guards of all tools, each made when it is first needed, and which tools are held.

    ``hold_s`` ends a hold by itself: None everywhere but in the demonstration. ``failures_min``: no
    breaker opens after fewer; 0 everywhere but there, where one fault after the other is shown.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        rng: random.Random,
        sleep: Sleep = asyncio.sleep,
        hold_s: float | None = None,
        failures_min: int = 0,
    ) -> None:
        self.clock = clock
        self._failures_min = failures_min
        self._hold_s = hold_s
        self._holds: dict[str, Hold] = {}
        self._sleep = sleep
        self._rng = rng
        self._guards: dict[str, Guard] = {}

    def of(self, tool: Tool) -> Guard:
        """The guard of this tool."""
        found = self._guards.get(tool.tool)
        if found is None:
            found = Guard(
                tool,
                clock=self.clock,
                sleep=self._sleep,
                rng=self._rng,
                failures_min=self._failures_min,
            )
            self._guards[tool.tool] = found
        return found

    def renew(self, tools: Mapping[str, Tool]) -> None:
        """Forget the guards of tools whose files say something else now; holds stay."""
        for name, guard in list(self._guards.items()):
            if tools.get(name) != guard.tool:
                del self._guards[name]

    def known(self) -> list[Guard]:
        """The guards of all tools that were needed so far."""
        return list(self._guards.values())

    def hold(self, tool: str, disclosure: str) -> None:
        """Ask this tool no more, at once; the first reason stands."""
        self._holds.setdefault(tool, Hold(disclosure, self.clock()))

    def let_go(self, tool: str) -> None:
        """Ask this tool again."""
        self._holds.pop(tool, None)

    def held(self, tool: str) -> Hold | None:
        """Why this tool is not asked, or None."""
        hold = self._holds.get(tool)
        if hold is None or self._hold_s is None or self.clock() < hold.since_s + self._hold_s:
            return hold
        del self._holds[tool]
        return None

    def holds(self) -> dict[str, Hold]:
        """Every hold by tool."""
        return {tool: hold for tool in list(self._holds) if (hold := self.held(tool))}
