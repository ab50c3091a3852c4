"""One study or specimen is bound to two patients.

The most dangerous of all: one of the two answers is about somebody else.
Source: CONFLICTS section 2; v3-ActCode KEY206 (non-matching identification).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from careweir.conflicts.case import Case
from careweir.conflicts.normalise import Fact
from careweir.conflicts.pairs import BOTH
from careweir.conflicts.rulebook import RuleBook
from careweir.conflicts.verdict import PairRule, Verdict, in_order, said


def _lanes(fact: Fact, book: RuleBook) -> Iterator[tuple[Hashable, int]]:
    if fact.context == "family":
        return
    if fact.study is not None:
        yield ("study", fact.study), BOTH
    if fact.specimen is not None:
        yield ("specimen", fact.specimen), BOTH


def _judge(a: Fact, b: Fact, case: Case) -> Verdict | None:
    if a.subject == b.subject or "family" in (a.context, b.context):
        return None
    what = None
    if a.study is not None and a.study == b.study:
        what = "study"
    elif a.specimen is not None and a.specimen == b.specimen:
        what = "specimen"
    if what is None:
        return None
    first, second = in_order(a, b)
    return Verdict(
        "high",
        f"{said(first)} and {said(second)} bind one {what} to two different patients",
    )


def _window_s(fact: Fact, book: RuleBook) -> float:
    return book.general.window_h.assertion * 3600


RULE = PairRule(
    name="subject_mismatch",
    kinds=frozenset(
        {"assertion", "measurement", "risk", "recommendation", "coding", "triage", "document"}
    ),
    lanes=_lanes,
    judge=_judge,
    window_s=_window_s,
    binds_subject=True,
)
