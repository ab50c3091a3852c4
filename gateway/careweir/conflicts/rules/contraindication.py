"""One tool gives a drug; another tool's condition, reading, pregnancy or allergy speaks against it.

What is past counts only where it still matters (allergy, heparin-induced thrombocytopenia), and
then at any time. Source: drugs.yaml (conditions after FDA labels, each cited).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator

from careweir.conflicts.case import Case
from careweir.conflicts.drugs import ContraindicationRow, Drug
from careweir.conflicts.measured import reading
from careweir.conflicts.normalise import Fact
from careweir.conflicts.pairs import LEFT, RIGHT
from careweir.conflicts.rulebook import RuleBook
from careweir.conflicts.rules.drug_interaction import drug_window_s, given
from careweir.conflicts.sameness import differ_in_source, same_occasion
from careweir.conflicts.verdict import PairRule, Verdict, occasion, said
from careweir.conflicts.words import plain

_ALLERGY = "allergy:"
_ALLERGY_WORDS = ("allergy", "allergic", "hypersensitivity", "anaphylaxis", "hypersensitive")


def _lanes(fact: Fact, book: RuleBook) -> Iterator[tuple[Hashable, int]]:
    advice = given(fact, book)
    if advice is not None and advice.drug is not None:
        for name in advice.drug.above:
            yield (fact.subject, "allergy", name), LEFT
        for number, row in enumerate(book.drugs.data.contraindications):
            if row.drug in advice.drug.above:
                yield (fact.subject, number), LEFT
        return
    if fact.kind == "recommendation":
        return
    substance = allergen(fact, book)
    if substance is not None:
        yield (fact.subject, "allergy", substance.id), RIGHT
    for number, row in _rows_about(fact, book):
        if _speaks_against(row, fact):
            yield (fact.subject, number), RIGHT


def _rows_about(fact: Fact, book: RuleBook) -> Iterator[tuple[int, ContraindicationRow]]:
    if fact.amount is not None:
        name = fact.amount.quantity.id
        for family in {name, name.partition("-")[0]}:
            yield from book.drugs.against_quantity.get(family, ())
    elif fact.polarity == 1:
        for name in fact.concept.above:
            yield from book.drugs.against_concept.get(name, ())


def allergen(fact: Fact, book: RuleBook) -> Drug | None:
    """The drug or class to which a present assertion says the patient is allergic."""
    if fact.polarity != 1 or fact.kind not in ("assertion", "coding"):
        return None
    if fact.context in ("family", "hypothetical", "other"):
        return None
    for name in fact.concept.ids:
        if name.startswith(_ALLERGY):
            return book.drugs.named(name.removeprefix(_ALLERGY))
    code, value = fact.finding.code, fact.finding.value
    words = plain(code.display) if code.display else ""
    if isinstance(value, str):
        words = f"{words} {plain(value)}"
    if any(word in words.split() for word in _ALLERGY_WORDS):
        return book.drugs.resolve(code) or book.drugs.named(words)
    return None


def _speaks_against(row: ContraindicationRow, fact: Fact) -> bool:
    if row.quantity is not None:
        return fact.context is None and _beyond(row, fact)
    if fact.polarity != 1 or not fact.concept.usable or row.concept is None:
        return False
    if row.concept not in fact.concept.above:
        return False
    return fact.context is None or (fact.context == "history" and fact.concept.history)


def _beyond(row: ContraindicationRow, fact: Fact) -> bool:
    amount = fact.amount
    if amount is None or amount.value is None or row.quantity is None:
        return False
    name = amount.quantity.id
    if name != row.quantity and not name.startswith(row.quantity + "-"):
        return False
    above = row.above is not None and amount.value > row.above
    return above or (row.below is not None and amount.value < row.below)


def _judge(a: Fact, b: Fact, case: Case) -> Verdict | None:
    drug_fact, other = (a, b) if a.kind == "recommendation" else (b, a)
    if other.kind == "recommendation" or not differ_in_source(a, b) or a.subject != b.subject:
        return None
    advice = given(drug_fact, case.book)
    if advice is None or advice.drug is None:
        return None
    lasting = other.concept.history
    substance = allergen(other, case.book)
    if substance is not None and substance.id in advice.drug.above:
        why = f"allergic to {substance.label}"
        return Verdict("high", _reason(drug_fact, advice.drug, other, why), "drugs.yaml:allergy")
    if not lasting and not same_occasion(a, b, window_s=drug_window_s(a, case.book)):
        return None
    return _by_table(drug_fact, advice.drug, other, case.book)


def _by_table(drug_fact: Fact, drug: Drug, other: Fact, book: RuleBook) -> Verdict | None:
    rows = [
        row
        for row in book.drugs.data.contraindications
        if row.drug in drug.above and _speaks_against(row, other)
    ]
    if not rows:
        return None
    row = max(rows, key=lambda row: (("low", "moderate", "high").index(row.severity), row.source))
    if row.quantity is None:
        what = f"{other.concept.label} present"
    else:
        limit = f"above {row.above:g}" if row.above is not None else f"below {row.below:g}"
        assert other.amount is not None
        unit = other.amount.quantity.row.unit
        what = f"{row.quantity} {reading(other)}, {limit} {unit}"
    reason = f"{_reason(drug_fact, drug, other, what)} ({row.source})"
    return Verdict(row.severity, reason, f"drugs.yaml:{row.drug}+{row.concept or row.quantity}")


def _reason(drug_fact: Fact, drug: Drug, other: Fact, what: str) -> str:
    return (
        f"{said(drug_fact)} gives {drug.label}, {said(other)} says {what}, "
        f"{occasion(drug_fact, other)}"
    )


def _window_s(fact: Fact, book: RuleBook) -> float:
    """What lasts speaks against a drug at any time."""
    lasts = fact.kind != "recommendation" and (
        fact.concept.history or allergen(fact, book) is not None
    )
    return math.inf if lasts else drug_window_s(fact, book)


RULE = PairRule(
    name="contraindication",
    kinds=frozenset({"recommendation", "assertion", "coding", "measurement"}),
    lanes=_lanes,
    judge=_judge,
    window_s=_window_s,
    needs=frozenset({"recommendation"}),
)
