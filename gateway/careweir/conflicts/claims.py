"""Findings that make the same claim, read once: many tools say the same of many occasions.

A claim is everything that a finding says except who says it, how surely and of which occasion.
Equal claims never conflict, so only different ones are compared, and facts are made only of the
findings whose claims can conflict at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from careweir.conflicts.normalise import (
    Fact,
    claim_of,
    fact_of,
    only_reference,
    replaced_positions,
    withdrawn,
)
from careweir.conflicts.pairs import Occasions
from careweir.conflicts.rulebook import RuleBook
from careweir.conflicts.words import instant, reference_tail
from careweir_fhir.model import Finding

_SAID = itemgetter(
    "kind", "value", "polarity", "unit", "laterality", "horizon", "scale", "threshold_band",
    "interval", "action", "target", "dose", "body_site", "subject_context", "status",
)  # fmt: skip
_CODE = itemgetter("code", "display", "system")
_MOMENT = itemgetter("study", "specimen", "effective")
_OCCASION = itemgetter(
    "tool", "tool_version", "study", "specimen", "encounter", "effective", "confidence",
    "confidence_kind",
)  # fmt: skip


class Claims:
    """The different claims of one case, and on demand the facts that make each.

    ``protos[n]`` is claim ``n`` as a fact of no occasion, said by nobody.
    """

    def __init__(self, findings: Sequence[Finding], book: RuleBook, patient: str | None) -> None:
        self._findings = findings
        own = reference_tail(patient) if patient else only_reference(findings)
        groups = _grouped(findings)
        self.protos: list[Fact] = []
        self._positions: list[list[int]] = []
        for positions in groups:
            first = findings[positions[0]]
            if not withdrawn(first, book):
                self.protos.append(claim_of(len(self.protos), first, book, own))
                self._positions.append(positions)

    def facts_of(self, number: int, near: Occasions | None = None) -> list[Fact]:
        """The findings that make a claim, without repeats; only those ``near``, where given."""
        claim, findings = self.protos[number], self._findings
        seen: set[Any] = set()
        facts: list[Fact] = []
        for position in self._positions[number]:
            finding = findings[position]
            said = finding.__dict__
            if near is not None:
                study, specimen, effective = _MOMENT(said)
                at = instant(effective) if effective else None
                if not near.may_hold(
                    reference_tail(study) if study else None,
                    reference_tail(specimen) if specimen else None,
                    at,
                ):
                    continue
            occasion = _OCCASION(said)
            if occasion not in seen:
                seen.add(occasion)
                facts.append(fact_of(position, finding, claim))
        return facts

    def count(self, number: int) -> int:
        """How many findings make a claim, repeats included."""
        return len(self._positions[number])

    def facts(self) -> list[Fact]:
        """Every fact of the case, in the order of the findings."""
        found = [fact for number in range(len(self.protos)) for fact in self.facts_of(number)]
        return sorted(found, key=itemgetter(0))


def _grouped(findings: Sequence[Finding]) -> list[list[int]]:
    """Positions by claim, in order of appearance, without those of replaced findings.

    Attributes are read from the instance's dictionary: this loop meets every finding, and it is
    most of the time that a case without conflicts takes.
    """
    replaced = replaced_positions(findings)
    groups: dict[Any, list[int]] = {}
    for position, finding in enumerate(findings):
        said = finding.__dict__
        key = (_CODE(said["code"].__dict__), _SAID(said))
        if key in groups:
            groups[key].append(position)
        else:
            groups[key] = [position]
    if not replaced:
        return list(groups.values())
    kept = [[at for at in positions if at not in replaced] for positions in groups.values()]
    return [positions for positions in kept if positions]
