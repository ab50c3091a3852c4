"""The tool file of a chat model: its instructions, and which label is which code."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from careweir_fhir.model import Coding
from careweir_kit.errors import ToolFileInvalid
from careweir_kit.mapping import MAPPING, read
from careweir_kit.tool import Tool


class Request(BaseModel):
    """``request`` in the tool file."""

    model_config = MAPPING

    model: str = Field(min_length=1)
    system_prompt: str = Field(min_length=1)
    path: str = "v1/chat/completions"
    tokens_key: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    tokens_max: int = Field(default=800, gt=0)
    send_store: bool = True  # ``store: false``; some clones refuse a key that they do not know
    preliminary: bool = False


class Answer(BaseModel):
    """``answer`` in the tool file: labels in lower case and their codes."""

    model_config = MAPPING

    labels: dict[str, Coding] = Field(min_length=1)
    model_versions: tuple[str, ...] = ()  # known ones; findings of another carry a note


def request_of(tool: Tool) -> Request:
    """Read ``request``. Raises ToolFileInvalid."""
    return read(Request, tool, "request")


def answer_of(tool: Tool) -> Answer:
    """Read ``answer``. Raises ToolFileInvalid."""
    return read(Answer, tool, "answer")


def check(tool: Tool) -> None:
    """Refuse a mapping that could not be used. Raises ToolFileInvalid."""
    request_of(tool)
    for label in answer_of(tool).labels:
        if label != label.strip().lower():
            raise ToolFileInvalid(f"{tool.tool}.yaml: answer.labels: a label is not in lower case")
