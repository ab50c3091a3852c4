"""An answer says honestly how whole it is."""

from __future__ import annotations

import pytest

from careweir.outcome import http_status, outcome_of, retry_after
from careweir.question import Reply


def reply(status: str, mode: str = "live", retry_after_s: float | None = None) -> Reply:
    return Reply("t", "1", mode, status, retry_after_s=retry_after_s)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("replies", "outcome", "status"),
    [
        ([reply("answered"), reply("answered")], "complete", 200),
        ([reply("answered"), reply("withheld_by_policy")], "complete", 200),
        ([reply("answered"), reply("partial")], "degraded", 200),
        ([reply("answered"), reply("timed_out")], "degraded", 200),
        ([reply("timed_out"), reply("answered", "fallback")], "degraded", 200),
        ([reply("wrong_patient"), reply("refused", "fallback")], "failed", 502),
        ([reply("timed_out"), reply("timed_out")], "failed", 504),
        ([reply("unavailable"), reply("timed_out")], "failed", 503),
        ([reply("throttled", retry_after_s=12)], "failed", 503),
        ([reply("protocol_error"), reply("unavailable")], "failed", 502),
        ([reply("answered", "fallback")], "degraded", 200),
    ],
)
def test_outcome_and_status_follow_the_replies(
    replies: list[Reply], outcome: str, status: int
) -> None:
    assert outcome_of(replies) == outcome
    assert http_status(outcome_of(replies), replies) == status


def test_a_wait_is_named_only_where_waiting_can_help() -> None:
    throttled = [reply("throttled", retry_after_s=12)]
    broken = [reply("protocol_error")]

    assert retry_after("failed", throttled) == 12
    assert retry_after("failed", broken) is None
    assert retry_after("complete", [reply("answered")]) is None
