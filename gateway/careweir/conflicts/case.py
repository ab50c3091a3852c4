"""One case under comparison: what rules need to know about all of its facts at once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from functools import cached_property

from careweir.conflicts.normalise import Fact
from careweir.conflicts.rulebook import RuleBook

ConceptKey = tuple[str, str, str, str | None]
AmountKey = tuple[str, str, str, str | None, frozenset[str] | None, str | None]


class Case:
    """The facts of one patient's case with the rule book that reads them.

    What each tool says elsewhere in the case is gathered when a rule first asks for it: most cases
    never do.
    """

    def __init__(self, book: RuleBook, facts: Callable[[], Iterable[Fact]]) -> None:
        self.book = book
        self.slips: dict[tuple[int, int], str | None] = {}
        self._facts = facts

    @cached_property
    def sides_said(self) -> dict[ConceptKey, set[str]]:
        """The sides on which each source finds each present concept, by study."""
        sides: dict[ConceptKey, set[str]] = defaultdict(set)
        for fact in self._facts():
            if fact.polarity == 1 and fact.sides is not None and fact.concept.ids:
                sides[concept_key(fact)].update(fact.sides)
        return dict(sides)

    @cached_property
    def places_said(self) -> dict[ConceptKey, set[str]]:
        """The places that each source names for each concept, by study."""
        places: dict[ConceptKey, set[str]] = defaultdict(set)
        for fact in self._facts():
            if fact.place is not None and fact.concept.ids:
                places[concept_key(fact)].add(fact.place.id)
        return dict(places)

    @cached_property
    def amounts_said(self) -> Counter[AmountKey]:
        """How many readings each source gives of what a patient may have several of."""
        return Counter(
            amount_key(fact)
            for fact in self._facts()
            if fact.amount is not None and fact.amount.quantity.row.many
        )


def concept_key(fact: Fact) -> ConceptKey:
    """Who says it, of whom, what, and in which study."""
    return (fact.source, fact.subject, fact.concept.ids[0], fact.study)


def amount_key(fact: Fact) -> AmountKey:
    """Who measures what, where: several readings under one key are several lesions."""
    assert fact.amount is not None
    place = fact.place.id if fact.place is not None else None
    name = fact.amount.quantity.id
    return (fact.source, fact.subject, name, fact.study, fact.sides, place)
