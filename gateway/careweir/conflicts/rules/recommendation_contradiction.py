"""Two recommendations that cannot both be followed.

Opposite verbs on one target, or against a class or broader action that holds the target; two
dispositions of which a patient can have only one; one drug in doses ten times apart. To avoid one
member of a class says nothing of another. Source: actions.yaml; CONFLICTS section 2 (after TMR4I).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from careweir.conflicts.advice import Advice
from careweir.conflicts.case import Case
from careweir.conflicts.normalise import Fact
from careweir.conflicts.pairs import BOTH, LEFT, RIGHT
from careweir.conflicts.rulebook import RuleBook
from careweir.conflicts.sameness import (
    differ_in_source,
    opposite_sides,
    same_occasion,
    same_subject,
)
from careweir.conflicts.tables import OppositeRow
from careweir.conflicts.units import convert
from careweir.conflicts.verdict import PairRule, Verdict, in_order, occasion, said
from careweir_fhir.model import Dose, Severity

_AGAINST = frozenset({"stop", "avoid", "decrease", "deny"})


def _lanes(fact: Fact, book: RuleBook) -> Iterator[tuple[Hashable, int]]:
    advice = fact.advice if fact.context is None else None
    if advice is None:
        return
    if advice.exclusive is not None and advice.verb not in _AGAINST:
        yield (fact.subject, "exclusive", advice.exclusive[0]), BOTH
    if advice.drug is not None and advice.dose is not None:
        yield (fact.subject, "dose", advice.drug.id), BOTH
    if advice.verb in _AGAINST:
        for name in _own_keys(advice):
            yield (fact.subject, "target", name), RIGHT
    else:
        for name in _covering_keys(advice):
            yield (fact.subject, "target", name), LEFT


def _own_keys(advice: Advice) -> frozenset[str]:
    if advice.exclusive is not None:
        return frozenset({f"exclusive:{advice.exclusive[1]}"})
    first = min(advice.tokens, default=None)
    tokens = {f"token:{first}"} if first is not None and advice.drug is None else set()
    return advice.ids | tokens


def _covering_keys(advice: Advice) -> frozenset[str]:
    if advice.exclusive is not None:
        return frozenset({f"exclusive:{advice.exclusive[1]}"})
    if advice.drug is not None and not advice.drug.procedure:
        return advice.drug.above
    names = advice.ids if advice.drug is None else advice.drug.above
    return names.union(f"token:{token}" for token in advice.tokens)


def _judge(a: Fact, b: Fact, case: Case) -> Verdict | None:
    if not differ_in_source(a, b) or not same_subject(a, b) or opposite_sides(a, b):
        return None
    one, two = a.advice, b.advice
    if one is None or two is None:
        return None
    if not same_occasion(a, b, window_s=_window_s(a, case.book)):
        return None
    found = _opposite(one, two, case.book) or _excluded(one, two) or _doses(one, two, case.book)
    if found is None:
        return None
    severity, why = found
    advices = {id(a): one, id(b): two}
    words = [f"{said(f)} says {_text(advices[id(f)])}" for f in in_order(a, b)]
    return Verdict(severity, f"{words[0]}, {words[1]}, {occasion(a, b)}; {why}")


def _opposite(one: Advice, two: Advice, book: RuleBook) -> tuple[Severity, str] | None:
    for wanted, against in ((one, two), (two, one)):
        if against.verb not in _AGAINST or wanted.verb in _AGAINST:
            continue
        if not _covers(against, wanted):
            continue
        for row in book.actions.opposites:
            if _matches(row, wanted.verb, against.verb):
                drugs = (wanted.drug, against.drug)
                grave = any(drug is not None and not drug.procedure for drug in drugs)
                severity = row.drug if grave else row.other
                return severity, f"{wanted.verb} and {against.verb} cannot both be followed"
    return None


def _matches(row: OppositeRow, wanted: str, against: str) -> bool:
    return {row.a, row.b} == {wanted, against}


def _covers(broad: Advice, narrow: Advice) -> bool:
    """Is the target of one the other's, or a class or broader action that holds it?"""
    if broad.exclusive is not None or narrow.exclusive is not None:
        return broad.exclusive == narrow.exclusive
    scan = broad.drug is None and narrow.drug is not None and narrow.drug.procedure
    if (broad.drug is not None or narrow.drug is not None) and not scan:
        return _drug_covers(broad, narrow)
    if not broad.ids.isdisjoint(narrow.ids):
        return True
    return bool(broad.tokens) and broad.tokens <= narrow.tokens


def _drug_covers(broad: Advice, narrow: Advice) -> bool:
    if broad.drug is None or narrow.drug is None or broad.drug.id not in narrow.drug.above:
        return False
    if broad.drug.procedure and narrow.drug.procedure:  # a scan of the head is none of the knee
        return broad.tokens - broad.drug.said <= narrow.tokens
    return True


def _excluded(one: Advice, two: Advice) -> tuple[Severity, str] | None:
    if one.exclusive is None or two.exclusive is None or one.verb in _AGAINST:
        return None
    if two.verb in _AGAINST or one.exclusive[0] != two.exclusive[0]:
        return None
    apart = abs(one.exclusive[2] - two.exclusive[2])
    if apart == 0:
        return None
    group = one.exclusive[0].replace("_", " ")
    return "high" if apart >= 2 else "moderate", f"a patient can have one {group} only"


def _doses(one: Advice, two: Advice, book: RuleBook) -> tuple[Severity, str] | None:
    """One drug, both times given, in doses that differ as only a slip makes them differ."""
    if one.drug is None or two.drug is None or one.drug.id != two.drug.id:
        return None
    if one.dose is None or two.dose is None or {one.verb, two.verb} & (_AGAINST - {"decrease"}):
        return None
    ratio = _dose_ratio(one.dose, two.dose, book)
    limit = book.actions.dose_ratio
    if ratio is None or ratio < limit * (1 - 1e-9):
        return None
    return "high", f"doses differ {ratio:.0f} times (limit {limit:g})"


def _dose_ratio(one: Dose, two: Dose, book: RuleBook) -> float | None:
    unit, other = book.units.read(one.unit), book.units.read(two.unit)
    if unit is None or other is None or one.value <= 0 or two.value <= 0:
        return None
    value = convert(one.value, unit, other)
    if value is None:
        return None
    return max(value / two.value, two.value / value)


def _text(advice: Advice) -> str:
    dose = f" {advice.dose.value:g} {advice.dose.unit}" if advice.dose else ""
    return f"{advice.verb} {advice.label}{dose}"


def _window_s(fact: Fact, book: RuleBook) -> float:
    return book.general.window_h.recommendation * 3600


RULE = PairRule(
    name="recommendation_contradiction",
    kinds=frozenset({"recommendation"}),
    lanes=_lanes,
    judge=_judge,
    window_s=_window_s,
)
