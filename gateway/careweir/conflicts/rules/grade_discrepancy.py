"""Two grades on one ordinal scale, two steps apart or on two sides of an action step.

A neighbouring grade is noise unless what is done changes between the two; then it is of moderate
severity at most. The grade may be a value on a named scale, words, or a character inside an
ICD-10-CM code. Source: scales.yaml, a source in each row; CONFLICTS section 2.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from careweir.conflicts.case import Case
from careweir.conflicts.grades import Grade
from careweir.conflicts.normalise import Fact
from careweir.conflicts.pairs import BOTH
from careweir.conflicts.rulebook import RuleBook
from careweir.conflicts.sameness import (
    differ_in_source,
    same_occasion,
    same_side,
    same_subject,
)
from careweir.conflicts.verdict import PairRule, Verdict, gravest, in_order, occasion, said
from careweir_fhir.model import Severity

_WITH_STAGE = len("L89.153")


def grade_of(fact: Fact, book: RuleBook) -> Grade | None:
    """The grade that a current, present finding gives."""
    if fact.context is not None or fact.polarity == -1 or not fact.concept.usable:
        return None
    if fact.finding.polarity == "indeterminate":
        return None
    return book.grades.grade_of(fact.finding, fact.concept)


def _lanes(fact: Fact, book: RuleBook) -> Iterator[tuple[Hashable, int]]:
    grade = grade_of(fact, book)
    if grade is not None:
        yield (fact.subject, grade.scale), BOTH


def _judge(a: Fact, b: Fact, case: Case) -> Verdict | None:
    if not differ_in_source(a, b) or not same_subject(a, b) or not same_side(a, b):
        return None
    if a.kind == "coding" and b.kind == "coding":
        return None  # two coders: coding_discrepancy speaks
    one, two = grade_of(a, case.book), grade_of(b, case.book)
    if one is None or two is None or one.scale != two.scale or one.level == two.level:
        return None
    if case.book.scales.grades[one.scale].shared and not _one_thing(a, b, case.book):
        return None
    if a.place is not None and b.place is not None and a.place.id != b.place.id:
        return None
    if not same_occasion(a, b, window_s=_window_s(a, case.book)):
        return None
    return _weigh(a, one, b, two, case.book)


def _one_thing(a: Fact, b: Fact, book: RuleBook) -> bool:
    """Do both grade the same? Words that name the scale alone may be of anything."""
    codes = (a.concept.icd or "", b.concept.icd or "")
    if min(map(len, codes)) == _WITH_STAGE:  # the last character is the stage
        return codes[0][:-1] == codes[1][:-1]
    one, two = _graded(a, book), _graded(b, book)
    if one is None or two is None:
        return True
    return not (one.isdisjoint(b.concept.above) and two.isdisjoint(a.concept.above))


def _graded(fact: Fact, book: RuleBook) -> set[str] | None:
    concept = fact.concept
    names = {concept.base} if concept.base is not None else set(concept.ids)
    known = any(name in book.concepts.rows for name in names)
    return None if not known and book.grades.names_scale(fact.finding.code.display) else names


def _weigh(a: Fact, one: Grade, b: Fact, two: Grade, book: RuleBook) -> Verdict | None:
    row = book.scales.grades[one.scale]
    low, high = sorted((one.level, two.level))
    steps = high - low
    actions: list[Severity] = [grave for step, grave in row.actions if low <= step < high]
    neighbours = steps < (row.steps or book.scales.steps)
    if neighbours and not actions:
        return None
    severity: Severity = gravest(actions, floor="low" if neighbours else "moderate")
    if neighbours and severity == "high":
        severity = "moderate"
    grades = {id(a): one, id(b): two}
    words = [f"{said(f)} says {grades[id(f)].written}" for f in in_order(a, b)]
    step = ", across an action step" if actions else ""
    return Verdict(
        severity,
        f"{one.scale.replace('-', ' ')}: {words[0]}, {words[1]}, {occasion(a, b)}; {steps} "
        f"step{'s' if steps > 1 else ''} apart{step} ({row.source})",
        f"scales.yaml:{one.scale}",
    )


def _window_s(fact: Fact, book: RuleBook) -> float:
    return book.general.window_h.assertion * 3600


RULE = PairRule(
    name="grade_discrepancy",
    kinds=frozenset({"assertion", "coding", "measurement", "risk"}),
    lanes=_lanes,
    judge=_judge,
    window_s=_window_s,
)
