"""Say honestly how whole an answer is: complete, degraded or failed, and with which status."""

from __future__ import annotations

from collections.abc import Sequence

from careweir.question import Outcome, Reply

_PASSING = frozenset({"unavailable", "throttled", "circuit_open", "overloaded"})
RETRY_AFTER_S = 5


def outcome_of(replies: Sequence[Reply], *, previous: bool = False) -> Outcome:
    """``complete`` when every live tool that was let through answered in full.

    A tool that policy withheld does not count; a fallback that stood in makes it ``degraded``, and
    so does a ``previous`` answer that policy lets be shown.
    """
    live = [r for r in replies if r.mode == "live" and r.status != "withheld_by_policy"]
    if live and all(reply.status == "answered" for reply in live):
        return "complete"
    if previous or any(reply.status in ("answered", "partial") for reply in replies):
        return "degraded"
    return "failed"


def http_status(outcome: Outcome, replies: Sequence[Reply]) -> int:
    """200, or for ``failed``: 504 all timed out, 503 all may pass, 502 otherwise."""
    if outcome != "failed":
        return 200
    live = {r.status for r in replies if r.mode == "live" and r.status != "withheld_by_policy"}
    if live == {"timed_out"}:
        return 504
    return 503 if live and live <= _PASSING | {"timed_out"} else 502


def retry_after(outcome: Outcome, replies: Sequence[Reply]) -> int | None:
    """Seconds to wait before asking again, where waiting can help."""
    if http_status(outcome, replies) not in (503, 504):
        return None
    asked = [reply.retry_after_s for reply in replies if reply.retry_after_s]
    return round(max(asked)) if asked else RETRY_AFTER_S
