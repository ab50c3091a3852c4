"""What every tool file of a language model holds, and how its question and answer hang together."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from careweir_kit.adapter import Ask, Parsed
from careweir_kit.errors import ToolFileInvalid, VendorProtocolBroken
from careweir_kit.language.question import (
    Question,
    Reads,
    question_of,
    service_asked_for,
    source_text,
)
from careweir_kit.language.reading import About, read_content
from careweir_kit.language.task import Task, check_task
from careweir_kit.mapping import MAPPING, read, version_notes
from careweir_kit.payload import bare_reference
from careweir_kit.tool import Tool


class ModelRequest(BaseModel):
    """``request`` in the tool file: which model reads what, under which instructions."""

    model_config = MAPPING

    model: str = Field(min_length=1)
    system_prompt: str = Field(min_length=1)
    tokens_max: int = Field(default=800, gt=0)
    reads: Reads = "text"
    preliminary: bool = False


class ModelAnswer(BaseModel):
    """``answer`` in the tool file.

    Findings of a version that is not in ``model_versions`` carry a note; with ``pin`` the answer
    is held instead.
    """

    model_config = MAPPING

    task: Task
    model_versions: tuple[str, ...] = ()
    pin: bool = False


def answer_of(tool: Tool) -> ModelAnswer:
    """Read ``answer``. Raises ToolFileInvalid."""
    return read(ModelAnswer, tool, "answer")


def check_asking(tool: Tool) -> None:
    """Refuse an ``answer`` that could not be used. Raises ToolFileInvalid."""
    answer = answer_of(tool)
    check_task(answer.task, tool)
    if answer.pin and not answer.model_versions:
        raise ToolFileInvalid(f"{tool.tool}.yaml: answer.pin: needs model_versions")


def echo_of(tool: Tool, ask: Ask) -> str | None:
    """The pseudonym that the model has to repeat, where the tool file wants it."""
    return ask.subject if tool.subject_echo == "required" else None


def ask_model(tool: Tool, request: ModelRequest, ask: Ask) -> Question:
    """The message for the model. Raises InputsMissing."""
    echo = echo_of(tool, ask) is not None
    return question_of(tool, ask, request.reads, echo=echo, preliminary=request.preliminary)


def read_answer(
    tool: Tool, request: ModelRequest, ask: Ask | None, value: Any, version: str
) -> Parsed:
    """Read what the model wrote, a JSON value. Raises VendorProtocolBroken."""
    answer = answer_of(tool)
    if answer.pin and version not in answer.model_versions:
        raise VendorProtocolBroken("another model version answered than the pinned one")
    reading = read_content(answer.task, value, _about(tool, request, ask, version))
    return Parsed(
        findings=reading.findings,
        echoes=(bare_reference(reading.subject),) if reading.subject is not None else (),
        model_name=request.model,
        model_version=version,
        completeness=reading.completeness,
        notes=(*version_notes(version, answer.model_versions), *reading.notes),
    )


def _about(tool: Tool, request: ModelRequest, ask: Ask | None, version: str) -> About:
    if ask is None:
        return About(tool.tool, version, reads_text=request.reads != "facts")
    report = source_text(ask, request.reads, preliminary=request.preliminary)
    return About(
        tool=tool.tool,
        version=version,
        text=report.text if report else "",  # a quote from no text is not grounded
        effective=report.effective if report else ask.as_of,
        service=service_asked_for(ask.payload),
        reads_text=report is not None,
    )
