"""The threat model names real tests, leaves no letter out, and no attack test is left out of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.pages import text
from support.paths import ROOT

PAGE = "docs/threat-model.md"
LETTERS = set("STRIDE")


def flows() -> dict[str, str]:
    """The text below each heading that has a table."""
    parts = re.split(r"^## (.+)$", text(PAGE), flags=re.M)
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    return {name: body for name, body in found.items() if "|---|" in body}


def named(body: str) -> set[str]:
    return set(re.findall(r"`(\w+/test_\w+\.py::test_\w+)`", body))


def shown_in(file: Path) -> set[str]:
    found = re.findall(r"^(?:async )?def (test_\w+)", file.read_text("utf-8"), re.M)
    return {f"{file.parent.name}/{file.name}::{one}" for one in found}


@pytest.mark.parametrize("flow", flows())
def test_every_flow_has_all_six_letters_and_a_test_for_each_threat(flow: str) -> None:
    rows = re.findall(r"^\| (\w) \| (.+?) \| (.+?) \| (.+) \|$", flows()[flow], re.M)

    assert {row[0] for row in rows} == LETTERS
    assert [row[1] for row in rows if not named(row[3])] == []


def test_every_test_that_the_model_names_is_there() -> None:
    there = {one for file in (ROOT / "tests").glob("*/test_*.py") for one in shown_in(file)}

    assert len(named(text(PAGE))) > 80
    assert named(text(PAGE)) <= there


def test_every_attack_test_is_in_the_model() -> None:
    attacks = {one for f in (ROOT / "tests" / "attack").glob("test_*.py") for one in shown_in(f)}

    assert attacks
    assert attacks <= named(text(PAGE))


def test_there_are_at_least_forty_token_cases() -> None:
    cases = (ROOT / "tests" / "attack" / "tokens.py").read_text("utf-8")

    assert len(re.findall(r'^    "[^"]+": ', cases, re.M)) > 100
