"""At least forty cases for each trap, made by rule; a third of each held back and told apart."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import pytest

from careweir.conflicts import RuleBook, detect
from conflicts.families import amounts, codes, decisions, spellings
from conflicts.families.case import Made

FAMILIES = (
    *amounts.FAMILIES,
    *codes.FAMILIES,
    *decisions.FAMILIES,
    *spellings.FAMILIES,
)
CASES_MIN = 40
Family = Callable[[], Iterator[Made]]


def _held_back(case: Made) -> bool:
    return int(hashlib.sha256(case.id.encode()).hexdigest(), 16) % 3 == 0


def _wrong(rules: RuleBook, cases: list[Made]) -> list[str]:
    wrong = []
    for case in cases:
        found = {(c.type, c.severity) for c in detect(case.findings, rules, patient="Patient/p1")}
        if found != ({case.expect} if case.expect else set()):
            wrong.append(f"{case.id} ({case.why}): wanted {case.expect}, found {sorted(found)}")
    return wrong


@pytest.mark.parametrize("held_back", [False, True], ids=["development", "held-back"])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_every_made_case_is_judged_as_its_reason_says(
    rules: RuleBook, family: Family, held_back: bool
) -> None:
    cases = [case for case in family() if _held_back(case) is held_back]

    assert cases
    assert _wrong(rules, cases) == []


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_every_trap_has_forty_cases_of_its_own_and_most_must_stay_silent(family: Family) -> None:
    cases = list(family())

    assert len({case.id for case in cases}) == len(cases)
    assert len(cases) >= CASES_MIN
    assert all(case.why for case in cases)


def test_most_cases_must_stay_silent() -> None:
    cases = [case for family in FAMILIES for case in family()]

    assert sum(case.expect is None for case in cases) > len(cases) / 2
