"""The tool file of a model behind chat completions, and how far its server deviates."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from careweir_kit.language import ModelRequest, check_asking
from careweir_kit.mapping import read
from careweir_kit.tool import Tool


class Request(ModelRequest):
    """``request`` in the tool file.

    ``structured`` says how the form of the answer is asked for: as a response format, or as the
    arguments of one function that the model must call. ``schema_name`` names either.
    """

    path: str = "v1/chat/completions"
    tokens_key: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    send_store: bool = True  # ``store: false``; some clones refuse a key that they do not know
    structured: Literal["json_schema", "function"] = "json_schema"
    schema_name: str = Field(default="findings", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    stream: bool = False


def request_of(tool: Tool) -> Request:
    """Read ``request``. Raises ToolFileInvalid."""
    return read(Request, tool, "request")


def check(tool: Tool) -> None:
    """Refuse a mapping that could not be used. Raises ToolFileInvalid."""
    request_of(tool)
    check_asking(tool)
