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
    for lane in lanes_of(protos, lambda proto: rule.lanes(proto, book)):
        if len(lane.both) ** 2 // 2 + len(lane.left) * len(lane.right) <= _CLAIM_PAIRS_MAX:
            yield from _of_opposed_claims(rule, lane, claims, book)
        else:
            yield from _of_whole_lane(rule, lane, claims, book)


def _of_opposed_claims(rule: PairRule, lane: Lane, claims: Claims, book: RuleBook) -> Pairs:
    """Few claims: first which of them oppose each other, then who makes those, and when."""
    bare = Case(book, tuple)
    for one, two in chain(combinations(lane.both, 2), product(lane.left, lane.right)):
        if rule.judge(one._replace(source="1"), two._replace(source="2"), bare) is not None:
            few, many = sorted((one, two), key=lambda proto: claims.count(proto.position))
            window_s = max(rule.window_s(one, book), rule.window_s(two, book))
            yield from _join([few], [many], claims, window_s, book)


def _of_whole_lane(rule: PairRule, lane: Lane, claims: Claims, book: RuleBook) -> Pairs:
    """Very many claims (readings all different): first who can be of one occasion."""
    window_s = max(rule.window_s(proto, book) for role in lane for proto in role)
    if lane.both:
        yield from _join(lane.both, lane.both, claims, window_s, book)
    if lane.left:
        yield from _join(lane.left, lane.right, claims, window_s, book)


def _join(
    few: Sequence[Fact], many: Sequence[Fact], claims: Claims, window_s: float, book: RuleBook
) -> Pairs:
    def of(protos: Iterable[Fact], near: Occasions | None) -> list[Fact]:
        return [fact for proto in protos for fact in claims.facts_of(proto.position, near)]

    yield from meetings(
        of(few, None),
        lambda near: of(many, near),
        window_s=window_s,
        pairs_max=book.general.bucket_pairs_max,
    )


def meetings(
    left: Sequence[Fact],
    right: Callable[[Occasions | None], Sequence[Fact]],
    *,
    window_s: float,
    pairs_max: int,
) -> Pairs:
    """Pairs of one fact of each side that can be of one occasion, some of them twice.

    Complete while no place of the index holds more than ``sqrt(pairs_max)`` facts; above that both
    sides are indexed, so that every fact of either side meets somebody.
    """
    index = Occasions(left, window_s, math.isqrt(pairs_max))
    others = right(index)
    for one in others:
        for other in index.near(one):
            if one is not other:
                yield one, other
    if index.crowded:
        back = Occasions(others, window_s, math.isqrt(pairs_max))
        for one in left:
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
            yield from meetings(
                left, partial(_whole, right), window_s=0.0, pairs_max=book.general.bucket_pairs_max
            )


def _whole(facts: Sequence[Fact], _: Occasions | None) -> Sequence[Fact]:
    return facts
