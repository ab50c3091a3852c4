"""Published scores in this process: the transparent stand-in when no tool answers.

They never speak for a vendor: their findings carry an own code, the points of each parameter and
the citation, and every one of them says that it is a fallback.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from careweir_adapters.published_score.bedside import curb65_of, qsofa_of
from careweir_adapters.published_score.inputs import inputs_of
from careweir_adapters.published_score.mapping import Request, check, request_of
from careweir_adapters.published_score.news2 import news2
from careweir_adapters.published_score.score import Scored, parsed
from careweir_adapters.published_score.stay import lace_of
from careweir_kit.adapter import Ask, Parsed
from careweir_kit.tool import Tool

NEWS2_CITATION: Final = "Royal College of Physicians, National Early Warning Score (NEWS) 2, 2017"


def check_tool(tool: Tool) -> None:
    """Refuse a tool file whose mapping cannot be used. Raises ToolFileInvalid."""
    check(tool)


def compute(tool: Tool, ask: Ask) -> Parsed:
    """Compute the score from whole inputs. Raises InputsMissing, which names what is missing."""
    request = request_of(tool)
    return parsed(tool, ask, _SCORES[request.score](request, ask))


def _news2_of(request: Request, ask: Ask) -> Scored:
    inputs = inputs_of(request, ask)
    score = news2(inputs.vitals, scale=inputs.scale)
    remarks = (f"SpO2 scale {score.scale}",)
    return Scored("NEWS2", "NEWS2 aggregate score", score.points, score.band, NEWS2_CITATION,
                  remarks=remarks, oldest=inputs.oldest)  # fmt: skip


_SCORES: Final[Mapping[str, Callable[[Request, Ask], Scored]]] = {
    "NEWS2": _news2_of,
    "qSOFA": qsofa_of,
    "CURB-65": curb65_of,
    "LACE": lace_of,
}
