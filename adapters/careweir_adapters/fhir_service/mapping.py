"""The tool file of a FHIR service: which operation, and what a probability means."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from careweir_kit import codes
from careweir_kit.errors import ToolFileInvalid
from careweir_kit.mapping import MAPPING, Risk, check_bands, read, unique
from careweir_kit.tool import Tool


class Request(BaseModel):
    """``request`` in the tool file.

    The body is a Parameters resource: ``subject`` names the parameter with the patient's
    reference, ``data`` the one with the chart as a Bundle, ``fixed`` further ones as strings.
    """

    model_config = MAPPING

    operation: str = Field(
        pattern=r"^([A-Za-z]+/)?([A-Za-z0-9][A-Za-z0-9.-]{0,63}/)?\$[a-z][a-z0-9.-]*$"
    )
    subject: str = "subject"
    data: str = "data"
    fixed: dict[str, str] = Field(default_factory=dict)
    inputs_min: int = Field(default=1, ge=0)  # resources besides the patient
    wait: bool = False  # ``Prefer: respond-async``; the answer is then polled for


class Answer(BaseModel):
    """``answer`` in the tool file.

    ``probability`` is the unit of ``probabilityDecimal``: R4 says per cent and many services send
    fractions, and both are valid FHIR. ``risks`` are the outcomes that are known, with bands.
    """

    model_config = MAPPING

    probability: Literal["fraction", "per_cent"]
    risks: tuple[Risk, ...] = ()
    recommendations: bool = True
    model_versions: tuple[str, ...] = ()
    pin: bool = False


def request_of(tool: Tool) -> Request:
    """Read ``request``. Raises ToolFileInvalid."""
    return read(Request, tool, "request")


def answer_of(tool: Tool) -> Answer:
    """Read ``answer``. Raises ToolFileInvalid."""
    return read(Answer, tool, "answer")


def check(tool: Tool) -> None:
    """Refuse a mapping that could not be used or understood. Raises ToolFileInvalid."""
    request, answer = request_of(tool), answer_of(tool)
    problems = []
    if not unique((request.subject, request.data, *request.fixed)):
        problems.append("request: two parameters have one name")
    for risk in answer.risks:
        check_bands(risk, tool=tool, part="answer.risks")
        code = risk.code
        if code.code is None or codes.well_formed(code.system, code.code) is False:
            problems.append("answer.risks: a code is missing, or cannot be one of its system")
    if answer.pin and not answer.model_versions:
        problems.append("answer.pin: needs model_versions")
    if problems:
        raise ToolFileInvalid(f"{tool.tool}.yaml: " + "; ".join(problems))
