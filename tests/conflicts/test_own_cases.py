"""Every own case: written with its clinical reason, run as its file says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from careweir.conflicts import RuleBook, detect
from careweir.conflicts.reader import read_finding
from careweir_fhir.model import ICD10CM, LOINC, RADLEX, SNOMED

CASES = Path(__file__).parent / "cases"
SYSTEMS = {"icd": ICD10CM, "loinc": LOINC, "rid": RADLEX, "sct": SNOMED}
FAMILY_CASES_MIN = 10


def _finding(tool: str, defaults: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    fields = {"tool": tool, "tool_version": "1.0", **defaults, **said}
    display = fields.pop("display", None)
    for short, system in SYSTEMS.items():
        if short in fields:
            fields["code"] = {"system": system, "code": fields.pop(short), "display": display}
    for short in ("words", "drug"):
        if short in fields:
            fields["code"] = {"display": fields.pop(short)}
    if fields["kind"] == "recommendation":
        fields["target"] = fields["code"]
    if fields["kind"] not in ("assertion",):
        fields.pop("polarity", None) if "polarity" not in said else None
    return fields


def _load() -> list[Any]:
    found = []
    for path in sorted(CASES.glob("*.yaml")):
        family = yaml.safe_load(path.read_text())
        assert len(family["cases"]) >= FAMILY_CASES_MIN
        for case in family["cases"]:
            said = [
                _finding(name, family["defaults"], case[name])
                for name in ("a", "b", "c")
                if name in case
            ]
            found.append(
                pytest.param(said, case["expect"], case["why"], id=f"{path.stem}-{case['id']}")
            )
    return found


@pytest.mark.parametrize(("said", "expect", "why"), _load())
def test_case_is_judged_as_its_clinical_reason_says(
    rules: RuleBook, said: list[dict[str, Any]], expect: list[str], why: str
) -> None:
    findings = [read_finding(item) for item in said]

    conflicts = detect(findings, rules, patient="Patient/p1")

    wanted = [(expect[0], expect[1], (0, 1))] if expect else []
    assert [(c.type, c.severity, c.between) for c in conflicts] == wanted, why
    assert all(c.reason for c in conflicts)
