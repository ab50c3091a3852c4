"""The wire form of a chat completion, streamed or whole, and of an error.

Source: openai/openai-openapi, openapi.json; deviations of compatible servers as in TGI
(docs/openapi.json and its recorded answers) and llama.cpp (tools/server).
"""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, Field, ValidationError

from careweir_kit.adapter import VendorAnswer
from careweir_kit.classify import json_object
from careweir_kit.errors import VendorProtocolBroken
from careweir_kit.event_stream import events, is_event_stream
from careweir_kit.mapping import WIRE
from careweir_kit.strict_json import JsonRefused, decode

CALLS_MAX: Final = 100
_END: Final = "[DONE]"


class Function(BaseModel):
    """The function that the model calls; some servers give its arguments as an object."""

    model_config = WIRE

    name: str | None = None
    arguments: str | dict[str, Any] = ""


class ToolCall(BaseModel):
    """One call of a tool."""

    model_config = WIRE

    function: Function


class Message(BaseModel):
    """What the model wrote: content, a refusal in its place, or the call of a function."""

    model_config = WIRE

    content: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = Field(default=None, max_length=CALLS_MAX)


class Choice(BaseModel):
    """One choice; only the first is read."""

    model_config = WIRE

    finish_reason: str | None = None
    message: Message


class Completion(BaseModel):
    """A chat completion. ``model`` is the resolved, dated model."""

    model_config = WIRE

    object: Literal["chat.completion"] | None = None
    model: str = Field(min_length=1)
    choices: list[Choice] = Field(min_length=1)

    @property
    def version(self) -> str:
        """The model that answered; of a file on the server's disk, its name alone."""
        if self.model.startswith(("/", "\\", "./")) or self.model[1:2] == ":":
            return self.model.replace("\\", "/").rstrip("/").rpartition("/")[2] or "a file"
        return self.model


class StreamError(Exception):
    """The vendor sent an error inside a stream; ``code`` is for comparison only."""

    def __init__(self, code: str) -> None:
        super().__init__("an error inside the stream")
        self.code = code


def completion_of(answer: VendorAnswer) -> Completion:
    """Read a completion; one whose stream was cut has no ``finish_reason``.

    Raises VendorProtocolBroken, and StreamError for an error inside a stream.
    """
    value = _assembled(answer.body) if is_event_stream(answer) else json_object(answer)
    try:
        return Completion.model_validate(value)
    except ValidationError:
        raise VendorProtocolBroken("not a chat completion") from None


def written(completion: Completion, *, function: str) -> Any:
    """The JSON value that the model wrote, as content or as arguments of the one function.

    What is there decides, not ``finish_reason``: some servers say ``stop`` beside a call.
    Raises VendorProtocolBroken.
    """
    message = completion.choices[0].message
    if not message.tool_calls:
        return _decoded(message.content or "")
    if len(message.tool_calls) != 1 or message.tool_calls[0].function.name != function:
        raise VendorProtocolBroken("the model did not call the one function that it was given")
    arguments = message.tool_calls[0].function.arguments
    return _decoded(arguments) if isinstance(arguments, str) else arguments


def _decoded(text: str) -> Any:
    try:
        return decode(text.encode())
    except (JsonRefused, UnicodeEncodeError):
        raise VendorProtocolBroken("the model did not write the JSON of its task") from None


def error_code(value: Any) -> str:
    """The machine-readable code of an error body, for comparison only; empty when there is none."""
    error = value.get("error") if isinstance(value, dict) else None
    if isinstance(error, str):
        code = value.get("error_type")
    else:
        code = error.get("code") if isinstance(error, dict) else None
        if not isinstance(code, str) and isinstance(error, dict):
            code = error.get("type")
    return code if isinstance(code, str) else ""


def _assembled(body: bytes) -> dict[str, Any]:
    """The completion that the chunks of a stream add up to: its first choice."""
    model: Any = None
    finish: Any = None
    words: dict[str, list[str]] = {"content": [], "refusal": []}
    calls: dict[int, dict[str, Any]] = {}
    for event in events(body):
        if event.data.strip() == _END:
            break
        chunk = event.json()
        if chunk.get("error") is not None:
            raise StreamError(error_code(chunk))
        model = chunk.get("model") or model
        choice = _first_choice(chunk)
        finish = choice.get("finish_reason") or finish
        delta = choice.get("delta")
        if isinstance(delta, dict):
            for key, pieces in words.items():
                if isinstance(delta.get(key), str):
                    pieces.append(delta[key])
            _take_calls(calls, delta.get("tool_calls"))
    if model is None:
        raise VendorProtocolBroken("a stream without a chunk of a completion")
    message: dict[str, Any] = {key: "".join(pieces) or None for key, pieces in words.items()}
    if calls:
        message["tool_calls"] = [{"function": calls[index]} for index in sorted(calls)]
    return {"model": model, "choices": [{"finish_reason": finish, "message": message}]}


def _first_choice(chunk: dict[str, Any]) -> dict[str, Any]:
    """The choice with index 0; the chunk that tells the usage has none."""
    choices = chunk.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and choice.get("index", 0) == 0:
            return choice
    return {}


def _take_calls(calls: dict[int, dict[str, Any]], given: Any) -> None:
    for call in given if isinstance(given, list) else ():
        index = call.get("index", 0) if isinstance(call, dict) else None
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < CALLS_MAX:
            raise VendorProtocolBroken("a chunk of the stream names no call")
        function = call.get("function")
        pieces = function if isinstance(function, dict) else {}
        held = calls.setdefault(index, {"name": None, "arguments": ""})
        if isinstance(pieces.get("name"), str):
            held["name"] = pieces["name"]
        if isinstance(pieces.get("arguments"), str):
            held["arguments"] += pieces["arguments"]
