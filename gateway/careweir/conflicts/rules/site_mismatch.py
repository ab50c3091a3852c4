"""Two tools claim one single lesion at two places.

Only where both speak of a single one: by the concept (solitary nodule) or in words ("solitary",
"only"). Where several are possible two places are two lesions. Source: CONFLICTS section 2.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from careweir.conflicts.case import Case, concept_key
from careweir.conflicts.normalise import Fact
from careweir.conflicts.pairs import BOTH
from careweir.conflicts.rulebook import RuleBook
from careweir.conflicts.rules.laterality_mismatch import claims_one, one_concept
from careweir.conflicts.sameness import differ_in_source, same_occasion, same_subject
from careweir.conflicts.verdict import PairRule, Verdict, in_order, occasion, said
from careweir.conflicts.words import plain


def _lanes(fact: Fact, book: RuleBook) -> Iterator[tuple[Hashable, int]]:
    if fact.place is None or fact.polarity != 1 or fact.context is not None:
        return
    if fact.concept.usable and claims_one(fact, book):
        for name in fact.concept.above:
            yield (fact.subject, name), BOTH


def _judge(a: Fact, b: Fact, case: Case) -> Verdict | None:
    if a.place is None or b.place is None or a.polarity != 1 or b.polarity != 1:
        return None
    if not (a.concept.usable and b.concept.usable):
        return None
    if not differ_in_source(a, b) or not same_subject(a, b) or not one_concept(a, b):
        return None
    if not (claims_one(a, case.book) and claims_one(b, case.book)):
        return None
    if not _elsewhere(a, b) or _several(a, case) or _several(b, case):
        return None
    if not same_occasion(a, b, window_s=_window_s(a, case.book)):
        return None
    first, second = in_order(a, b)
    assert first.place is not None
    assert second.place is not None
    return Verdict(
        "high",
        f"single {first.concept.label}: {said(first)} says {first.place.label}, {said(second)} "
        f"says {second.place.label}, {occasion(a, b)}",
    )


def _elsewhere(a: Fact, b: Fact) -> bool:
    """Neither place holds the other, and it is more than the other side of one organ."""
    assert a.place is not None
    assert b.place is not None
    if a.place.id in b.place.above or b.place.id in a.place.above:
        return False
    if a.place.known != b.place.known:  # "right apex" may be in the right upper lobe
        return False
    if a.finding.laterality and b.finding.laterality and a.sides and b.sides:
        return not a.sides.isdisjoint(b.sides)  # opposite fields: laterality_mismatch speaks
    return True


def _several(fact: Fact, case: Case) -> bool:
    """Does the tool itself name several places, or say that there are several?"""
    value = fact.finding.value
    words = set(plain(value).split()) if isinstance(value, str) else set()
    if not words.isdisjoint(case.book.general.several_words):
        return True
    return len(case.places_said.get(concept_key(fact), ())) > 1


def _window_s(fact: Fact, book: RuleBook) -> float:
    return book.general.window_h.assertion * 3600


RULE = PairRule(
    name="site_mismatch",
    kinds=frozenset({"assertion", "coding"}),
    lanes=_lanes,
    judge=_judge,
    window_s=_window_s,
)
