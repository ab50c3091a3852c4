"""The tool file of a payer: who asks whom, and for what kind of claim."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from careweir_fhir.model import Coding
from careweir_kit.errors import ToolFileInvalid
from careweir_kit.mapping import MAPPING, read
from careweir_kit.tool import Tool


class Identifier(BaseModel):
    """A business identifier of an organisation."""

    model_config = MAPPING

    system: str = Field(pattern=r"^(https?://|urn:)\S+$")
    value: str = Field(min_length=1)


class Request(BaseModel):
    """``request`` in the tool file.

    ``problems`` says whether coded problems go along as diagnoses.
    """

    model_config = MAPPING

    insurer: Identifier
    provider: Identifier
    claim_type: Literal["professional", "institutional", "pharmacy", "vision", "oral"] = (
        "professional"
    )
    priority: Literal["stat", "normal", "deferred"] = "normal"
    problems: bool = True
    path: str = Field(default="Claim/$submit", pattern=r"^[A-Za-z0-9._-]+/\$submit$")
    items_max: int = Field(default=10, ge=1, le=100)


class Answer(BaseModel):
    """``answer`` in the tool file: the question, where a service is not known (a replay)."""

    model_config = MAPPING

    code: Coding


def request_of(tool: Tool) -> Request:
    """Read ``request``. Raises ToolFileInvalid."""
    return read(Request, tool, "request")


def answer_of(tool: Tool) -> Answer:
    """Read ``answer``. Raises ToolFileInvalid."""
    return read(Answer, tool, "answer")


def check(tool: Tool) -> None:
    """Refuse a mapping that could not be used. Raises ToolFileInvalid."""
    request_of(tool)
    if answer_of(tool).code.display is None:
        raise ToolFileInvalid(f"{tool.tool}.yaml: answer.code: needs words")
    if not any(need.resource == "ServiceRequest" for need in tool.needs):
        raise ToolFileInvalid(f"{tool.tool}.yaml: needs: there is no ServiceRequest to ask for")
