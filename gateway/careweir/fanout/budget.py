"""How many repeats a vendor gets, from all callers of this process together."""

from __future__ import annotations

from collections.abc import Callable

from careweir.fanout.window import Window

SHARE = 0.2
PER_S = 10.0
WINDOW_S = 10.0
_CALL, _SPENT = 0, 1


class RetryBudget:
    """Repeats of at most 20 % of the calls of the last 10 s, and 10 a second besides.

    Source: Finagle's retry budget (20 % of requests, at least 10 a second, credits live 10 s).
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._window = Window(WINDOW_S, kinds=2)
        self._reserve = PER_S
        self._refilled = clock()
        self.refused_total = 0

    def called(self) -> None:
        """A call begins: it earns a fifth of a repeat."""
        self._window.add(self._clock(), _CALL)

    def spend(self) -> bool:
        """Take one repeat; False when there is none."""
        now = self._clock()
        calls, spent = self._window.totals(now)
        if spent + 1 <= SHARE * calls:
            self._window.add(now, _SPENT)
            return True
        self._reserve = min(PER_S, self._reserve + max(0.0, now - self._refilled) * PER_S)
        self._refilled = now
        if self._reserve < 1:
            self.refused_total += 1
            return False
        self._reserve -= 1
        return True
