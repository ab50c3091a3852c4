"""The tool file of a sender of HL7 v2 results: what goes out, and how its results are read."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from careweir_fhir.model import Coding, ConfidenceKind
from careweir_kit.errors import ToolFileInvalid
from careweir_kit.mapping import MAPPING, KnownCodes, Risk, check_bands, read
from careweir_kit.tool import Tool


class Request(BaseModel):
    """``request`` in the tool file: an ORU^R01 with the text of the newest report."""

    model_config = MAPPING

    path: str = Field(default="", pattern=r"^[A-Za-z0-9._/-]*$")
    sending: tuple[str, str] = ("CAREWEIR", "CAREWEIR")  # MSH-3 and MSH-4
    receiving: tuple[str, str] = ("", "")  # MSH-5 and MSH-6
    preliminary: bool = False


class ReadAsRisk(BaseModel):
    """A numeric result with this code is a probability, as a fraction or in per cent."""

    model_config = MAPPING

    result: Coding
    risk: Risk


class Answer(KnownCodes):
    """``answer`` in the tool file.

    ``patient_authority`` picks the repetition of PID-3 that holds the pseudonym (CX.4); without it
    every repetition counts as an echo. ``utc_offset`` is that of times without one; without it
    such times are cut to their date. ``model_versions`` are the known ones.
    """

    sender: str | None = None  # MSH-3; a message of another one is refused
    processing: Literal["P", "T", "D"] = "P"
    patient_authority: str | None = None
    utc_offset: str | None = Field(default=None, pattern=r"^[+-]\d{2}:\d{2}$")
    probability_kind: ConfidenceKind = "class_probability"
    risks: tuple[ReadAsRisk, ...] = ()


def request_of(tool: Tool) -> Request:
    """Read ``request``. Raises ToolFileInvalid."""
    return read(Request, tool, "request")


def answer_of(tool: Tool) -> Answer:
    """Read ``answer``. Raises ToolFileInvalid."""
    return read(Answer, tool, "answer")


def check(tool: Tool) -> None:
    """Refuse a mapping that could not be used. Raises ToolFileInvalid."""
    request_of(tool)
    for row in answer_of(tool).risks:
        check_bands(row.risk, tool=tool, part="answer.risks")
        if row.result.code is None:
            raise ToolFileInvalid(f"{tool.tool}.yaml: answer.risks: a result has no code")
