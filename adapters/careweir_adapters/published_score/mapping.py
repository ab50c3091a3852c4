"""The tool file of a published score."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from careweir_kit.errors import ToolFileInvalid
from careweir_kit.mapping import MAPPING, read
from careweir_kit.tool import Tool


class Mark(BaseModel):
    """A code whose presence in the chart means something; ``*`` at its end stands for any rest."""

    model_config = MAPPING

    system: str
    code: str = Field(min_length=1)


class Request(BaseModel):
    """``request`` in the tool file.

    ``scale_2`` marks that a clinician prescribed a saturation target of 88–92 %; ``pregnancy``
    marks patients for whom the score is not made. ``pneumonia`` marks those for whom CURB-65 is.
    ``max_age`` is that of bedside values, ``laboratory_max_age`` that of laboratory results.
    """

    model_config = MAPPING

    score: Literal["NEWS2", "qSOFA", "CURB-65", "LACE"]
    max_age: str = "PT4H"
    laboratory_max_age: str = "PT24H"
    pneumonia: tuple[Mark, ...] = ()
    scale_2: tuple[Mark, ...] = ()
    pregnancy: tuple[Mark, ...] = ()

    @property
    def scale_2_marks(self) -> tuple[tuple[str, str], ...]:
        """(system, code) pairs."""
        return tuple((mark.system, mark.code) for mark in self.scale_2)

    @property
    def pregnancy_marks(self) -> tuple[tuple[str, str], ...]:
        """(system, code) pairs."""
        return tuple((mark.system, mark.code) for mark in self.pregnancy)

    @property
    def pneumonia_marks(self) -> tuple[tuple[str, str], ...]:
        """(system, code) pairs."""
        return tuple((mark.system, mark.code) for mark in self.pneumonia)


def request_of(tool: Tool) -> Request:
    """Read ``request``. Raises ToolFileInvalid."""
    return read(Request, tool, "request")


def check(tool: Tool) -> None:
    """Refuse a tool file that does not make plain that it is a fallback. Raises ToolFileInvalid."""
    request = request_of(tool)
    if request.score == "CURB-65" and not request.pneumonia:
        raise ToolFileInvalid(f"{tool.tool}.yaml: request.pneumonia: CURB-65 is for pneumonia only")
    if tool.mode != "fallback":
        raise ToolFileInvalid(f"{tool.tool}.yaml: mode: a published score is a fallback")
    if tool.answer:
        raise ToolFileInvalid(f"{tool.tool}.yaml: answer: a published score has none")
