"""Two readings of one quantity in one specimen or study differ by more than the noise.

A material difference across a decision limit takes the limit's severity. Where a wrong unit is the
likelier reason, ``unit_error_suspected`` speaks instead.
Source: quantities.yaml, a source in each row; CONFLICTS section 3.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from careweir.conflicts.case import Case
from careweir.conflicts.measured import (
    apart,
    comparable_amounts,
    crossed,
    noise,
    reading,
    slip_of,
    window_s,
)
from careweir.conflicts.normalise import Fact
from careweir.conflicts.pairs import BOTH
from careweir.conflicts.rulebook import RuleBook
from careweir.conflicts.verdict import PairRule, Verdict, gravest, in_order, occasion, said
from careweir_fhir.model import Severity


def quantity_lanes(fact: Fact, book: RuleBook) -> Iterator[tuple[Hashable, int]]:
    """One lane a quantity, side and subject."""
    if fact.amount is not None and fact.context is None:
        yield (fact.subject, fact.amount.quantity.id, fact.sides), BOTH


def _judge(a: Fact, b: Fact, case: Case) -> Verdict | None:
    if not comparable_amounts(a, b, case):
        return None
    assert a.amount is not None
    assert b.amount is not None
    if not apart(a.amount, b.amount) or slip_of(a.amount, b.amount, case):
        return None
    return Verdict(_severity(a, b), _reason(a, b), f"quantities.yaml:{a.amount.quantity.id}")


def _severity(a: Fact, b: Fact) -> Severity:
    assert a.amount is not None
    assert b.amount is not None
    row = a.amount.quantity.row
    limits = crossed(a.amount, b.amount)
    ratio = _ratio(a.amount.value or 0.0, b.amount.value or 0.0)
    floor: Severity = row.within
    if row.ratio_high is not None and ratio >= row.ratio_high:
        floor = "high"
    return gravest((limit.severity for limit in limits), floor=floor)


def _ratio(one: float, two: float) -> float:
    low, high = sorted((abs(one), abs(two)))
    return high / low if low else 0.0


def _reason(a: Fact, b: Fact) -> str:
    assert a.amount is not None
    assert b.amount is not None
    first, second = in_order(a, b)
    assert first.amount is not None
    quantity = first.amount.quantity
    unit = f" {quantity.row.unit}" if quantity.row.unit else ""
    difference = abs((a.amount.value or 0.0) - (b.amount.value or 0.0))
    limits = ", ".join(f"{limit.at:g}" for limit in crossed(a.amount, b.amount))
    across = f", across the limit {limits}{unit}" if limits else ""
    source = f" ({quantity.row.source})" if quantity.row.source else ""
    return (
        f"{quantity.label}: {said(first)} says {reading(first)}, {said(second)} says "
        f"{reading(second)}, {occasion(a, b)}; {difference:.3g}{unit} apart, more than "
        f"{noise(a.amount, b.amount):.3g}{unit}{across}{source}"
    )


RULE = PairRule(
    name="measurement_discrepancy",
    kinds=frozenset({"measurement"}),
    lanes=quantity_lanes,
    judge=_judge,
    window_s=window_s,
)
