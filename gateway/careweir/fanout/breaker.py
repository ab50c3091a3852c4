"""When a vendor's endpoint is no longer asked, and who asks it first again.

Written here because of what was measured: five of six libraries let every one of 50 waiting callers
through at half-open, and one of them never trips on ``async def``.

    closed      every call goes; verdicts are counted
    open        no call goes, for a time that doubles with each opening and is jittered
    half_open   the time is over: exactly one call goes as a probe, under a lease; its verdict
                closes or opens. A probe that is never heard of loses its lease to the next call
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from careweir.fanout.window import Window
from careweir_kit.errors import VendorError

BreakerState = Literal["closed", "open", "half_open"]

_GOOD, _SLOW, _FAILED = 0, 1, 2
_JITTER = 0.2
CALLS_MIN = 20  # in the window, before shares of it say anything


class CircuitOpen(VendorError):
    """Not asked, because it failed too often lately; ``retry_after_s`` says when it may be."""

    code = "circuit_open"

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """When to open and for how long; seconds, and shares from 0 to 1.

    ``in_a_row`` is what opens for a vendor that is asked so seldom that no window ever fills.
    """

    window_s: float = 30.0
    calls_min: int = CALLS_MIN
    failed_share: float = 0.5
    slow_share: float = 0.8
    in_a_row: int = 10
    slow_s: float = 2.0
    lease_s: float = 5.0
    open_first_s: float = 1.0
    open_max_s: float = 60.0


class Breaker:
    """One for each endpoint of a tool, local to the process.

    ``admit`` gives a ticket, or raises CircuitOpen; the call ends it with one of ``succeeded``,
    ``failed`` or ``abandoned``. A ticket of an earlier epoch changes nothing: what was asked
    before an opening says nothing of the time after it.
    """

    def __init__(
        self, rules: BreakerRules, *, clock: Callable[[], float], rng: random.Random
    ) -> None:
        self._rules = rules
        self._clock = clock
        self._rng = rng
        self._window = Window(rules.window_s, kinds=3)
        self._in_a_row = 0
        self._epoch = 0
        self._closed = True
        self._wakes = 0.0  # when an open breaker may be probed
        self._lease_ends: float | None = None
        self._openings = 0  # in this spell of trouble
        self._closed_since = clock()
        self.opened_total = 0

    @property
    def state(self) -> BreakerState:
        """``half_open``: the next call is a probe, or one is under way."""
        if self._closed:
            return "closed"
        return "half_open" if self._clock() >= self._wakes else "open"

    def retry_after_s(self) -> float:
        """Seconds until a call may be let through; 0 when one may now."""
        if self._closed:
            return 0.0
        now = self._clock()
        until = self._wakes if self._lease_ends is None else self._lease_ends
        return max(0.0, until - now)

    def admit(self) -> int:
        """A ticket for one call. Raises CircuitOpen."""
        if self._closed:
            return self._epoch
        if (wait := self.retry_after_s()) > 0:
            raise CircuitOpen("not asked: it has failed too often lately", retry_after_s=wait)
        self._epoch += 1
        self._lease_ends = self._clock() + self._rules.lease_s
        return self._epoch

    def succeeded(self, ticket: int, seconds: float) -> None:
        """The vendor did its part in this time; a probe closes unless it was slow."""
        if ticket != self._epoch:
            return
        slow = seconds >= self._rules.slow_s
        if not self._closed:
            if slow:
                self._open()
            else:
                self._close()
            return
        self._in_a_row = 0
        self._window.add(self._clock(), _SLOW if slow else _GOOD)
        if slow:
            self._judge()

    def failed(self, ticket: int) -> None:
        """The vendor did not do its part; a probe opens again."""
        if ticket != self._epoch:
            return
        if not self._closed:
            self._open()
            return
        self._in_a_row += 1
        self._window.add(self._clock(), _FAILED)
        self._judge()

    def trip(self, ticket: int) -> None:
        """Open at once, whatever the counts say."""
        if ticket == self._epoch:
            self._open()

    def abandoned(self, ticket: int) -> None:
        """The call ended without saying anything about the vendor: its lease is free again."""
        if ticket == self._epoch and not self._closed:
            self._lease_ends = None

    def _judge(self) -> None:
        rules = self._rules
        good, slow, failed = self._window.totals(self._clock())
        calls = good + slow + failed
        enough = calls >= rules.calls_min
        if (
            self._in_a_row >= rules.in_a_row
            or (enough and failed >= rules.failed_share * calls)
            or (enough and slow + failed >= rules.slow_share * calls)
        ):
            self._open()

    def _open(self) -> None:
        """The time doubles while openings follow each other within a window of being closed."""
        now, rules = self._clock(), self._rules
        if self._closed and now - self._closed_since >= rules.window_s:
            self._openings = 0
        open_s = min(rules.open_max_s, rules.open_first_s * 2 ** min(self._openings, 30))
        self._wakes = now + open_s * self._rng.uniform(1 - _JITTER, 1 + _JITTER)
        self._openings += 1
        self.opened_total += 1
        self._closed, self._lease_ends = False, None
        self._epoch += 1

    def _close(self) -> None:
        self._closed, self._lease_ends = True, None
        self._closed_since = self._clock()
        self._in_a_row = 0
        self._window.clear()
        self._epoch += 1
