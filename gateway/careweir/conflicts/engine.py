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
            first, second = sorted((a.index, b.index))
            found[first, second, rule.name] = Conflict(
                type=rule.name,
                between=(first, second),
                severity=verdict.severity,
                reason=verdict.reason,
                rule=verdict.rule or rule.name,
            )
    return tuple(found[key] for key in sorted(found))


def _verdicts(rule: PairRule, case: Case) -> list[tuple[Fact, Fact, Verdict]]:
    facts = [fact for fact in case.facts if fact.kind in rule.kinds]
    verdicts = []
    window_s = rule.window_s(case.book)
    for lane in lanes_of(facts, lambda fact: rule.lanes(fact, case.book)):
        for a, b in pairs_in(lane, pairs_max=case.book.general.bucket_pairs_max, window_s=window_s):
            verdict = rule.judge(a, b, case)
            if verdict is not None:
                verdicts.append((a, b, verdict))
    return verdicts
