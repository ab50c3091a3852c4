"""The goals in figures, from what one drill saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from careweir.drill.scenes import Played


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure beside its limit; ``timed`` ones depend on how busy the machine is."""

    what: str
    value: float
    limit: float
    unit: str
    timed: bool = False

    @property
    def met(self) -> bool:
        """At most the limit."""
        return self.value <= self.limit


def goals(played: Sequence[Played], *, deadline_s: float) -> list[Goal]:
    """The table; scenes that a drill did not play are left out of it."""
    over_ms = [
        max(0.0, one.seconds - deadline_s) * 1000 for p in played if p.scene.timed for one in p.seen
    ]
    foreign = sum(
        one.findings_of(tool)
        for p in played
        if p.scene.outage and p.scene.outage.fault == "wrong_patient"
        for one in p.seen
        for tool in p.scene.tools
    )
    unrecorded = sum(max(0, p.calls - p.intents) for p in played)
    table = [
        Goal("vendor calls without an intent on the record", unrecorded, 0, ""),
        Goal("findings about another patient delivered", foreign, 0, ""),
        Goal("errors of tools that were not touched", _drawn_in(played), 0, ""),
        Goal("deadline overshoot, p99", _p99(over_ms), 200, "ms", timed=True),
        Goal("deadline overshoot, max", max(over_ms, default=0.0), 500, "ms", timed=True),
    ]
    floods = [p for p in played if len(p.scene.tools) > 1]
    if floods:
        asked = sum(len(p.seen) * len(p.scene.tools) for p in floods)
        table.append(
            Goal("calls a question and tool with all tools down",
                 sum(p.calls for p in floods) / asked, 1.2, "×")
        )  # fmt: skip
    if (ratio := _others_slower(played)) is not None:
        table.append(
            Goal("a tool's median latency with another one failing", ratio, 1.1, "×", timed=True)
        )
    return table


def _drawn_in(played: Sequence[Played]) -> int:
    return sum(
        status not in ("answered", "partial")
        for p in played
        for one in p.seen
        for tool, status in one.statuses.items()
        if tool not in p.scene.tools and not _stands_in(one.body, tool)
    )


def _stands_in(body: dict[str, object], tool: str) -> bool:
    rows = body.get("tools")
    assert isinstance(rows, list)
    return any(row["tool"] == tool and row["mode"] != "live" for row in rows)


def _others_slower(played: Sequence[Played]) -> float | None:
    well, troubled = _latencies(played, troubled=False), _latencies(played, troubled=True)
    if not well or not troubled:
        return None
    return median(troubled) / max(1.0, median(well))


def _latencies(played: Sequence[Played], *, troubled: bool) -> list[float]:
    return [
        float(row["latency_ms"])
        for p in played
        if bool(p.scene.tools) == troubled and p.scene.timed
        for one in p.seen
        for row in one.body.get("tools", [])
        if row["status"] == "answered" and row["mode"] == "live"
    ]


def _p99(values: Sequence[float]) -> float:
    return quantiles(values, n=100)[98] if len(values) > 1 else max(values, default=0.0)
