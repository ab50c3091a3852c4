"""Run every rule over one case."""

from __future__ import annotations

from collections.abc import Sequence

from careweir.conflicts.case import Case, build_case
from careweir.conflicts.normalise import Fact, facts_from_findings
from careweir.conflicts.pairs import lanes_of, pairs_in
from careweir.conflicts.rulebook import RuleBook
from careweir.conflicts.rules import RULES
from careweir.conflicts.verdict import PairRule, Verdict
from careweir_fhir.model import Conflict, Finding


def detect(
    findings: Sequence[Finding], rules: RuleBook, *, patient: str | None = None
) -> tuple[Conflict, ...]:
    """Every conflict between two findings, sorted by position and type.

    Pure; the order of the findings changes only the positions. A repeated finding adds nothing. No
    winner is named and nothing is averaged. Above ``bucket_pairs_max`` pairs in one bucket only
    representative pairs are given, so that work and output stay linear.
    """
    facts = facts_from_findings(findings, rules, patient=patient)
    case = build_case(facts, rules)
    found: dict[tuple[int, int, str], Conflict] = {}
    for rule in RULES:
        for a, b, verdict in _verdicts(rule, case):
            first, second = sorted((a.position, b.position))
            found[first, second, rule.name] = Conflict(
                type=rule.name,
                between=(first, second),
                severity=verdict.severity,
                reason=verdict.reason,
                rule=verdict.rule or rule.name,
            )
    return tuple(found[key] for key in sorted(found))


def _verdicts(rule: PairRule, case: Case) -> list[tuple[Fact, Fact, Verdict]]:
    if not all(case.by_kind.get(kind) for kind in rule.needs):
        return []
    facts = [fact for kind in sorted(rule.kinds) for fact in case.by_kind.get(kind, ())]
    if len(facts) < 2 or not (rule.one_source or _two_sources(facts)):
        return []
    verdicts = []
    pairs_max = case.book.general.bucket_pairs_max
    for lane in lanes_of(facts, lambda fact: rule.lanes(fact, case.book)):
        window_s = rule.window_s((lane.both or lane.left)[0], case.book)
        for a, b in pairs_in(lane, pairs_max=pairs_max, window_s=window_s):
            verdict = rule.judge(a, b, case)
            if verdict is not None:
                verdicts.append((a, b, verdict))
    return verdicts


def _two_sources(facts: Sequence[Fact]) -> bool:
    first = facts[0].source
    return any(fact.source != first for fact in facts)
