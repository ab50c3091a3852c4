"""The tool file of a CDS Hooks service: what goes into prefetch, and what is read from a card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field

from careweir_fhir.model import Coding
from careweir_kit.errors import ToolFileInvalid
from careweir_kit.mapping import MAPPING, Risk, check_bands, read
from careweir_kit.tool import Tool

Path = Annotated[tuple[str, ...], Field(min_length=1)]


class Prefetch(BaseModel):
    """One prefetch key: the patient, or a search for Observations by LOINC code."""

    model_config = MAPPING

    patient: bool = False
    loinc: tuple[str, ...] = ()


class Request(BaseModel):
    """``request`` in the tool file."""

    model_config = MAPPING

    service: str = Field(pattern=r"^[A-Za-z0-9._-]+$")
    hook: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    prefetch: dict[str, Prefetch] = Field(min_length=1)
    inputs_min: int = Field(default=0, ge=0)  # keys with a match, below which nobody is asked
    user: str = Field(default="Practitioner/careweir", pattern=r"^[A-Za-z]+/[A-Za-z0-9.-]+$")


class Answer(BaseModel):
    """``answer`` in the tool file. Paths are lists of keys, from the card downwards.

    ``answer_subject`` starts at the answer itself, so that an answer without cards can show
    whom it is about.
    """

    model_config = MAPPING

    topic: Coding
    risk: Risk | None = None
    risk_path: Path | None = None
    version_path: Path | None = None
    model_versions: tuple[str, ...] = ()  # known ones; findings of another carry a note
    subject_path: Path | None = None
    answer_subject: Path | None = None


def request_of(tool: Tool) -> Request:
    """Read ``request``. Raises ToolFileInvalid."""
    return read(Request, tool, "request")


def answer_of(tool: Tool) -> Answer:
    """Read ``answer``. Raises ToolFileInvalid."""
    return read(Answer, tool, "answer")


def check(tool: Tool) -> None:
    """Refuse a mapping that could not be used. Raises ToolFileInvalid."""
    request, answer = request_of(tool), answer_of(tool)
    for key, wanted in request.prefetch.items():
        if wanted.patient == bool(wanted.loinc):
            raise ToolFileInvalid(f"{tool.tool}.yaml: request.prefetch.{key}: patient or loinc")
    if (answer.risk is None) != (answer.risk_path is None):
        raise ToolFileInvalid(f"{tool.tool}.yaml: answer: risk and risk_path belong together")
    if answer.risk is not None:
        check_bands(answer.risk, tool=tool, part="answer.risk")


def at(value: Mapping[str, Any], path: Path | None) -> Any:
    """What stands at the end of a path of keys, or None."""
    found: Any = value
    for key in path or ("",):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found
