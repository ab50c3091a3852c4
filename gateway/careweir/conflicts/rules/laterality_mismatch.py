"""Two tools find one unilateral condition of a paired organ on opposite sides.

The side may be a field, a word or a character inside an ICD-10-CM code. Silence about a side is no
mismatch, nor is a condition that is commonly on both sides unless a tool says "only".
Source: CONFLICTS section 2.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from careweir.conflicts.case import Case, concept_key
from careweir.conflicts.normalise import Fact
from careweir.conflicts.pairs import BOTH
from careweir.conflicts.rulebook import RuleBook
from careweir.conflicts.sameness import (
    differ_in_source,
    opposite_sides,
    same_occasion,
    same_subject,
)
from careweir.conflicts.verdict import PairRule, Verdict, in_order, occasion, said
from careweir.conflicts.words import plain

_NAMES = {"R": "right", "L": "left"}


def _lanes(fact: Fact, book: RuleBook) -> Iterator[tuple[Hashable, int]]:
    if fact.sides is None or fact.polarity != 1 or fact.context is not None:
        return
    if fact.concept.usable and not fact.concept.unpaired:
        for name in fact.concept.above:
            yield (fact.subject, name), BOTH


def _judge(a: Fact, b: Fact, case: Case) -> Verdict | None:
    if not opposite_sides(a, b) or a.polarity != 1 or b.polarity != 1:
        return None
    if not differ_in_source(a, b) or not same_subject(a, b):
        return None
    if not (a.concept.usable and b.concept.usable) or a.concept.unpaired or b.concept.unpaired:
        return None
    if _assessed(a, case.book) or _assessed(b, case.book):
        return None
    if not one_concept(a, b) or _said_elsewhere(a, b, case) or _sides_of_places(a, b):
        return None
    if (a.concept.bilateral or b.concept.bilateral) and not (
        claims_one(a, case.book) or claims_one(b, case.book)
    ):
        return None
    if not same_occasion(a, b, window_s=_window_s(a, case.book)):
        return None
    first, second = in_order(a, b)
    return Verdict(
        "high",
        f"{first.concept.label}: {said(first)} says {side_text(first)}, {said(second)} says "
        f"{side_text(second)}, {occasion(a, b)}",
    )


def one_concept(a: Fact, b: Fact) -> bool:
    """One concept, or one a kind of the other."""
    return not (
        a.concept.above.isdisjoint(b.concept.ids) and b.concept.above.isdisjoint(a.concept.ids)
    )


def claims_one(fact: Fact, book: RuleBook) -> bool:
    """Do the tool's own words claim a single lesion or side?"""
    texts = (fact.finding.value, fact.finding.code.display)
    words = {word for text in texts if isinstance(text, str) for word in plain(text).split()}
    return fact.concept.single or not words.isdisjoint(book.general.single_words)


def _assessed(fact: Fact, book: RuleBook) -> bool:
    """A grade given to a side (BI-RADS of the left breast): each side has its own."""
    finding = fact.finding
    if finding.scale is not None:
        return True
    grade = book.grades.grade_of(finding, fact.concept) if finding.value is not None else None
    return grade is not None and not book.scales.grades[grade.scale].shared


def _said_elsewhere(a: Fact, b: Fact, case: Case) -> bool:
    """Does either tool also name the other's side (two findings instead of 'bilateral')?"""
    both = (a.sides or frozenset()) | (b.sides or frozenset())
    return any(case.sides_said.get(concept_key(f), set()) >= both for f in (a, b))


def _sides_of_places(a: Fact, b: Fact) -> bool:
    """Sides that only come from two places, which are not the whole organ, are another matter."""
    if a.place is None or b.place is None or a.finding.laterality or b.finding.laterality:
        return False
    return a.place.id != b.place.id and (a.place.organ is None or a.place.organ != b.place.organ)


def side_text(fact: Fact) -> str:
    """The sides of a fact in words."""
    return " and ".join(sorted(_NAMES[side] for side in fact.sides or ()))


def _window_s(fact: Fact, book: RuleBook) -> float:
    return book.general.window_h.assertion * 3600


RULE = PairRule(
    name="laterality_mismatch",
    kinds=frozenset({"assertion", "coding"}),
    lanes=_lanes,
    judge=_judge,
    window_s=_window_s,
)
