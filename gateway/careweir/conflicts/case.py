"""One case under comparison: its facts, and what rules need to know about all of them at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from careweir.conflicts.normalise import Fact
from careweir.conflicts.rulebook import RuleBook

ConceptKey = tuple[str, str, str, str | None]


@dataclass(frozen=True, slots=True)
class Case:
    """The facts of one patient's case with the rule book that reads them."""

    facts: Sequence[Fact]
    book: RuleBook
    sides_said: dict[ConceptKey, set[str]] = field(default_factory=dict)
    places_said: dict[ConceptKey, set[str]] = field(default_factory=dict)


def build_case(facts: Sequence[Fact], book: RuleBook) -> Case:
    """Gather the sides and places that each source gives for each present concept."""
    sides: dict[ConceptKey, set[str]] = defaultdict(set)
    places: dict[ConceptKey, set[str]] = defaultdict(set)
    for fact in facts:
        if fact.polarity == 1 and fact.sides is not None:
            sides[concept_key(fact)].update(fact.sides)
        if fact.place is not None:
            places[concept_key(fact)].add(fact.place.id)
    return Case(facts, book, dict(sides), dict(places))


def concept_key(fact: Fact) -> ConceptKey:
    """Who says it, of whom, what, and in which study."""
    return (fact.source, fact.subject, fact.concept.ids[0], fact.study)
