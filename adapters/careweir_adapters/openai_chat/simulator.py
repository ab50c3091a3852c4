"""A chat model server: it reads the report and writes JSON by the schema that it was given."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from careweir_kit.simulation.brains import TEXT_BRAINS
from careweir_kit.simulation.model import (
    OLD_MODEL,
    SOMEBODY_ELSE,
    SimRequest,
    SimResponse,
    json_response,
)

_CHARACTERS_A_TOKEN = 4
_CREATED = 1_790_000_000


def answer(tool: Mapping[str, Any], brain: str, request: SimRequest) -> SimResponse:
    """Answer one completion from the text of the last message."""
    if request.path != "/" + tool["request"].get("path", "v1/chat/completions"):
        return _error(404, "invalid_request_error", "not_found")
    body = request.json()
    if body.get("response_format", {}).get("type") != "json_schema":
        return _error(400, "invalid_request_error", "response_format")
    question = json.loads(body["messages"][-1]["content"])
    properties = body["response_format"]["json_schema"]["schema"]["properties"]
    written: dict[str, Any] = {
        "findings": [
            {"label": s.label, "present": s.probability >= 0.5, "side": s.side, "quote": s.quote}
            for s in TEXT_BRAINS[brain](question["report"])
            if s.quote
        ]
    }
    if "subject" in properties:
        written["subject"] = question["subject"]
        if request.twist == "wrong_patient":
            written["subject"] = SOMEBODY_ELSE

    content, reason = json.dumps(written, ensure_ascii=False), "stop"
    tokens_max = body.get("max_completion_tokens") or body.get("max_tokens") or 10_000
    if len(content) > tokens_max * _CHARACTERS_A_TOKEN:
        content, reason = content[: tokens_max * _CHARACTERS_A_TOKEN], "length"
    dated = OLD_MODEL if request.twist == "old_model" else "2026-05"
    message = {"role": "assistant", "content": content, "refusal": None}
    return json_response(
        200,
        {
            "id": f"chatcmpl-{request.seed}-{request.call}",
            "object": "chat.completion",
            "created": _CREATED,
            "model": f"{body['model']}-{dated}",
            "choices": [
                {"index": 0, "finish_reason": reason, "logprobs": None, "message": message}
            ],
            "usage": _usage(len(request.body), len(content)),
        },
    )


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
