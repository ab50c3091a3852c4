"""The rule author's guide, followed to the letter."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from careweir.conflicts import RuleBook, detect
from careweir.conflicts.rules import RULES
from careweir.conflicts.verdict import PairRule
from careweir_fhir.model import Coding, Finding

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "conflict-rules.md").read_text()
PART = GUIDE.partition("## Adding a rule")[2]


def _block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PART, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def rule() -> PairRule:
    """The rule of the guide, imported as its file would be."""
    module = ModuleType("blood_group_mismatch")
    exec(compile(_block("python"), "docs/conflict-rules.md", "exec"), module.__dict__)
    made: PairRule = module.__dict__["RULE"]
    return made


def _said(name: str, fields: dict[str, Any]) -> Finding:
    given: dict[str, Any] = {"tool": name, "kind": "assertion", **fields}
    return Finding(code=Coding(display="ABO group"), **given)


def test_every_case_of_the_guide_is_judged_as_it_says(rule: PairRule, rules: RuleBook) -> None:
    cases = yaml.safe_load(_block("yaml"))

    for case in cases:
        findings = [_said("tool-a", case["a"]), _said("tool-b", case["b"])]
        found = detect(findings, rules, patient="Patient/p1", kinds=(*RULES, rule))
        mine = [c for c in found if c.type == rule.name]
        assert [c.severity for c in mine] == ([case["expect"]] if case["expect"] else []), case
        assert found == detect(findings[::-1], rules, patient="Patient/p1", kinds=(*RULES, rule))

    assert sum(case["expect"] is None for case in cases) > len(cases) / 2


def test_without_the_rule_nobody_speaks(rules: RuleBook) -> None:
    findings = [_said("tool-a", {"value": "A"}), _said("tool-b", {"value": "B"})]

    assert detect(findings, rules) == ()


def test_the_guide_lists_every_rule_and_no_other() -> None:
    table = GUIDE.partition("## The rules")[2].partition("## Changing")[0]
    listed = {name for row in re.findall(r"^\| ([a-z_, ]+) \|", table, re.M)
              for name in row.split(", ")}  # fmt: skip

    assert listed - {"type"} == {rule.name for rule in RULES}
