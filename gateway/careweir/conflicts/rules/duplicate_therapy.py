"""Two tools start two drugs of one class.

The same drug twice is agreement; combinations that are meant (dual antiplatelet therapy, basal and
bolus insulin, bridging) are listed in drugs.yaml. Source: CONFLICTS section 2.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from careweir.conflicts.case import Case
from careweir.conflicts.normalise import Fact
from careweir.conflicts.pairs import BOTH
from careweir.conflicts.rulebook import RuleBook
from careweir.conflicts.rules.drug_interaction import (
    both_given,
    drug_window_s,
    given,
    shared_class,
)
from careweir.conflicts.verdict import PairRule, Verdict, in_order, occasion, said


def _lanes(fact: Fact, book: RuleBook) -> Iterator[tuple[Hashable, int]]:
    advice = given(fact, book)
    if advice is None or advice.drug is None:
        return
    for name in advice.drug.above:
        group = book.drugs.data.classes.get(name)
        if group is not None and group.duplicate is not None:
            yield (fact.subject, name), BOTH


def _judge(a: Fact, b: Fact, case: Case) -> Verdict | None:
    drugs = both_given(a, b, case.book)
    if drugs is None:
        return None
    name = shared_class(*drugs, case.book)
    severity = case.book.drugs.data.classes[name].duplicate if name is not None else None
    if name is None or severity is None:
        return None
    first, second = in_order(a, b)
    names = {id(a): drugs[0].label, id(b): drugs[1].label}
    return Verdict(
        severity,
        f"{said(first)} gives {names[id(first)]}, {said(second)} gives {names[id(second)]}, "
        f"{occasion(a, b)}; both are of the class {name.replace('-', ' ')}",
        f"drugs.yaml:{name}",
    )


RULE = PairRule(
    name="duplicate_therapy",
    kinds=frozenset({"recommendation"}),
    lanes=_lanes,
    judge=_judge,
    window_s=drug_window_s,
)
