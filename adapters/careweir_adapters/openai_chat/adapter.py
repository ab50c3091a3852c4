"""Chat completions: a text or coded facts go out, JSON in the form of a task comes in.

The order of checks follows what a reader of the answer may trust: a cut answer is not read, a
filtered or refused one has no findings, and only then is the content decoded and checked.

Source: openai/openai-openapi, openapi.json.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from careweir_adapters.openai_chat.mapping import Request, check, request_of
from careweir_adapters.openai_chat.wire import (
    Completion,
    StreamError,
    completion_of,
    error_code,
    written,
)
from careweir_kit.adapter import Ask, Parsed, VendorAnswer, VendorRequest, Verdict
from careweir_kit.classify import json_object, positive_s, retry_after_s, verdict_of_status
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

# The last two are what TGI writes where others write ``stop``.
_FINISHED: Final = frozenset({"stop", "eos_token", "stop_sequence"})
_QUOTA: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
_DECLINED: Final = frozenset({"content_filter", "content_policy_violation"})
_CUT: Final = "the answer was cut at its length limit"
_CUT_STREAM: Final = "the stream ended before the answer did"


def check_tool(tool: Tool) -> None:
    """Refuse a tool file whose mapping cannot be used. Raises ToolFileInvalid."""
    check(tool)


def build_request(tool: Tool, ask: Ask) -> VendorRequest:
    """One completion. Raises InputsMissing when there is nothing to read."""
    mapping = request_of(tool)
    question = ask_model(tool, mapping, ask)
    body: dict[str, Any] = {
        "model": mapping.model,
        "temperature": 0,
        mapping.tokens_key: mapping.tokens_max,
        "messages": [
            {"role": "system", "content": mapping.system_prompt},
            {"role": "user", "content": question.message},
        ],
        **_structure(mapping, schema_of(answer_of(tool).task, echo_of(tool, ask))),
    }
    if mapping.send_store:
        body["store"] = False
    if mapping.stream:
        body["stream"] = True
    accept = "text/event-stream" if mapping.stream else "application/json"
    return VendorRequest(
        "POST",
        mapping.path,
        orjson.dumps(body),
        {"content-type": "application/json", "accept": accept},
        accept=(accept, "application/json") if mapping.stream else (accept,),
        without=question.without,
    )


def _structure(mapping: Request, schema: dict[str, Any]) -> dict[str, Any]:
    name = mapping.schema_name
    if mapping.structured == "json_schema":
        form = {"name": name, "strict": True, "schema": schema}
        return {"response_format": {"type": "json_schema", "json_schema": form}}
    function = {"name": name, "strict": True, "parameters": schema}
    return {
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": name}},
    }


def classify_answer(tool: Tool, answer: VendorAnswer) -> Verdict:
    """Say what kind of answer this is; never raises."""
    try:
        if answer.status != 200:
            return _of_error(answer)
        if not is_event_stream(answer):
            verdict = verdict_of_status(answer)
            if verdict.answer_class != "ok":
                return verdict
        return _of_completion(tool, completion_of(answer), streamed=is_event_stream(answer))
    except StreamError as error:
        return _of_code(error.code) or Verdict("vendor_fault", "an error inside the stream")
    except VendorProtocolBroken as broken:
        return Verdict("protocol_broken", str(broken))


def _of_error(answer: VendorAnswer) -> Verdict:
    verdict = verdict_of_status(answer)
    try:
        value = json_object(answer)
    except VendorProtocolBroken:
        return verdict
    if answer.status >= 400 and (found := _of_code(error_code(value))) is not None:
        return found
    if verdict.answer_class == "vendor_fault" and retry_after_s(answer) is None:
        # A model that is still being loaded says for how long.
        return Verdict("vendor_fault", verdict.note, positive_s(value.get("estimated_time")))
    return verdict


def _of_code(code: str) -> Verdict | None:
    if code in _QUOTA:
        return Verdict("unauthorised", "the quota of our account is used up")
    return Verdict("refused", "the service declined the text") if code in _DECLINED else None


def _of_completion(tool: Tool, completion: Completion, *, streamed: bool) -> Verdict:
    choice = completion.choices[0]
    if (cut := _cut(completion, streamed=streamed)) is not None:
        return Verdict("partial", cut)
    if choice.finish_reason == "content_filter":
        return Verdict("refused", "the service filtered the answer")
    if choice.message.refusal:
        return Verdict("refused", "the model declined")
    called = choice.finish_reason == "tool_calls" and choice.message.tool_calls
    if choice.finish_reason not in _FINISHED and not called:
        return Verdict("protocol_broken", "the answer did not come to its end")
    value = written(completion, function=request_of(tool).schema_name)
    check_content(answer_of(tool).task, value)
    return Verdict("ok")


def _cut(completion: Completion, *, streamed: bool) -> str | None:
    """Why the answer is not whole, or None; only a stream may end without a reason."""
    reason = completion.choices[0].finish_reason
    if reason == "length":
        return _CUT
    return _CUT_STREAM if streamed and reason is None else None


def parse_findings(tool: Tool, ask: Ask | None, answer: VendorAnswer) -> Parsed:
    """Read findings and check each quote against the text. Raises VendorProtocolBroken."""
    mapping = request_of(tool)
    try:
        completion = completion_of(answer)
    except StreamError:
        raise VendorProtocolBroken("an error inside the stream") from None
    if (cut := _cut(completion, streamed=is_event_stream(answer))) is not None:
        note = f"{cut} and was not read"
        return Parsed((), model_version=completion.version, completeness="partial", notes=(note,))
    value = written(completion, function=mapping.schema_name)
    return read_answer(tool, mapping, ask, value, completion.version)
