"""Findings that make the same claim, read once: many tools say the same of many occasions.

A claim is everything that a finding says except who says it, how surely and of which occasion.
Equal claims never conflict, so only different ones are compared, and facts are made only of the
findings whose claims can conflict at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import count
from operator import attrgetter, itemgetter
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
from careweir.conflicts.words import reference_tail
from careweir_fhir.model import Finding

_SAID = itemgetter(
    "kind", "value", "polarity", "unit", "laterality", "horizon", "scale", "threshold_band",
    "interval", "action", "target", "dose", "body_site", "subject_context", "status",
)  # fmt: skip
_CODE = itemgetter("code", "display", "system")
_REPLACES = itemgetter("replaces")
_FIELDS = attrgetter("__dict__")
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
        self._said = list(map(_FIELDS, findings))
        own = reference_tail(patient) if patient else only_reference(findings)
        self._gone = replaced_positions(findings) if any(map(_REPLACES, self._said)) else set()
        self._firsts = _firsts(self._said)
        self._numbers: dict[int, int] = {}
        self._whole: dict[int, list[Fact]] = {}
        self.protos: list[Fact] = []
        for first in dict.fromkeys(self._firsts):
            if not withdrawn(findings[first], book):
                self._numbers[first] = len(self.protos)
                self.protos.append(claim_of(len(self.protos), findings[first], book, own))

    @cached_property
    def _positions(self) -> list[list[int]]:
        """Where each claim is made, in the order of the findings; seldom asked for."""
        found: list[list[int]] = [[] for _ in self.protos]
        numbers, gone = self._numbers, self._gone
        for position, first in enumerate(self._firsts):
            if first in numbers and position not in gone:
                found[numbers[first]].append(position)
        return found

    def facts_of(self, number: int, near: Occasions | None = None) -> list[Fact]:
        """The findings that make a claim, without repeats; only those ``near``, where given."""
        if near is not None:
            return self._made(number, near.of_interest(self._positions[number], self._said))
        if number not in self._whole:
            self._whole[number] = self._made(number, self._positions[number])
        return self._whole[number]

    def _made(self, number: int, positions: Sequence[int]) -> list[Fact]:
        claim, findings, said = self.protos[number], self._findings, self._said
        seen: set[Any] = set()
        facts: list[Fact] = []
        for position in positions:
            occasion = _OCCASION(said[position])
            if occasion not in seen:
                seen.add(occasion)
                facts.append(fact_of(position, findings[position], claim))
        return facts

    def count(self, number: int) -> int:
        """How many findings make a claim, repeats included."""
        return len(self._positions[number])

    def facts(self) -> list[Fact]:
        """Every fact of the case, in the order of the findings."""
        found = [fact for number in range(len(self.protos)) for fact in self.facts_of(number)]
        return sorted(found, key=itemgetter(0))


def _firsts(said: Sequence[dict[str, Any]]) -> list[int]:
    """For each finding the position of the first one that claims the same.

    Every finding is met here, and in a case without conflicts nowhere else: so its fields come
    from the instance's dictionary, and no step of the loop is one of the interpreter's.
    """
    codes = map(_CODE, map(_FIELDS, map(itemgetter("code"), said)))
    known: dict[Any, int] = {}
    return list(map(known.setdefault, zip(codes, map(_SAID, said), strict=True), count()))
