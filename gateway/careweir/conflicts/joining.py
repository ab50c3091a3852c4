"""Who can meet whom: the facts of claims that oppose each other, joined by occasion."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, combinations, product

from careweir.conflicts.case import Case
from careweir.conflicts.claims import Claims
from careweir.conflicts.normalise import Fact
from careweir.conflicts.pairs import Lane, Occasions, lanes_of
from careweir.conflicts.rulebook import RuleBook
from careweir.conflicts.verdict import PairRule

_CLAIM_PAIRS_MAX = 1024
Pairs = Iterator[tuple[Fact, Fact]]


def candidates(rule: PairRule, protos: Sequence[Fact], claims: Claims, book: RuleBook) -> Pairs:
    """Pairs of facts of claims that meet in a lane and that could conflict on one occasion."""
    if rule.binds_subject:
        yield from _of_two_subjects(rule, protos, claims, book)
        return
    asked: set[tuple[int, int]] = set()
    for lane in lanes_of(protos, lambda proto: rule.lanes(proto, book)):
        if len(lane.both) ** 2 // 2 + len(lane.left) * len(lane.right) <= _CLAIM_PAIRS_MAX:
            yield from _of_opposed_claims(rule, lane, claims, book, asked)
        else:
            yield from _of_whole_lane(rule, lane, claims, book)


def _of_opposed_claims(
    rule: PairRule, lane: Lane, claims: Claims, book: RuleBook, asked: set[tuple[int, int]]
) -> Pairs:
    """Few claims: first which of them oppose each other, then who makes those, and when.

    Two claims may meet in many lanes (a concept and all above it): ``asked`` holds those that have.
    """
    bare = Case(book, tuple)
    indexes: dict[tuple[int, float], Occasions] = {}
    for one, two in chain(combinations(lane.both, 2), product(lane.left, lane.right)):
        pair = (one.position, two.position)
        if pair in asked:
            continue
        asked.add(pair)
        if rule.judge(one._replace(source="1"), two._replace(source="2"), bare) is None:
            continue
        few, many = sorted(pair, key=claims.count)
        key = few, max(rule.window_s(one, book), rule.window_s(two, book))
        if key not in indexes:
            indexes[key] = Occasions(claims.facts_of(few), key[1], _crowd_max(book))
        yield from meetings(indexes[key], partial(claims.facts_of, many))


def _of_whole_lane(rule: PairRule, lane: Lane, claims: Claims, book: RuleBook) -> Pairs:
    """Very many claims (readings all different): first who can be of one occasion."""
    window_s = max(rule.window_s(proto, book) for role in lane for proto in role)

    def of(protos: Iterable[Fact], near: Occasions | None) -> list[Fact]:
        return [fact for proto in protos for fact in claims.facts_of(proto.position, near)]

    for few, many in ((lane.both, lane.both), (lane.left, lane.right)):
        if few:
            index = Occasions(of(few, None), window_s, _crowd_max(book))
            yield from meetings(index, partial(of, many))


def _crowd_max(book: RuleBook) -> int:
    return math.isqrt(book.general.bucket_pairs_max)


def meetings(index: Occasions, right: Callable[[Occasions | None], Sequence[Fact]]) -> Pairs:
    """Pairs of one fact of each side that can be of one occasion, some of them twice.

    Complete while no place of the index is crowded; above that both sides are indexed, so that
    every fact of either side meets somebody.
    """
    index.crowded = False
    others = right(index)
    for one in others:
        for other in index.near(one):
            if one is not other:
                yield one, other
    if index.crowded:
        back = index.of_others(others)
        for one in index.facts:
            for other in back.near(one):
                yield one, other


def _of_two_subjects(
    rule: PairRule, protos: Sequence[Fact], claims: Claims, book: RuleBook
) -> Pairs:
    """What one study or specimen says of each of several people."""
    if len({proto.subject for proto in protos}) < 2:
        return
    for lane in lanes_of(claims.facts(), lambda fact: rule.lanes(fact, book)):
        by_subject: dict[str, list[Fact]] = {}
        for fact in lane.both:
            by_subject.setdefault(fact.subject, []).append(fact)
        for left, right in combinations(by_subject.values(), 2):
            yield from meetings(Occasions(left, 0.0, _crowd_max(book)), partial(_whole, right))


def _whole(facts: Sequence[Fact], _: Occasions | None) -> Sequence[Fact]:
    return facts
