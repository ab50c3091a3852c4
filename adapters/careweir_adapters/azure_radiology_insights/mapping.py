"""The tool file of a Radiology Insights service."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, Field

from careweir_kit.mapping import MAPPING, KnownCodes, read
from careweir_kit.tool import Tool

Kind = Literal[
    "finding",
    "criticalResult",
    "followupRecommendation",
    "lateralityDiscrepancy",
    "sexMismatch",
    "completeOrderDiscrepancy",
    "limitedOrderDiscrepancy",
    "scoringAndAssessment",
]
KINDS: Final[tuple[Kind, ...]] = (
    "finding",
    "criticalResult",
    "followupRecommendation",
    "lateralityDiscrepancy",
    "sexMismatch",
    "completeOrderDiscrepancy",
    "limitedOrderDiscrepancy",
    "scoringAndAssessment",
)
JOBS: Final = "health-insights/radiology-insights/jobs"


class Request(BaseModel):
    """``request`` in the tool file: which inferences are asked for."""

    model_config = MAPPING

    api_version: str = Field(default="2024-10-01", pattern=r"^\d{4}-\d{2}-\d{2}(-preview)?$")
    kinds: tuple[Kind, ...] = KINDS
    locale: str = Field(default="en-US", pattern=r"^[a-z]{2}-[A-Z]{2}$")
    preliminary: bool = False


class Answer(KnownCodes):
    """``answer`` in the tool file."""


def request_of(tool: Tool) -> Request:
    """Read ``request``. Raises ToolFileInvalid."""
    return read(Request, tool, "request")


def answer_of(tool: Tool) -> Answer:
    """Read ``answer``. Raises ToolFileInvalid."""
    return read(Answer, tool, "answer")


def check(tool: Tool) -> None:
    """Refuse a mapping that could not be used. Raises ToolFileInvalid."""
    request_of(tool)
    answer_of(tool)
