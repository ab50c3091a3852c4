"""What an HTTP answer is before its body is read: the part that is the same for every adapter.

The status alone never decides that an answer is good; each adapter reads on from here.
"""

from __future__ import annotations

import math
from email.utils import parsedate_to_datetime
from typing import Any, Final

from careweir_kit.adapter import AnswerClass, Parsed, VendorAnswer, Verdict
from careweir_kit.errors import VendorProtocolBroken
from careweir_kit.strict_json import JsonRefused, decode

_UNAUTHORISED: Final = frozenset({401, 402, 403, 407})
_THROTTLED: Final = frozenset({429})
_VENDOR_FAULT: Final = frozenset({408, 424, 425})


def class_of_status(status: int) -> AnswerClass:
    """The class of a status; ``ok`` means no more than that the body may be read."""
    if status == 200:
        return "ok"
    if status in _UNAUTHORISED:
        return "unauthorised"
    if status in _THROTTLED:
        return "throttled"
    if status in _VENDOR_FAULT or 500 <= status <= 599:
        return "vendor_fault"
    return "bad_request" if 400 <= status <= 499 else "protocol_broken"


def verdict_of_status(answer: VendorAnswer) -> Verdict:
    """The verdict that needs no body: status, wait time, empty body, a foreign content type."""
    found = class_of_status(answer.status)
    if found != "ok":
        wait_s = retry_after_s(answer) if found in ("throttled", "vendor_fault") else None
        return Verdict(found, f"HTTP status {answer.status}", retry_after_s=wait_s)
    if not answer.body.strip():
        return Verdict("protocol_broken", "an empty body")
    if not is_json(answer):
        return Verdict("protocol_broken", "the content type is not JSON")
    return Verdict("ok")


def verdict_of_parsed(parsed: Parsed) -> Verdict:
    """The verdict on an answer that could be read: whole, or in part with what is missing."""
    if parsed.completeness == "partial":
        return Verdict("partial", "; ".join(parsed.notes))
    return Verdict("ok")


def is_json(answer: VendorAnswer) -> bool:
    """Whether the content type says JSON; a recording without headers is given a try."""
    media_type = answer.content_type
    return media_type in ("", "application/json") or media_type.endswith("+json")


def json_object(answer: VendorAnswer) -> dict[str, Any]:
    """Decode the body strictly to one JSON object. Raises VendorProtocolBroken."""
    try:
        value = decode(answer.body)
    except JsonRefused as refusal:
        raise VendorProtocolBroken(str(refusal)) from None
    if not isinstance(value, dict):
        raise VendorProtocolBroken("not a JSON object")
    return value


def retry_after_s(answer: VendorAnswer) -> float | None:
    """How long to wait, in seconds: ``retry-after-ms`` first, then seconds, then an HTTP date.

    A date is measured against the answer's own ``date`` header, so no clock is read here.
    """
    in_ms = positive_s(answer.headers.get("retry-after-ms"))
    if in_ms is not None:
        return in_ms / 1000
    raw = answer.headers.get("retry-after")
    seconds = positive_s(raw)
    if seconds is not None or raw is None:
        return seconds
    try:
        until = parsedate_to_datetime(raw)
        now = parsedate_to_datetime(answer.headers.get("date", ""))
        return max(0.0, (until - now).total_seconds())
    except (TypeError, ValueError):
        return None


def positive_s(raw: object) -> float | None:
    """A wait as a number, or as text of one; None for anything else, negative or infinite."""
    try:
        value = float(raw) if isinstance(raw, str | int | float) else math.nan
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) and value >= 0 else None
