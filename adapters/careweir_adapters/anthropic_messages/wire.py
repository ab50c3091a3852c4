"""The wire form of a message, of an error, and of a message that came as a stream of events.

Source: anthropics/anthropic-sdk-python, src/anthropic/types (Message, RawMessageStreamEvent) and
_exceptions.py.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, Field, ValidationError

from careweir_kit.adapter import AnswerClass, VendorAnswer
from careweir_kit.classify import json_object
from careweir_kit.errors import VendorProtocolBroken
from careweir_kit.event_stream import events, is_event_stream
from careweir_kit.mapping import WIRE
from careweir_kit.strict_json import JsonRefused, decode

BLOCKS_MAX: Final = 100
# What a type of error means for us, whatever the status that it comes with.
ERRORS: Final[dict[str, AnswerClass]] = {
    "invalid_request_error": "bad_request",
    "authentication_error": "unauthorised",
    "billing_error": "unauthorised",
    "permission_error": "unauthorised",
    "not_found_error": "bad_request",
    "request_too_large": "bad_request",
    "rate_limit_error": "throttled",
    "api_error": "vendor_fault",
    "timeout_error": "vendor_fault",
    "overloaded_error": "vendor_fault",
}


class Block(BaseModel):
    """One block of content; types that we did not ask for are left alone."""

    model_config = WIRE

    type: str
    text: str | None = None
    name: str | None = None
    input: Any = None


class Message(BaseModel):
    """A message. ``model`` is the resolved, dated model."""

    model_config = WIRE

    type: Literal["message"]
    role: Literal["assistant"]
    model: str = Field(min_length=1)
    content: list[Block] = Field(max_length=BLOCKS_MAX)
    stop_reason: str | None = None


class VendorError(Exception):
    """The vendor sent an error in place of, or inside, an answer."""

    def __init__(self, answer_class: AnswerClass) -> None:
        super().__init__(answer_class)
        self.answer_class: AnswerClass = answer_class


def message_of(answer: VendorAnswer) -> Message:
    """Read a message, streamed or not; one that was cut has no ``stop_reason``.

    Raises VendorProtocolBroken, and VendorError for an error event inside a stream.
    """
    value = _assembled(answer.body) if is_event_stream(answer) else json_object(answer)
    try:
        return Message.model_validate(value)
    except ValidationError:
        raise VendorProtocolBroken("not a message") from None


def error_class(value: Any) -> AnswerClass | None:
    """The class of an error body by its type; None when it is none, or one that nobody knows."""
    error = value.get("error") if isinstance(value, dict) else None
    kind = error.get("type") if isinstance(error, dict) else None
    return ERRORS.get(kind) if isinstance(kind, str) else None


def written(message: Message, *, structured: str, tool_name: str) -> Any:
    """The JSON value that the model wrote. Raises VendorProtocolBroken."""
    if structured == "tool":
        calls = [block for block in message.content if block.type == "tool_use"]
        if len(calls) != 1 or calls[0].name != tool_name:
            raise VendorProtocolBroken("the model did not call the one tool that it was given")
        return calls[0].input
    texts = [block.text for block in message.content if block.type == "text" and block.text]
    try:
        return decode("".join(texts).encode())
    except (JsonRefused, UnicodeEncodeError):
        raise VendorProtocolBroken("the model did not write the JSON of its task") from None


def _assembled(body: bytes) -> dict[str, Any]:
    """The message that the events of a stream add up to. Raises as ``message_of``."""
    message: dict[str, Any] | None = None
    blocks: dict[int, dict[str, Any]] = {}
    for event in events(body):
        value = event.json()
        kind = value.get("type", event.name)
        if kind == "error":
            raise VendorError(error_class(value) or "vendor_fault")
        if kind == "message_start" and isinstance(value.get("message"), dict):
            message = dict(value["message"])
        elif kind == "message_delta" and message is not None:
            _take_end(message, value)
        elif isinstance(kind, str) and kind.startswith("content_block"):
            _take_block(blocks, kind, value)
    if message is None:
        raise VendorProtocolBroken("a stream without the start of a message")
    return message | {"content": [_whole(blocks[index]) for index in sorted(blocks)]}


def _take_end(message: dict[str, Any], value: dict[str, Any]) -> None:
    delta = value.get("delta")
    if isinstance(delta, dict) and delta.get("stop_reason") is not None:
        message["stop_reason"] = delta["stop_reason"]


def _take_block(blocks: dict[int, dict[str, Any]], kind: str, value: dict[str, Any]) -> None:
    index, given = value.get("index"), value.get("content_block")
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < BLOCKS_MAX:
        raise VendorProtocolBroken("an event of the stream names no block")
    if kind == "content_block_start" and isinstance(given, dict):
        blocks[index] = {**given, "json": [], "words": [given.get("text") or ""]}
        return
    if kind != "content_block_delta" or index not in blocks:
        return
    delta = value.get("delta")
    pieces = delta if isinstance(delta, dict) else {}
    for name, place in (("partial_json", "json"), ("text", "words")):
        if isinstance(pieces.get(name), str):
            blocks[index][place].append(pieces[name])


def _whole(block: dict[str, Any]) -> dict[str, Any]:
    """A block with its pieces put together; the JSON of a cut one stays unread."""
    pieces, words = "".join(block.pop("json")), block.pop("words")
    if block.get("type") == "text":
        return block | {"text": "".join(map(str, words))}
    if pieces:
        try:
            return block | {"input": decode(pieces.encode())}
        except (JsonRefused, UnicodeEncodeError):
            return block | {"input": None}
    return block
