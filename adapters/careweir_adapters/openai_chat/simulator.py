"""A chat model server: it reads the message and writes JSON by the schema that it was given."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from careweir_kit.simulation.model import OLD_MODEL, SimRequest, SimResponse, json_response
from careweir_kit.simulation.writer import write

_CHARACTERS_A_TOKEN = 4
_CREATED = 1_790_000_000
_PIECE = 24


def answer(tool: Mapping[str, Any], brain: str, request: SimRequest) -> SimResponse:
    """Answer one completion from the last message."""
    if request.path != "/" + tool["request"].get("path", "v1/chat/completions"):
        return _error(404, "invalid_request_error", "not_found")
    body = request.json()
    schema = _schema(body)
    if schema is None:
        return _error(400, "invalid_request_error", "response_format")
    written = write(
        tool["answer"]["task"],
        brain,
        json.loads(body["messages"][-1]["content"]),
        echo="subject" in schema["properties"],
        twist=request.twist,
    )
    completion = _completion(body, request, json.dumps(written, ensure_ascii=False))
    if body.get("stream"):
        parts = "".join(_chunks(completion)).encode()
        return SimResponse(200, parts, "text/event-stream; charset=utf-8")
    return json_response(200, completion)


def _schema(body: Mapping[str, Any]) -> dict[str, Any] | None:
    if body.get("tools"):
        return dict(body["tools"][0]["function"]["parameters"])
    form = body.get("response_format", {})
    return dict(form["json_schema"]["schema"]) if form.get("type") == "json_schema" else None


def _completion(body: Mapping[str, Any], request: SimRequest, content: str) -> dict[str, Any]:
    tokens_max = body.get("max_completion_tokens") or body.get("max_tokens") or 10_000
    cut = len(content) > tokens_max * _CHARACTERS_A_TOKEN
    content = content[: tokens_max * _CHARACTERS_A_TOKEN]
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
    if body.get("tools"):
        function = {"name": body["tools"][0]["function"]["name"], "arguments": content}
        calls = [{"id": "call_1", "type": "function", "function": function}]
        message |= {"content": None, "tool_calls": calls}
    reason = "length" if cut else "tool_calls" if body.get("tools") else "stop"
    dated = OLD_MODEL if request.twist == "old_model" else "2026-05"
    return {
        "id": f"chatcmpl-{request.seed}-{request.call}",
        "object": "chat.completion",
        "created": _CREATED,
        "model": f"{body['model']}-{dated}",
        "choices": [{"index": 0, "finish_reason": reason, "logprobs": None, "message": message}],
        "usage": _usage(len(request.body), len(content)),
    }


def _chunks(completion: Mapping[str, Any]) -> Iterator[str]:
    """The same completion as chunks: a first one without content, pieces, the end, the usage."""
    choice = completion["choices"][0]
    head = {key: completion[key] for key in ("id", "created", "model")}
    head["object"] = "chat.completion.chunk"

    def chunk(delta: Mapping[str, Any], finish: str | None = None) -> str:
        one = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return _event(head | {"choices": [one]})

    yield chunk({"role": "assistant", "content": None})
    message = choice["message"]
    calls = message.get("tool_calls")
    words = calls[0]["function"]["arguments"] if calls else message["content"]
    if calls:
        named = calls[0] | {"index": 0, "function": calls[0]["function"] | {"arguments": ""}}
        yield chunk({"tool_calls": [named]})
    for at in range(0, len(words), _PIECE):
        piece = words[at : at + _PIECE]
        call = {"index": 0, "function": {"arguments": piece}}
        yield chunk({"tool_calls": [call]} if calls else {"content": piece})
    yield chunk({}, choice["finish_reason"])
    yield _event(head | {"choices": [], "usage": completion["usage"]})
    yield "data: [DONE]\n\n"


def _event(chunk: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n"


def _usage(asked: int, written: int) -> dict[str, int]:
    prompt, completion = asked // _CHARACTERS_A_TOKEN, written // _CHARACTERS_A_TOKEN
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def _error(status: int, kind: str, code: str) -> SimResponse:
    return json_response(
        status, {"error": {"message": "refused", "type": kind, "param": None, "code": code}}
    )
