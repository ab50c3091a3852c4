"""One row of the benchmark table, and how a row comes about.

A machine that others share gives other absolutes every minute, so every figure stands beside a
baseline that does the least work of the same kind in the same run, and the ratio is what counts.
``within`` and ``over`` compare with the budget; neither is ever an exit code.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

SECONDS_MAX = 1.5

Verdict = Literal["within", "over", "no budget"]
Judged = Literal["value", "ratio"]


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit on the value or on the ratio. ``least``: the figure must be at least as large."""

    limit: float
    judged: Judged
    least: bool = False
    note: str = ""

    def text(self, unit: str) -> str:
        """The budget in words, such as ``≤ 400 µs`` or ``≥ 5 ×``."""
        sign, of = ("≥" if self.least else "≤"), ("×" if self.judged == "ratio" else unit)
        return f"{sign} {self.limit:g} {of}" + (f" ({self.note})" if self.note else "")

    def verdict(self, value: float, ratio: float | None) -> Verdict:
        """Within or over; a ratio that could not be formed is over."""
        figure = ratio if self.judged == "ratio" else value
        if figure is None:
            return "over"
        return (
            "within" if (figure >= self.limit if self.least else figure <= self.limit) else "over"
        )


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value in ``unit`` beside a baseline in the same unit."""

    benchmark: str
    what: str
    value: float
    unit: str
    baseline: float
    baseline_what: str
    budget: Budget | None = None

    @property
    def ratio(self) -> float | None:
        """Value over baseline; None where the baseline was too small to be measured."""
        return self.value / self.baseline if self.baseline > 0 else None

    @property
    def verdict(self) -> Verdict:
        """``within`` or ``over`` the budget, or that there is none."""
        return self.budget.verdict(self.value, self.ratio) if self.budget else "no budget"

    def as_json(self) -> dict[str, Any]:
        """The figure as a row of ``--json``, numbers to four significant digits."""
        row = asdict(self) | {"ratio": self.ratio}
        row["budget"] = self.budget.text(self.unit) if self.budget else None
        for name in ("value", "baseline", "ratio"):
            row[name] = None if row[name] is None else float(f"{row[name]:.4g}")
        return row | {"verdict": self.verdict}


def fastest_s(*works: Callable[[], object], rounds: int) -> list[float]:
    """The shortest time of each of some pieces of work, in seconds, taken in turns.

    In turns, because a noisy neighbour then disturbs all of them alike; the shortest, because
    noise only ever adds. Fewer rounds than asked where the work takes long, but one at least.
    """
    best, begun = [float("inf")] * len(works), time.perf_counter()
    for done in range(rounds):
        if done and time.perf_counter() - begun > SECONDS_MAX:
            break
        for position, work in enumerate(works):
            started = time.perf_counter()
            work()
            best[position] = min(best[position], time.perf_counter() - started)
    return best
