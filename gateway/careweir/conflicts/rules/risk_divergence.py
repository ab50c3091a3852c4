"""Two tools put one outcome over one horizon into clearly different bands.

Opposite bands, or probabilities at least 0.20 apart with a change of band. Another outcome or
horizon, overlapping intervals and neighbouring bands are no divergence.
Source: CONFLICTS section 2; published bands of named scores in risk.yaml.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from careweir.conflicts.case import Case
from careweir.conflicts.normalise import Fact
from careweir.conflicts.pairs import BOTH
from careweir.conflicts.risks import BAND_NAMES, RiskClaim
from careweir.conflicts.rulebook import RuleBook
from careweir.conflicts.sameness import differ_in_source, same_occasion, same_side, same_subject
from careweir.conflicts.verdict import PairRule, Verdict, in_order, occasion, said

_ROUNDING = 1e-9


def _lanes(fact: Fact, book: RuleBook) -> Iterator[tuple[Hashable, int]]:
    if fact.context is not None or not fact.concept.usable:
        return
    claim = fact.risk
    if claim is not None:
        for name in fact.concept.ids:
            yield (fact.subject, name, claim.horizon_s), BOTH


def _judge(a: Fact, b: Fact, case: Case) -> Verdict | None:
    if not differ_in_source(a, b) or not same_subject(a, b) or not same_side(a, b):
        return None
    if not (a.concept.usable and b.concept.usable):
        return None
    if set(a.concept.ids).isdisjoint(b.concept.ids):
        return None
    one, two = a.risk, b.risk
    if one is None or two is None or one.horizon_s != two.horizon_s:
        return None
    if not same_occasion(a, b, window_s=_claim_window_s(one, case.book)):
        return None
    return _compare(a, one, b, two, case.book)


def _compare(a: Fact, one: RiskClaim, b: Fact, two: RiskClaim, book: RuleBook) -> Verdict | None:
    if one.score != two.score and not (one.score is None or two.score is None):
        return None
    if one.band is None or two.band is None or one.band == two.band or _overlap(one, two):
        return None
    gap = None
    if one.probability is not None and two.probability is not None:
        gap = abs(one.probability - two.probability)
    opposite = abs(one.band - two.band) == 2 or (one.two_bands and two.two_bands)
    if not opposite and (gap is None or gap < book.risk.probability_gap - _ROUNDING):
        return None
    claims = {id(a): one, id(b): two}
    ordered = in_order(a, b)
    words = [f"{said(f)} says {_text(claims[id(f)])}" for f in ordered]
    how_much = "" if gap is None else f", {gap:.2f} apart (limit {book.risk.probability_gap:.2f})"
    return Verdict(
        "high" if opposite else "moderate",
        f"risk of {ordered[0].concept.label}: {words[0]}, {words[1]}{how_much}, same horizon, "
        f"{occasion(a, b)}",
        f"risk.yaml:{one.score or two.score or 'probability_bands'}",
    )


def _overlap(one: RiskClaim, two: RiskClaim) -> bool:
    """Do the stated intervals overlap, or does one interval hold the other's value?"""
    low_one, high_one = one.interval or (one.probability, one.probability)
    low_two, high_two = two.interval or (two.probability, two.probability)
    if one.interval is None and two.interval is None:
        return False
    if low_one is None or high_one is None or low_two is None or high_two is None:
        return False
    return low_one <= high_two and low_two <= high_one


def _text(claim: RiskClaim) -> str:
    band = "no band" if claim.band is None else BAND_NAMES[claim.band]
    return f"{claim.written} ({band})"


def _claim_window_s(claim: RiskClaim, book: RuleBook) -> float:
    """A sixth of the horizon: further apart, the two tools looked at different input."""
    hours = (claim.horizon_s or 0) / 3600 / 6
    windows = book.general.window_h
    return min(max(hours, windows.risk_min), windows.risk_max) * 3600


def _window_s(fact: Fact, book: RuleBook) -> float:
    return _claim_window_s(fact.risk, book) if fact.risk is not None else 0.0


RULE = PairRule(
    name="risk_divergence",
    kinds=frozenset({"risk"}),
    lanes=_lanes,
    judge=_judge,
    window_s=_window_s,
)
