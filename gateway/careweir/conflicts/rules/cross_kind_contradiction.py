"""A number that cannot stand beside what another tool asserts or codes at the same time.

"No hyperkalaemia" beside 6.3 mmol/L; a systolic heart failure code beside an ejection fraction of
60 %. Diseases that treatment makes normal are compared in one direction only.
Source: cross_kind.yaml; CONFLICTS section 2.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from careweir.conflicts.case import Case
from careweir.conflicts.grades import Grade
from careweir.conflicts.measured import reading
from careweir.conflicts.normalise import Fact
from careweir.conflicts.pairs import LEFT, RIGHT
from careweir.conflicts.rulebook import RuleBook
from careweir.conflicts.rules.grade_discrepancy import grade_of
from careweir.conflicts.sameness import (
    differ_in_source,
    same_occasion,
    same_side,
    same_subject,
)
from careweir.conflicts.tables import CrossRow, Range, StagedRow, outside
from careweir.conflicts.verdict import PairRule, Verdict, occasion, said
from careweir_fhir.model import Severity


def _lanes(fact: Fact, book: RuleBook) -> Iterator[tuple[Hashable, int]]:
    if fact.context is not None:
        return
    if fact.amount is not None:
        if fact.amount.value is not None:
            yield (fact.subject, _family(fact.amount.quantity.id)), LEFT
        return
    if fact.polarity == 0 or not fact.concept.usable:
        return
    names = {
        row.quantity
        for concept in fact.concept.above
        for row in book.cross_rows.get(concept, ())
        if _claims(row, fact)
    }
    grade = grade_of(fact, book)
    if grade is not None:
        staged = book.cross_kind.staged.values()
        names.update(row.quantity for row in staged if grade.scale == row.scale)
    for name in names:
        yield (fact.subject, name), RIGHT


def _family(quantity: str) -> str:
    """eGFR by any formula, glucose from any sample: one family for ranges this wide."""
    for name in ("egfr", "glucose"):
        if quantity.startswith(name + "-"):
            return name
    return quantity


def _claims(row: CrossRow, fact: Fact) -> bool:
    """Does a fact say that the row's concept is present, or that it is absent?"""
    if fact.polarity == 1:
        return row.present is not None and row.concept in fact.concept.above
    return row.absent is not None and row.concept in fact.concept.ids


def _judge(a: Fact, b: Fact, case: Case) -> Verdict | None:
    number, claim = (a, b) if a.amount is not None else (b, a)
    if number.amount is None or claim.amount is not None or number.amount.value is None:
        return None
    if not differ_in_source(a, b) or not same_subject(a, b) or not same_side(a, b):
        return None
    if claim.polarity == 0 or not claim.concept.usable:
        return None
    if not same_occasion(a, b, window_s=_window_s(a, case.book)):
        return None
    return _by_row(number, claim, case.book) or _by_stage(number, claim, case.book)


def _by_row(number: Fact, claim: Fact, book: RuleBook) -> Verdict | None:
    assert number.amount is not None
    value = number.amount.value or 0.0
    for name, row in book.cross_kind.rows.items():
        if row.quantity != _family(number.amount.quantity.id) or not _claims(row, claim):
            continue
        limits = row.present if claim.polarity == 1 else row.absent
        if limits is None or not outside(value, limits):
            continue
        grave = claim.polarity == -1 and outside(value, row.grave)
        word = "present" if claim.polarity == 1 else "absent"
        says = f"{claim.concept.label} {word}"
        severity: Severity = "high" if grave else "moderate"
        return _verdict(number, claim, says, limits, f"cross_kind.yaml:{name}", severity)
    return None


def _by_stage(number: Fact, claim: Fact, book: RuleBook) -> Verdict | None:
    assert number.amount is not None
    grade = grade_of(claim, book)
    for name, row in book.cross_kind.staged.items():
        if row.quantity != _family(number.amount.quantity.id):
            continue
        limits = _stage_range(row, grade)
        if grade is not None and outside(number.amount.value or 0.0, limits):
            assert limits is not None
            says = f"{row.scale.replace('-', ' ')} {grade.written}"
            return _verdict(number, claim, says, limits, f"cross_kind.yaml:{name}", "moderate")
    return None


def _stage_range(row: StagedRow, grade: Grade | None) -> Range | None:
    if grade is None or grade.scale != row.scale or grade.level >= len(row.ranges):
        return None
    return row.ranges[grade.level]


def _verdict(
    number: Fact, claim: Fact, says: str, limits: Range, rule: str, severity: Severity
) -> Verdict:
    low, high = limits
    bounds = " and ".join(
        f"{word} {bound:g}"
        for word, bound in (("at least", low), ("at most", high))
        if bound is not None
    )
    assert number.amount is not None
    quantity = number.amount.quantity
    return Verdict(
        severity,
        f"{said(claim)} says {says}, {said(number)} says {quantity.label} {reading(number)}, "
        f"{occasion(number, claim)}; the claim allows {bounds} {quantity.row.unit}",
        rule,
    )


def _window_s(fact: Fact, book: RuleBook) -> float:
    return book.general.window_h.cross_kind * 3600


RULE = PairRule(
    name="cross_kind_contradiction",
    kinds=frozenset({"assertion", "coding", "measurement"}),
    lanes=_lanes,
    judge=_judge,
    window_s=_window_s,
    needs=frozenset({"measurement"}),
)
