"""One tool says present, another says absent, of one concept on one occasion.

"No parent" excludes every child; "no child" says nothing of its parent. Absent without a side or
place is absent everywhere; absent on one side contradicts only what is present on that side. An
acute condition that is absent says nothing of a chronic one.
Source: CONFLICTS section 2; severity high on the list of critical findings (concepts.yaml).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from careweir.conflicts.case import Case
from careweir.conflicts.normalise import Fact
from careweir.conflicts.pairs import LEFT, RIGHT
from careweir.conflicts.rulebook import RuleBook
from careweir.conflicts.sameness import (
    differ_in_source,
    places_meet,
    same_occasion,
    same_subject,
    sides_meet,
)
from careweir.conflicts.verdict import PairRule, Verdict, occasion, said
from careweir_fhir.model import Severity


def _lanes(fact: Fact, book: RuleBook) -> Iterator[tuple[Hashable, int]]:
    if fact.context is not None or not fact.concept.usable:
        return
    if fact.polarity == 1:
        for name in fact.concept.above:
            yield (fact.subject, name), LEFT
    elif fact.polarity == -1:
        for name in fact.concept.ids:
            yield (fact.subject, name), RIGHT


def _judge(a: Fact, b: Fact, case: Case) -> Verdict | None:
    if a.polarity * b.polarity != -1 or not differ_in_source(a, b) or not same_subject(a, b):
        return None
    present, absent = (a, b) if a.polarity == 1 else (b, a)
    if not (present.concept.usable and absent.concept.usable):
        return None
    if present.concept.above.isdisjoint(absent.concept.ids):
        return None
    if {present.concept.age, absent.concept.age} == {"acute", "chronic"}:
        return None
    if not (sides_meet(present, absent) and places_meet(present, absent)):
        return None
    if not same_occasion(a, b, window_s=_window_s(a, case.book)):
        return None
    return Verdict(_severity(present, absent, case.book), _reason(present, absent))


def _severity(present: Fact, absent: Fact, book: RuleBook) -> Severity:
    for fact in (present, absent):
        if fact.confidence is not None and fact.confidence < book.general.confidence_low:
            return "low"
    return "high" if present.concept.critical or absent.concept.critical else "moderate"


def _reason(present: Fact, absent: Fact) -> str:
    narrow, broad = present.concept.label, absent.concept.label
    excluded = broad if narrow == broad else f"{broad} (which covers {narrow})"
    return (
        f"{said(present)} says {narrow} present, {said(absent)} says {excluded} absent, "
        f"{occasion(present, absent)}"
    )


def _window_s(fact: Fact, book: RuleBook) -> float:
    return book.general.window_h.assertion * 3600


RULE = PairRule(
    name="assertion_contradiction",
    kinds=frozenset({"assertion", "coding"}),
    lanes=_lanes,
    judge=_judge,
    window_s=_window_s,
)
