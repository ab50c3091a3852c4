"""The tool file of a model on the Messages API."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from careweir_kit.language import ModelRequest, check_asking
from careweir_kit.mapping import read
from careweir_kit.tool import Tool


class Request(ModelRequest):
    """``request`` in the tool file.

    ``structured`` says how the form of the answer is asked for: as the input of one tool that the
    model must call, or as an output format. ``strict`` is sent only where the model knows it.
    """

    path: str = "v1/messages"
    api_version: str = Field(default="2023-06-01", pattern=r"^\d{4}-\d{2}-\d{2}$")
    structured: Literal["tool", "format"] = "tool"
    tool_name: str = Field(default="report", pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    strict: bool = False
    temperature: float | None = Field(default=0, ge=0, le=1)  # None: some models refuse the key
    stream: bool = False
    inference_geo: str | None = None


def request_of(tool: Tool) -> Request:
    """Read ``request``. Raises ToolFileInvalid."""
    return read(Request, tool, "request")


def check(tool: Tool) -> None:
    """Refuse a mapping that could not be used. Raises ToolFileInvalid."""
    request_of(tool)
    check_asking(tool)
