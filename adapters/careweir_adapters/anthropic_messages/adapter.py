"""The Messages API: a text or coded facts go out, the input of one tool comes in.

The stop reason decides before anything is read: a refusal is refused though its status is 200, and
an answer that was cut is partial and is not read, whatever stands in it.

Source: anthropics/anthropic-sdk-python, src/anthropic/types.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from careweir_adapters.anthropic_messages.mapping import Request, check, request_of
from careweir_adapters.anthropic_messages.wire import (
    Message,
    VendorError,
    error_class,
    message_of,
    written,
)
from careweir_kit.adapter import Ask, Parsed, VendorAnswer, VendorRequest, Verdict
from careweir_kit.classify import json_object, retry_after_s, verdict_of_status
from careweir_kit.errors import VendorProtocolBroken
from careweir_kit.event_stream import is_event_stream
from careweir_kit.language import (
    answer_of,
    ask_model,
    check_content,
    echo_of,
    read_answer,
    schema_of,
)
from careweir_kit.tool import Tool

_WHOLE: Final = frozenset({"tool_use", "end_turn", "stop_sequence"})
_CUT: Final = {
    "max_tokens": "the answer was cut at its length limit",
    "model_context_window_exceeded": "the answer was cut at the limit of the model's context",
    "pause_turn": "the model paused before it had answered",
    None: "the stream ended before the answer did",
}


def check_tool(tool: Tool) -> None:
    """Refuse a tool file whose mapping cannot be used. Raises ToolFileInvalid."""
    check(tool)


def build_request(tool: Tool, ask: Ask) -> VendorRequest:
    """One message. Raises InputsMissing when there is nothing to read."""
    mapping = request_of(tool)
    question = ask_model(tool, mapping, ask)
    body: dict[str, Any] = {
        "model": mapping.model,
        "max_tokens": mapping.tokens_max,
        "system": mapping.system_prompt,
        "messages": [{"role": "user", "content": question.message}],
        **_structure(mapping, schema_of(answer_of(tool).task, echo_of(tool, ask))),
    }
    if mapping.temperature is not None:
        body["temperature"] = mapping.temperature
    if mapping.inference_geo is not None:
        body["inference_geo"] = mapping.inference_geo
    if mapping.stream:
        body["stream"] = True
    accept = "text/event-stream" if mapping.stream else "application/json"
    return VendorRequest(
        "POST",
        mapping.path,
        orjson.dumps(body),
        {
            "content-type": "application/json",
            "accept": accept,
            "anthropic-version": mapping.api_version,
        },
        accept=(accept, "application/json") if mapping.stream else (accept,),
        without=question.without,
    )


def _structure(mapping: Request, schema: dict[str, Any]) -> dict[str, Any]:
    if mapping.structured == "format":
        return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
    one = {
        "name": mapping.tool_name,
        "description": "Give the answer in this form.",
        "input_schema": schema,
    }
    choice = {"type": "tool", "name": mapping.tool_name, "disable_parallel_tool_use": True}
    return {"tools": [one | ({"strict": True} if mapping.strict else {})], "tool_choice": choice}


def classify_answer(tool: Tool, answer: VendorAnswer) -> Verdict:
    """Say what kind of answer this is; never raises."""
    try:
        if answer.status != 200:
            return _of_error(answer)
        if not is_event_stream(answer):
            verdict = verdict_of_status(answer)
            if verdict.answer_class != "ok":
                return verdict
            if (found := error_class(json_object(answer))) is not None:
                return Verdict(found, "an error with status 200", retry_after_s(answer))
        return _of_message(tool, message_of(answer), streamed=is_event_stream(answer))
    except VendorError as error:
        return Verdict(error.answer_class, "an error inside the stream")
    except VendorProtocolBroken as broken:
        return Verdict("protocol_broken", str(broken))


def _of_error(answer: VendorAnswer) -> Verdict:
    """By the type of the error where its body has one that we know, else by the status."""
    verdict = verdict_of_status(answer)
    try:
        found = error_class(json_object(answer)) if answer.status >= 400 else None
    except VendorProtocolBroken:
        return verdict
    if found is None or found == verdict.answer_class:
        return verdict
    wait_s = retry_after_s(answer) if found in ("throttled", "vendor_fault") else None
    return Verdict(found, verdict.note, retry_after_s=wait_s)


def _of_message(tool: Tool, message: Message, *, streamed: bool) -> Verdict:
    if message.stop_reason == "refusal":
        return Verdict("refused", "the model declined")
    if (cut := _cut(message, streamed=streamed)) is not None:
        return Verdict("partial", cut)
    if message.stop_reason not in _WHOLE:
        return Verdict("protocol_broken", "the answer did not come to its end")
    mapping = request_of(tool)
    value = written(message, structured=mapping.structured, tool_name=mapping.tool_name)
    check_content(answer_of(tool).task, value)
    return Verdict("ok")


def _cut(message: Message, *, streamed: bool) -> str | None:
    """Why the answer is not whole, or None; only a stream may end without a reason."""
    if message.stop_reason is None and not streamed:
        return None
    return _CUT.get(message.stop_reason)


def parse_findings(tool: Tool, ask: Ask | None, answer: VendorAnswer) -> Parsed:
    """Read findings and check each quote against the text. Raises VendorProtocolBroken."""
    mapping = request_of(tool)
    try:
        message = message_of(answer)
    except VendorError:
        raise VendorProtocolBroken("an error inside the stream") from None
    if (cut := _cut(message, streamed=is_event_stream(answer))) is not None:
        note = f"{cut} and was not read"
        return Parsed((), model_version=message.model, completeness="partial", notes=(note,))
    value = written(message, structured=mapping.structured, tool_name=mapping.tool_name)
    return read_answer(tool, mapping, ask, value, message.model)
