"""The public cases, where they are at hand: two thirds for development, one third held back."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from careweir.conflicts import RuleBook, evaluate

CASES = Path(__file__).resolve().parents[3] / "shared" / "conflicts" / "cases.jsonl"

pytestmark = pytest.mark.skipif(
    not CASES.exists(), reason="needs ../shared/conflicts/cases.jsonl beside the repository"
)


def _held_back(line: bytes) -> bool:
    name = json.loads(line)["id"]
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % 3 == 0


@pytest.mark.parametrize("held_back", [False, True], ids=["development", "held-back"])
def test_public_cases_reach_the_gate(rules: RuleBook, held_back: bool) -> None:
    lines = [line for line in CASES.read_bytes().splitlines() if _held_back(line) is held_back]

    report = evaluate(lines, rules)

    assert report["f1"] >= 0.95, report["wrong"]
    assert report["severe_recall"] == 1.0
    assert report["false_alarms_per_100"] <= 2
    assert report["severity_within_step"] >= 0.95
