"""Run every rule over one case."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from careweir.conflicts.case import Case
from careweir.conflicts.claims import Claims
from careweir.conflicts.joining import candidates
from careweir.conflicts.normalise import Fact
from careweir.conflicts.rulebook import RuleBook
from careweir.conflicts.rules import RULES
from careweir.conflicts.verdict import PairRule, Verdict
from careweir_fhir.model import Conflict, Finding


def detect(
    findings: Sequence[Finding],
    rules: RuleBook,
    *,
    patient: str | None = None,
    kinds: Sequence[PairRule] = RULES,
) -> tuple[Conflict, ...]:
    """Every conflict between two findings, sorted by position and type.

    Pure; the order of the findings changes only the positions. A repeated finding adds nothing. No
    winner is named and nothing is averaged. Where very many findings are of one occasion, only
    representative pairs are given, so that work and output stay linear.
    """
    claims = Claims(findings, rules, patient)
    case = Case(rules, claims.facts)
    by_kind: dict[str, list[Fact]] = {}
    for proto in claims.protos:
        by_kind.setdefault(proto.kind, []).append(proto)
    found: dict[tuple[int, int, str], Conflict] = {}
    for rule in kinds:
        for a, b, verdict in _verdicts(rule, by_kind, claims, case):
            first, second = sorted((a.position, b.position))
            found[first, second, rule.name] = Conflict(
                type=rule.name,
                between=(first, second),
                severity=verdict.severity,
                reason=verdict.reason,
                rule=verdict.rule or rule.name,
            )
    return tuple(found[key] for key in sorted(found))


def _verdicts(
    rule: PairRule, by_kind: dict[str, list[Fact]], claims: Claims, case: Case
) -> Iterator[tuple[Fact, Fact, Verdict]]:
    if not all(kind in by_kind for kind in rule.needs):
        return
    protos = [proto for kind in sorted(rule.kinds) for proto in by_kind.get(kind, ())]
    if len(protos) < 2:
        return
    met: set[tuple[int, int]] = set()
    for a, b in candidates(rule, protos, claims, case.book):
        pair = (a[0], b[0]) if a[0] < b[0] else (b[0], a[0])
        if pair in met:
            continue
        met.add(pair)
        verdict = rule.judge(a, b, case)
        if verdict is not None:
            yield a, b, verdict
