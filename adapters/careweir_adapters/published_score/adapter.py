"""NEWS2 in this process: the transparent stand-in when no tool answers.

It never speaks for a vendor: its findings carry an own code, the points of each parameter and
the citation, and every one of them says that it is a fallback.
"""

from __future__ import annotations

from typing import Final

from careweir_adapters.published_score.inputs import inputs_of
from careweir_adapters.published_score.mapping import check, request_of
from careweir_adapters.published_score.news2 import News2, news2
from careweir_fhir.model import Coding, Finding
from careweir_kit.adapter import Ask, Parsed
from careweir_kit.tool import Tool

CODE: Final = Coding(system="urn:careweir:score", code="NEWS2", display="NEWS2 aggregate score")
CITATION: Final = "Royal College of Physicians, National Early Warning Score (NEWS) 2, 2017"


def check_tool(tool: Tool) -> None:
    """Refuse a tool file whose mapping cannot be used. Raises ToolFileInvalid."""
    check(tool)


def compute(tool: Tool, ask: Ask) -> Parsed:
    """Compute the score from whole inputs. Raises InputsMissing, which names what is missing."""
    inputs = inputs_of(request_of(tool), ask)
    score = news2(inputs.vitals, scale=inputs.scale)
    total = Finding(
        tool=tool.tool,
        tool_version=tool.version,
        kind="measurement",
        code=CODE,
        value=score.total,
        unit="{score}",
        scale="NEWS2",
        threshold_band=score.band,
        effective=ask.as_of,
        explanation=_explanation(score, inputs.oldest),
        fallback=True,
        verified=True,
    )
    band = total.model_copy(update={"kind": "risk", "value": score.band, "unit": None})
    return Parsed(
        findings=(band, total),
        echoes=(ask.subject,),
        model_name="NEWS2",
        model_version=tool.version,
    )


def _explanation(score: News2, oldest: str | None) -> tuple[str, ...]:
    lines = [f"{name}: {points}" for name, points in score.points.items()]
    lines.append(f"SpO2 scale {score.scale}")
    if oldest is not None:
        lines.append(f"oldest input from {oldest}")
    return (*lines, f"Source: {CITATION}")
