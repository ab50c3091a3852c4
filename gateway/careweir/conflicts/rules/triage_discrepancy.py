"""Two triage levels at least two apart on one scale, or on scales mapped to the same five levels.

One level is what two nurses differ by; a scale that is not in the table is not compared, it may run
the other way. Source: emj.bmj.com/content/26/8/556.full; scales.yaml.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from careweir.conflicts.case import Case
from careweir.conflicts.normalise import Fact
from careweir.conflicts.pairs import BOTH
from careweir.conflicts.rulebook import RuleBook
from careweir.conflicts.sameness import differ_in_source, same_occasion, same_subject
from careweir.conflicts.verdict import PairRule, Verdict, in_order, occasion, said
from careweir_fhir.model import Severity


def _lanes(fact: Fact, book: RuleBook) -> Iterator[tuple[Hashable, int]]:
    if fact.context is None and book.triage.level_of(fact.finding) is not None:
        yield fact.subject, BOTH


def _judge(a: Fact, b: Fact, case: Case) -> Verdict | None:
    if not differ_in_source(a, b) or not same_subject(a, b):
        return None
    one, two = case.book.triage.level_of(a.finding), case.book.triage.level_of(b.finding)
    scales = case.book.scales
    if one is None or two is None or abs(one[1] - two[1]) < scales.triage_steps:
        return None
    if not same_occasion(a, b, window_s=_window_s(a, case.book)):
        return None
    low, high = sorted((one[1], two[1]))
    emergent = low <= scales.triage_emergent and high >= scales.triage_nonurgent
    severity: Severity = "high" if emergent else "moderate"
    levels = {id(a): one, id(b): two}
    words = [
        f"{said(f)} says {levels[id(f)][0].upper()} level {levels[id(f)][1]} of 5"
        for f in in_order(a, b)
    ]
    return Verdict(
        severity,
        f"triage: {words[0]}, {words[1]}, {occasion(a, b)}; {high - low} levels apart "
        f"(limit {scales.triage_steps})",
        f"scales.yaml:{min(one[0], two[0])}",
    )


def _window_s(fact: Fact, book: RuleBook) -> float:
    return book.general.window_h.triage * 3600


RULE = PairRule(
    name="triage_discrepancy",
    kinds=frozenset({"triage"}),
    lanes=_lanes,
    judge=_judge,
    window_s=_window_s,
)
