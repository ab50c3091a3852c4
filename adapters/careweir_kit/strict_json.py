"""The one JSON decoder for every edge: callers' bodies, vendors' answers, recordings.

Python's ``json``, orjson and pydantic all take the last of two equal keys without a word, which
lets ``{"patient": "A", "patient": "B"}`` mean two things to two readers. This one refuses
duplicates, NaN and infinities, numbers that overflow, and anything nested deeper than a limit.
"""

from __future__ import annotations

import math
from typing import Any

import jiter

DEPTH_MAX = 64


class JsonRefused(ValueError):
    """Bytes that are not acceptable JSON; the message never quotes them."""


def decode(body: bytes, *, depth_max: int = DEPTH_MAX) -> Any:
    """Decode one JSON document, or raise JsonRefused."""
    try:
        value = jiter.from_json(body, allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError as error:
        raise JsonRefused(_reason(str(error))) from None
    _check(value, depth_max)
    return value


def _reason(message: str) -> str:
    lowered = message.lower()
    if "duplicate key" in lowered:
        return "a key occurs twice in one object"
    if "recursion" in lowered:
        return "nested too deeply"
    if "utf" in lowered or "surrogate" in lowered:
        return "not valid UTF-8"
    return "not valid JSON"


def _check(value: Any, depth_left: int) -> None:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise JsonRefused("a number is out of range")
        return
    if not isinstance(value, dict | list):
        return
    if depth_left == 0:
        raise JsonRefused("nested too deeply")
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, dict | list | float):
            _check(item, depth_left - 1)
