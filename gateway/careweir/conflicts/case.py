"""One case under comparison: its facts, and what rules need to know about all of them at once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from careweir.conflicts.normalise import Fact
from careweir.conflicts.rulebook import RuleBook

ConceptKey = tuple[str, str, str, str | None]
AmountKey = tuple[str, str, str, str | None, frozenset[str] | None, str | None]


@dataclass(frozen=True, slots=True)
class Case:
    """The facts of one patient's case with the rule book that reads them."""

    facts: Sequence[Fact]
    book: RuleBook
    by_kind: dict[str, list[Fact]] = field(default_factory=dict)
    sides_said: dict[ConceptKey, set[str]] = field(default_factory=dict)
    places_said: dict[ConceptKey, set[str]] = field(default_factory=dict)
    amounts_said: Counter[AmountKey] = field(default_factory=Counter)


def build_case(facts: Sequence[Fact], book: RuleBook) -> Case:
    """Gather the sides and places that each source gives for each present concept."""
    sides: dict[ConceptKey, set[str]] = defaultdict(set)
    places: dict[ConceptKey, set[str]] = defaultdict(set)
    amounts: Counter[AmountKey] = Counter()
    by_kind: dict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        by_kind[fact.kind].append(fact)
        if fact.amount is not None and fact.amount.quantity.row.many:
            amounts[amount_key(fact)] += 1
        if fact.polarity == 1 and fact.sides is not None:
            sides[concept_key(fact)].update(fact.sides)
        if fact.place is not None:
            places[concept_key(fact)].add(fact.place.id)
    return Case(facts, book, dict(by_kind), dict(sides), dict(places), amounts)


def concept_key(fact: Fact) -> ConceptKey:
    """Who says it, of whom, what, and in which study."""
    return (fact.source, fact.subject, fact.concept.ids[0], fact.study)


def amount_key(fact: Fact) -> AmountKey:
    """Who measures what, where: several readings under one key are several lesions."""
    assert fact.amount is not None
    place = fact.place.id if fact.place is not None else None
    name = fact.amount.quantity.id
    return (fact.source, fact.subject, name, fact.study, fact.sides, place)
