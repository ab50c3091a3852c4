"""Pairs of facts worth comparing: lanes instead of all pairs, and in a lane only one occasion.

A rule puts each claim into lanes (a key and a role); only claims that share a lane and stand on
opposite roles meet. The facts that make two such claims are then joined by occasion through an
index: study, specimen, or encounter and time. A place of the index that holds very many facts is
met by representatives, the lowest and the highest of it by an order that does not depend on the
order of the findings, so that each finding that disagrees is named, in linear work.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from careweir.conflicts.normalise import Fact
from careweir.conflicts.words import instant, reference_tail

BOTH, LEFT, RIGHT = 0, 1, 2
_ENDS = 6
_ANY = object()
Lanes = Callable[[Fact], Iterable[tuple[Hashable, int]]]
_Class = tuple[bool, bool]


class Lane(NamedTuple):
    """The facts of one lane: those that meet each other, and two sides that meet one another."""

    both: list[Fact]
    left: list[Fact]
    right: list[Fact]


def lanes_of(facts: Iterable[Fact], lanes: Lanes) -> list[Lane]:
    """Sort facts into lanes and keep those in which at least one pair can be made."""
    roles: tuple[dict[Hashable, list[Fact]], ...] = ({}, {}, {})
    for fact in facts:
        for key, role in lanes(fact):
            found = roles[role]
            if key in found:
                found[key].append(fact)
            else:
                found[key] = [fact]
    both, left, right = roles
    within = [Lane(found, [], []) for found in both.values() if len(found) > 1]
    return within + [Lane([], left[key], right[key]) for key in right if key in left]


class Occasions:
    """Facts by every way in which two facts can be of one occasion (see ``same_occasion``)."""

    def __init__(self, facts: Sequence[Fact], window_s: float, crowd_max: int) -> None:
        self.facts = facts
        self.crowded = False  # was a crowded place met since this was last set to False?
        self._window_s = window_s
        self._crowd_max = crowd_max
        self._width_s = max(window_s, 1.0)
        self._always = math.isinf(window_s)
        self._cells: dict[Hashable, list[Fact]] = {}
        self._classes: set[_Class] = set()
        self._named: set[str] = {n for f in facts for n in (f.study, f.specimen) if n is not None}
        self._all_studied = all(fact.study is not None for fact in facts)
        self._timeless = any(fact.at is None for fact in facts)
        slots = {self._slot(fact.at) for fact in facts}
        self._slots = {slot + step for slot in slots if slot is not None for step in (-1, 0, 1)}
        for fact in facts:
            self._classes.add(_class(fact))
            for key in self._places(fact):
                self._cells.setdefault(key, []).append(fact)
        for cell in self._cells.values():
            if len(cell) > crowd_max:
                cell.sort(key=_rank)

    def of_others(self, facts: Sequence[Fact]) -> Occasions:
        """Other facts by the same measures."""
        return Occasions(facts, self._window_s, self._crowd_max)

    def _places(self, fact: Fact) -> Iterator[Hashable]:
        if self._always:
            yield _ANY
            return
        if fact.study is not None:
            yield ("study", fact.study)
        if fact.specimen is not None:
            yield ("specimen", fact.specimen)
        kind, slot = _class(fact), self._slot(fact.at)
        yield (kind, slot, fact.encounter)
        yield (kind, slot, _ANY)
        if slot is not None:
            yield (kind, _ANY, fact.encounter)
            yield (kind, _ANY, _ANY)

    def _slot(self, at: float | None) -> int | None:
        return None if at is None or self._always else int(at // self._width_s)

    def of_interest(
        self, positions: Sequence[int], said: Sequence[Mapping[str, Any]]
    ) -> Sequence[int]:
        """A quick look before facts are made: leaves out only what can be near no fact here."""
        if self._always:
            return positions
        return [position for position in positions if self._may_hold(said[position])]

    def _may_hold(self, said: Mapping[str, Any]) -> bool:
        study, named = said["study"], self._named
        if study is not None:
            tail = reference_tail(study)
            if self._all_studied or tail in named:
                return tail in named
        at = said["effective"]
        if at is None or self._timeless or (at := instant(at)) is None:
            return True
        if int(at // self._width_s) in self._slots:
            return True
        specimen = said["specimen"]
        return specimen is not None and reference_tail(specimen) in named

    def near(self, fact: Fact) -> Iterator[Fact]:
        """Facts that may be of the occasion of ``fact``; each place gives a few at most."""
        if self._always:
            yield from self._cell(_ANY)
            return
        if fact.study is not None:
            yield from self._cell(("study", fact.study))
        if fact.specimen is not None:
            yield from self._cell(("specimen", fact.specimen))
        studied, drawn = fact.study is not None, fact.specimen is not None
        slot = self._slot(fact.at)
        slots: tuple[object, ...] = (None, _ANY)
        if slot is not None:
            slots = (None, slot - 1, slot, slot + 1)
        encounters = (_ANY,) if fact.encounter is None else (fact.encounter, None)
        for kind in self._classes:
            if (studied and kind[0]) or (drawn and kind[1]):
                continue  # both name a study (or a specimen): that alone decides
            for moment in slots:
                for encounter in encounters:
                    yield from self._cell((kind, moment, encounter))

    def _cell(self, key: Hashable) -> Sequence[Fact]:
        cell = self._cells.get(key, ())
        if len(cell) <= self._crowd_max:
            return cell
        self.crowded = True
        return [*cell[:_ENDS], *cell[-_ENDS:]]


def _class(fact: Fact) -> _Class:
    return fact.study is not None, fact.specimen is not None


def _rank(fact: Fact) -> tuple[float, str, float, str]:
    """An order that does not depend on the order in which findings came."""
    value = fact.amount.value if fact.amount and fact.amount.value is not None else 0.0
    return (value, fact.source, fact.at or 0.0, repr(sorted(fact.concept.ids)))
