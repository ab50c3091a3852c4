"""The wire form of a chat completion, of the findings in it, and of an error.

Source: openai/openai-openapi, openapi.json; error forms of compatible servers as in TGI.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from careweir_kit.adapter import VendorAnswer
from careweir_kit.classify import json_object
from careweir_kit.errors import VendorProtocolBroken
from careweir_kit.mapping import WIRE
from careweir_kit.strict_json import JsonRefused, decode


class Message(BaseModel):
    """What the model wrote: content, or a refusal in its place."""

    model_config = WIRE

    content: str | None = None
    refusal: str | None = None


class Choice(BaseModel):
    """One choice; only the first is read."""

    model_config = WIRE

    finish_reason: str | None = None
    message: Message


class Completion(BaseModel):
    """A chat completion. ``model`` is the resolved, dated model."""

    model_config = WIRE

    object: Literal["chat.completion"] | None = None
    model: str
    choices: list[Choice] = Field(min_length=1)


class Item(BaseModel):
    """One finding as the schema asks for it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    label: str = Field(min_length=1, max_length=120)
    present: bool
    side: Literal["left", "right", "both", "none"]
    quote: str = Field(max_length=4000)


class Content(BaseModel):
    """The JSON that the model was asked to write."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    findings: list[Item] = Field(max_length=200)
    subject: str | None = None


def findings_schema(subject: str | None) -> dict[str, Any]:
    """The strict schema: every property required, none besides; the subject as a constant."""
    item = {
        "type": "object",
        "additionalProperties": False,
        "required": ["label", "present", "side", "quote"],
        "properties": {
            "label": {"type": "string"},
            "present": {"type": "boolean"},
            "side": {"enum": ["left", "right", "both", "none"]},
            "quote": {"type": "string"},
        },
    }
    properties: dict[str, Any] = {"findings": {"type": "array", "items": item}}
    if subject is not None:
        properties["subject"] = {"type": "string", "const": subject}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
    }


def completion_of(answer: VendorAnswer) -> Completion:
    """Read a completion. Raises VendorProtocolBroken."""
    try:
        return Completion.model_validate(json_object(answer))
    except ValidationError:
        raise VendorProtocolBroken("not a chat completion") from None


def content_of(completion: Completion) -> Content:
    """Read the findings that the model wrote. Raises VendorProtocolBroken."""
    try:
        value = decode((completion.choices[0].message.content or "").encode())
        return Content.model_validate(value)
    except (JsonRefused, ValidationError, UnicodeEncodeError):
        raise VendorProtocolBroken("the model did not keep to the findings schema") from None


def error_code(answer: VendorAnswer) -> str:
    """The machine-readable code of an error body, for comparison only; empty when there is none."""
    try:
        error = json_object(answer).get("error")
    except VendorProtocolBroken:
        return ""
    if not isinstance(error, dict):
        return ""
    code = error.get("code") or error.get("type")
    return code if isinstance(code, str) else ""
