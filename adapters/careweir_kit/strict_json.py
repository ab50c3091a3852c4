"""The one JSON decoder for every edge: callers' bodies, vendors' answers, recordings.

Python's ``json``, orjson and pydantic all take the last of two equal keys without a word, which
lets ``{"patient": "A", "patient": "B"}`` mean two things to two readers. This one refuses
duplicates, NaN and infinities, numbers that overflow, and anything nested deeper than a limit.
"""

from __future__ import annotations

import math
import re
from typing import Any

import jiter

DEPTH_MAX = 64
MEMBERS_MAX = 500_000  # of all objects and arrays together
# A number can only be infinite with an exponent of three digits, or with hundreds of digits. That
# every alternative begins with a digit lets the search skip whatever is none.
_MAY_OVERFLOW = re.compile(rb"[0-9](?:[eE]\+?[0-9]{3}|[0-9]{299})")


class JsonRefused(ValueError):
    """Bytes that are not acceptable JSON; the message never quotes them."""


def decode(body: bytes, *, depth_max: int = DEPTH_MAX, members_max: int = MEMBERS_MAX) -> Any:
    """Decode one JSON document, or raise JsonRefused."""
    try:
        value = jiter.from_json(body, allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError as error:
        raise JsonRefused(_reason(str(error))) from None
    levels = _levels(value, depth_max, members_max)
    if _MAY_OVERFLOW.search(body) and not all(map(_finite, levels)):
        raise JsonRefused("a number is out of range")
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


def _levels(value: Any, depth_max: int, members_max: int) -> list[list[Any]]:
    """The containers of a document, level by level; a comprehension a level is what is fast."""
    level: list[Any] = [value] if type(value) is dict or type(value) is list else [[value]]
    levels: list[list[Any]] = []
    members = 0
    while level:
        if len(levels) == depth_max:
            raise JsonRefused("nested too deeply")
        members += sum(map(len, level))
        if members > members_max:
            raise JsonRefused("too many members")
        levels.append(level)
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node)
            if type(child) is dict or type(child) is list
        ]
    return levels


def _finite(level: list[Any]) -> bool:
    return not any(
        type(child) is float and not math.isfinite(child)
        for node in level
        for child in (node.values() if type(node) is dict else node)
    )
