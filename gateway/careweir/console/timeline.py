"""The found period as bars: how many entries of which kind in each stretch of time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from careweir.audit import Stored

BARS_MAX = 48
WIDTH, HEIGHT, FOOT = 960, 96, 18  # of the drawing, in its own units
_STEPS_S = (1, 5, 15, 60, 300, 900, 3600, 3 * 3600, 6 * 3600, 86_400, 7 * 86_400, 30 * 86_400,
            365 * 86_400)  # fmt: skip
KINDS = ("questions", "disclosures", "refusals", "others")
_KIND_OF = {
    "decision": "questions", "answer": "questions", "intent": "disclosures",
    "outcome": "disclosures", "refusal": "refusals", "withheld": "refusals",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """One stacked piece of a bar, in the drawing's units."""

    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Stretch:
    """One stretch of time that holds entries."""

    since: datetime
    until: datetime
    counts: dict[str, int]
    total: int
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """The drawing and its words."""

    since: datetime
    until: datetime
    stretches: tuple[Stretch, ...]
    total: int
    cut: bool  # older entries were found too and are not drawn
    kinds: tuple[str, ...]

    @property
    def description(self) -> str:
        """What the drawing shows, in one sentence."""
        busiest = max(self.stretches, key=lambda one: one.total)
        return (
            f"{self.total:,} entries between {self.since:%Y-%m-%d %H:%M:%S} and"
            f" {self.until:%Y-%m-%d %H:%M:%S} UTC; the most, {busiest.total:,},"
            f" from {busiest.since:%Y-%m-%d %H:%M:%S}."
        )


def timeline_of(rows: Sequence[Stored], *, cut: bool) -> Timeline | None:
    """Draw entries; None where there is nothing to draw."""
    if not rows:
        return None
    moments = [datetime.fromisoformat(row.recorded) for row in rows]
    first, last = min(moments), max(moments)
    step = _step((last - first).total_seconds())
    start = int(first.timestamp()) // step * step
    counts: dict[int, Counter[str]] = {}
    for moment, row in zip(moments, rows, strict=True):
        bar = (int(moment.timestamp()) - start) // step
        counts.setdefault(bar, Counter())[_KIND_OF.get(row.entry.type, "others")] += 1
    bars = max(max(counts) + 1, 12)
    tallest = max(sum(count.values()) for count in counts.values())
    stretches = tuple(
        _stretch(bar, counts[bar], start, step, WIDTH / bars, tallest) for bar in sorted(counts)
    )
    present = {kind for count in counts.values() for kind in count}
    return Timeline(
        since=_at(start),
        until=_at(start + bars * step),
        stretches=stretches,
        total=len(rows),
        cut=cut,
        kinds=tuple(kind for kind in KINDS if kind in present),
    )


def _stretch(
    bar: int, count: Counter[str], start: int, step: int, width: float, tallest: int
) -> Stretch:
    parts: list[Part] = []
    y = float(HEIGHT)
    for kind in KINDS:
        if count[kind]:
            height = count[kind] / tallest * (HEIGHT - 6)
            y -= height
            parts.append(Part(kind, round(bar * width + 1, 2), round(y, 2),
                              round(max(width - 2, 1), 2), round(height, 2)))  # fmt: skip
    since = _at(start + bar * step)
    return Stretch(
        since, since + timedelta(seconds=step), dict(count), sum(count.values()), tuple(parts)
    )


def _step(span_s: float) -> int:
    return next((step for step in _STEPS_S if span_s / step < BARS_MAX - 1), _STEPS_S[-1])


def _at(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)
