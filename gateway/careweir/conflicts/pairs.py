"""Pairs of facts worth comparing: lanes instead of all pairs.

A rule puts each fact into lanes (a key and a role); only facts that share a lane and stand on
opposite roles meet. A lane that would make too many pairs is split by study, specimen and time, and
what is still too large is compared by representatives: every fact meets a few opposite ones, so
that each finding that disagrees is named at least once, in linear work.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import combinations, product
from typing import NamedTuple

from careweir.conflicts.normalise import Fact

BOTH, LEFT, RIGHT = 0, 1, 2
_REPRESENTATIVES = 6
Lanes = Callable[[Fact], Iterable[tuple[Hashable, int]]]


class Lane(NamedTuple):
    """The facts of one lane: those that meet each other, and two sides that meet one another."""

    both: list[Fact]
    left: list[Fact]
    right: list[Fact]


def lanes_of(facts: Iterable[Fact], lanes: Lanes) -> list[Lane]:
    """Sort facts into lanes and keep those in which at least one pair can be made."""
    return _gather((fact, lanes(fact)) for fact in facts)


def _gather(placed: Iterable[tuple[Fact, Iterable[tuple[Hashable, int]]]]) -> list[Lane]:
    roles: tuple[dict[Hashable, list[Fact]], ...] = ({}, {}, {})
    for fact, places in placed:
        for key, role in places:
            found = roles[role]
            if key in found:
                found[key].append(fact)
            else:
                found[key] = [fact]
    both, left, right = roles
    within = [Lane(found, [], []) for found in both.values() if len(found) > 1]
    return within + [Lane([], left[key], right[key]) for key in right if key in left]


def pairs_in(lane: Lane, *, pairs_max: int, window_s: float) -> Iterator[tuple[Fact, Fact]]:
    """The pairs of a lane: all of them, or those within a study, a specimen or ``window_s``."""
    total = len(lane.both) ** 2 // 2 + len(lane.left) * len(lane.right)
    if total <= pairs_max:
        yield from combinations(lane.both, 2)
        yield from product(lane.left, lane.right)
        return
    for part in _split(lane, window_s):
        if len(part.both) ** 2 // 2 + len(part.left) * len(part.right) <= pairs_max:
            yield from combinations(part.both, 2)
            yield from product(part.left, part.right)
        else:
            yield from _representatives(part)


def _split(lane: Lane, window_s: float) -> list[Lane]:
    """Parts of a lane that can be of one occasion; a fact may stand in two neighbouring parts."""
    placed = (
        (fact, [(key, role) for key in _occasions(fact, window_s)])
        for role, facts in enumerate(lane)
        for fact in facts
    )
    return _gather(placed)


def _occasions(fact: Fact, window_s: float) -> Iterator[Hashable]:
    if fact.study is not None or fact.specimen is not None:
        yield ("study", fact.study, fact.specimen)
    if fact.at is None:
        yield ("timeless", fact.encounter)
        return
    slot = int(fact.at // max(window_s, 1.0))
    yield ("slot", slot)
    yield ("slot", slot + 1)


def _representatives(part: Lane) -> Iterator[tuple[Fact, Fact]]:
    both = sorted(part.both, key=_rank)
    ends = both[:_REPRESENTATIVES] + both[-_REPRESENTATIVES:]
    yield from _meet(both, ends)
    left, right = sorted(part.left, key=_rank), sorted(part.right, key=_rank)
    yield from _meet(left, right[:_REPRESENTATIVES])
    yield from _meet(right, left[:_REPRESENTATIVES])


def _meet(facts: Sequence[Fact], ends: Sequence[Fact]) -> Iterator[tuple[Fact, Fact]]:
    for fact, end in product(facts, ends):
        if fact is not end:
            yield fact, end


def _rank(fact: Fact) -> tuple[float, str, float, str]:
    """An order that does not depend on the order in which findings came."""
    value = fact.amount.value if fact.amount and fact.amount.value is not None else 0.0
    return (value, fact.source, fact.at or 0.0, repr(sorted(fact.concept.ids)))
