"""Two readings that would agree if one had another unit.

Equal numbers with units that are not equivalent, a number that agrees once it is read in another
unit that hospitals use for the quantity (mg/dL and mmol/L, Cel and degF, % and mmol/mol), or a
ratio of 10 or 1000. Source: CONFLICTS section 2; units of each row in quantities.yaml.
"""

from __future__ import annotations

from careweir.conflicts.case import Case
from careweir.conflicts.measured import comparable_amounts, reading, slip_of, window_s
from careweir.conflicts.normalise import Fact
from careweir.conflicts.rules.measurement_discrepancy import quantity_lanes
from careweir.conflicts.verdict import PairRule, Verdict, in_order, occasion, said


def _judge(a: Fact, b: Fact, case: Case) -> Verdict | None:
    if not comparable_amounts(a, b, case):
        return None
    assert a.amount is not None
    assert b.amount is not None
    first, second = in_order(a, b)
    assert first.amount is not None
    assert second.amount is not None
    why = slip_of(first.amount, second.amount, case)
    if why is None:
        return None
    return Verdict(
        "high",
        f"{first.amount.quantity.label}: {said(first)} says {reading(first)}, {said(second)} says "
        f"{reading(second)}, {occasion(a, b)}; {why}",
        f"quantities.yaml:{a.amount.quantity.id}",
    )


RULE = PairRule(
    name="unit_error_suspected",
    kinds=frozenset({"measurement"}),
    lanes=quantity_lanes,
    judge=_judge,
    window_s=window_s,
)
