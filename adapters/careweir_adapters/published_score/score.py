"""What every published score gives: a total, its points, a band, and where the table stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from careweir_fhir.model import Coding, Finding
from careweir_kit.adapter import Ask, Parsed
from careweir_kit.tool import Tool

SYSTEM = "urn:careweir:score"


@dataclass(frozen=True, slots=True)
class Scored:
    """A score that was made. ``points`` in the order of the table; ``remarks`` are for people."""

    name: str
    display: str
    points: Mapping[str, int]
    band: str
    citation: str
    horizon: str | None = None
    remarks: tuple[str, ...] = ()
    oldest: str | None = None

    @property
    def total(self) -> int:
        """The sum of the points."""
        return sum(self.points.values())


def parsed(tool: Tool, ask: Ask, scored: Scored) -> Parsed:
    """The band as a risk and the total as a measurement, both marked as a fallback."""
    total = Finding(
        tool=tool.tool,
        tool_version=tool.version,
        kind="measurement",
        code=Coding(system=SYSTEM, code=scored.name, display=scored.display),
        value=scored.total,
        unit="{score}",
        scale=scored.name,
        threshold_band=scored.band,
        effective=ask.as_of,
        explanation=_explanation(scored),
        fallback=True,
        verified=True,
    )
    band = total.model_copy(
        update={"kind": "risk", "value": scored.band, "unit": None, "horizon": scored.horizon}
    )
    return Parsed(
        findings=(band, total),
        echoes=(ask.subject,),
        model_name=scored.name,
        model_version=tool.version,
    )


def _explanation(scored: Scored) -> tuple[str, ...]:
    lines = [f"{name}: {points}" for name, points in scored.points.items()]
    lines += scored.remarks
    if scored.oldest is not None:
        lines.append(f"oldest input from {scored.oldest}")
    return (*lines, f"Source: {scored.citation}")
