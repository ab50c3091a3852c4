"""JMESPath over a decoded answer: compiled once, and never a crash."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.parser import ParsedResult

from careweir_kit.errors import VendorProtocolBroken


@lru_cache(maxsize=2048)
def _compiled(expression: str) -> ParsedResult:
    return jmespath.compile(expression)


def compiles(expression: str) -> bool:
    """Whether an expression can be read."""
    try:
        _compiled(expression)
    except JMESPathError:
        return False
    return True


def find(expression: str, value: Any) -> Any:
    """What an expression gives. Raises VendorProtocolBroken where a type does not fit."""
    try:
        return _compiled(expression).search(value)
    except (JMESPathError, TypeError, ValueError, RecursionError):
        raise VendorProtocolBroken("a part of the answer has another type") from None


def holds(expression: str, value: Any) -> bool:
    """Whether an expression is true of an answer; one whose types do not fit is not."""
    try:
        found = find(expression, value)
    except VendorProtocolBroken:
        return False
    return bool(found) or (found == 0 and not isinstance(found, bool))
