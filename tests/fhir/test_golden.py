"""Whole answers against the files in ``golden``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from careweir_fhir.validate import problems

GOLDEN = Path(__file__).parent / "golden"


def test_answer_is_as_its_golden_file_says(
    named_answer: tuple[str, Any], request: pytest.FixtureRequest
) -> None:
    name, answer = named_answer
    file = GOLDEN / f"{name}.json"

    text = json.dumps(answer.bundle(), indent=2, ensure_ascii=False) + "\n"
    if request.config.getoption("--update-golden", default=False):
        file.write_text(text, "utf-8")

    assert text == file.read_text("utf-8")


def test_golden_file_has_no_problem(named_answer: tuple[str, Any]) -> None:
    name, _ = named_answer

    bundle = json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))

    assert problems(bundle) == ()


def test_same_answer_twice_is_the_same_bundle(named_answer: tuple[str, Any]) -> None:
    _, answer = named_answer

    assert answer.bundle() == answer.bundle()
