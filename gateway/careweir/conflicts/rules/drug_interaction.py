"""Two tools put two drugs into one patient that interact.

Both must be started or kept; where one is stopped there is nothing to report. Two drugs of one
class are ``duplicate_therapy``. Source: drugs.yaml (class pairs after FDA labels, each cited).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from careweir.conflicts.advice import Advice
from careweir.conflicts.case import Case
from careweir.conflicts.drugs import Drug, InteractionRow
from careweir.conflicts.normalise import Fact
from careweir.conflicts.pairs import LEFT, RIGHT
from careweir.conflicts.rulebook import RuleBook
from careweir.conflicts.sameness import differ_in_source, same_occasion, same_subject
from careweir.conflicts.verdict import PairRule, Verdict, in_order, occasion, said

_STEPS = ("low", "moderate", "high")


def given(fact: Fact, book: RuleBook) -> Advice | None:
    """Advice that puts or keeps a known drug in the patient."""
    if fact.advice is None or fact.context is not None:
        return None
    advice = fact.advice
    if advice is None or advice.drug is None or advice.verb not in book.actions.starting:
        return None
    return advice


def both_given(a: Fact, b: Fact, book: RuleBook) -> tuple[Drug, Drug] | None:
    """The two drugs, where two tools give them to one patient and at least one is new."""
    if not differ_in_source(a, b) or not same_subject(a, b):
        return None
    one, two = given(a, book), given(b, book)
    if one is None or two is None or one.drug is None or two.drug is None:
        return None
    if one.drug.id in two.drug.above or two.drug.id in one.drug.above:
        return None
    if one.verb == two.verb == "continue":
        return None
    if not same_occasion(a, b, window_s=drug_window_s(a, book)):
        return None
    return one.drug, two.drug


def drug_window_s(fact: Fact, book: RuleBook) -> float:
    """How long two drug orders count as one occasion, in seconds."""
    return book.general.window_h.contraindication * 3600


def _lanes(fact: Fact, book: RuleBook) -> Iterator[tuple[Hashable, int]]:
    advice = given(fact, book)
    if advice is None or advice.drug is None:
        return
    for number, row in enumerate(book.drugs.data.interactions):
        if row.a in advice.drug.above:
            yield (fact.subject, number), LEFT
        if row.b in advice.drug.above:
            yield (fact.subject, number), RIGHT


def _judge(a: Fact, b: Fact, case: Case) -> Verdict | None:
    drugs = both_given(a, b, case.book)
    if drugs is None or shared_class(*drugs, case.book) is not None:
        return None
    rows = [row for row in case.book.drugs.data.interactions if _applies(row, *drugs)]
    if not rows:
        return None
    row = max(rows, key=lambda row: (_STEPS.index(row.severity), row.source))
    first, second = in_order(a, b)
    names = {id(a): drugs[0].label, id(b): drugs[1].label}
    return Verdict(
        row.severity,
        f"{said(first)} gives {names[id(first)]}, {said(second)} gives {names[id(second)]}, "
        f"{occasion(a, b)}; {row.why} ({row.source})",
        f"drugs.yaml:{row.a}+{row.b}",
    )


def _applies(row: InteractionRow, one: Drug, two: Drug) -> bool:
    return (row.a in one.above and row.b in two.above) or (
        row.a in two.above and row.b in one.above
    )


def shared_class(one: Drug, two: Drug, book: RuleBook) -> str | None:
    """The class in which two drugs duplicate each other, or None where that is meant."""
    if book.drugs.intended(one, two):
        return None
    classes = book.drugs.data.classes
    shared = [
        name
        for name in one.above & two.above
        if name in classes and classes[name].duplicate is not None
    ]
    grave = [(_STEPS.index(classes[name].duplicate or "low"), name) for name in shared]
    return max(grave)[1] if grave else None


RULE = PairRule(
    name="drug_interaction",
    kinds=frozenset({"recommendation"}),
    lanes=_lanes,
    judge=_judge,
    window_s=drug_window_s,
)
