"""Counts over the last seconds, in a ring of slots: constant memory, no timestamps kept."""

from __future__ import annotations

from typing import Final

SLOTS: Final = 10


class Window:
    """Sums of ``kinds`` counters over the last ``span_s`` seconds, to a tenth of the span."""

    __slots__ = ("_kinds", "_newest", "_slot_s", "_slots", "_totals")

    def __init__(self, span_s: float, *, kinds: int) -> None:
        self._slot_s = span_s / SLOTS
        self._kinds = kinds
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._slots = [[0] * self._kinds for _ in range(SLOTS)]
        self._totals = [0] * self._kinds
        self._newest = 0

    def add(self, now: float, kind: int) -> None:
        """Count one of a kind. ``now`` may not run backwards by more than it ran forwards."""
        self._forget_until(now)
        self._slots[self._newest % SLOTS][kind] += 1
        self._totals[kind] += 1

    def totals(self, now: float) -> list[int]:
        """The sums by kind; read-only."""
        self._forget_until(now)
        return self._totals

    def _forget_until(self, now: float) -> None:
        slot = int(now / self._slot_s)
        if slot <= self._newest:
            return
        for passed in range(max(self._newest + 1, slot - SLOTS + 1), slot + 1):
            gone = self._slots[passed % SLOTS]
            for kind, count in enumerate(gone):
                self._totals[kind] -= count
                gone[kind] = 0
        self._newest = slot
