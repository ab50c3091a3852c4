"""A model on the Messages API: it reads the message and calls the one tool that it was given."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from careweir_kit.simulation.model import OLD_MODEL, SimRequest, SimResponse, json_response
from careweir_kit.simulation.writer import write

_CHARACTERS_A_TOKEN = 4
_PIECE = 24


def answer(tool: Mapping[str, Any], brain: str, request: SimRequest) -> SimResponse:
    """Answer one message; without a version header, or with another form, as the API does."""
    if request.path != "/" + tool["request"].get("path", "v1/messages"):
        return _error(404, "not_found_error")
    body = request.json()
    if "anthropic-version" not in request.headers or "max_tokens" not in body:
        return _error(400, "invalid_request_error")
    schema = _schema(body)
    question = json.loads(body["messages"][-1]["content"])
    written = write(
        tool["answer"]["task"],
        brain,
        question,
        echo="subject" in schema["properties"],
        twist=request.twist,
    )
    message = _message(tool, body, request, written)
    if body.get("stream"):
        parts = "".join(_events(message)).encode()
        return SimResponse(200, parts, "text/event-stream; charset=utf-8")
    return json_response(200, message, **{"request-id": f"req_{request.seed}{request.call}"})


def _schema(body: Mapping[str, Any]) -> dict[str, Any]:
    if "tools" in body:
        return dict(body["tools"][0]["input_schema"])
    return dict(body["output_config"]["format"]["schema"])


def _message(
    tool: Mapping[str, Any], body: Mapping[str, Any], request: SimRequest, written: Any
) -> dict[str, Any]:
    text = json.dumps(written, ensure_ascii=False)
    cut = len(text) > body["max_tokens"] * _CHARACTERS_A_TOKEN
    block: dict[str, Any]
    if "tools" in body:
        name, given = body["tool_choice"]["name"], written if not cut else {}
        block = {"type": "tool_use", "id": "toolu_1", "name": name, "input": given}
        reason = "tool_use"
    else:
        block = {"type": "text", "text": text[: body["max_tokens"] * _CHARACTERS_A_TOKEN]}
        reason = "end_turn"
    dated = OLD_MODEL if request.twist == "old_model" else _dated(tool)
    return {
        "id": f"msg_{request.seed}{request.call}",
        "type": "message",
        "role": "assistant",
        "model": f"{body['model']}-{dated}",
        "content": [block],
        "stop_reason": "max_tokens" if cut else reason,
        "stop_sequence": None,
        "usage": {
            "input_tokens": len(request.body) // _CHARACTERS_A_TOKEN,
            "output_tokens": len(text) // _CHARACTERS_A_TOKEN,
        },
    }


def _dated(tool: Mapping[str, Any]) -> str:
    """The date of the model: that of the first version that the tool file knows."""
    known = tool["answer"].get("model_versions") or ("-20260501",)
    return str(known[0]).rpartition("-")[2]


def _events(message: Mapping[str, Any]) -> Iterator[str]:
    """The same message as the events of a stream, its content in small pieces."""
    block = dict(message["content"][0])
    is_tool = block["type"] == "tool_use"
    pieces = json.dumps(block["input"], ensure_ascii=False) if is_tool else block["text"]
    empty: dict[str, Any] = {"input": {}} if is_tool else {"text": ""}
    start = {**message, "content": [], "stop_reason": None}
    yield _event("message_start", message=start)
    yield _event("content_block_start", index=0, content_block=block | empty)
    yield _event("ping")
    for at in range(0, len(pieces), _PIECE):
        piece = pieces[at : at + _PIECE]
        key, kind = ("partial_json", "input_json_delta") if is_tool else ("text", "text_delta")
        yield _event("content_block_delta", index=0, delta={"type": kind, key: piece})
    yield _event("content_block_stop", index=0)
    reason = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield _event("message_delta", delta=reason, usage=message["usage"])
    yield _event("message_stop")


def _event(name: str, **more: Any) -> str:
    return f"event: {name}\ndata: {json.dumps({'type': name, **more}, ensure_ascii=False)}\n\n"


def _error(status: int, kind: str) -> SimResponse:
    error = {"type": "error", "error": {"type": kind, "message": "refused"}, "request_id": "req_0"}
    return json_response(status, error)
