"""The commands on the pages do what the pages show."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from docs.pages import fences
from docs.replay import MORE, PAGES, differences, parts, replayed, shortened, steps
from support.paths import ROOT
from support.running import Served

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")


@needs_curl
@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_print_what_the_page_shows(
    page: str, demo: Served, tmp_path: Path
) -> None:
    wanted = steps((ROOT / page).read_text(encoding="utf-8"))

    printed = replayed([step.command for step in wanted], demo, tmp_path / "workspace")

    assert len(printed) == len(wanted) > 0
    for step, real in zip(wanted, printed, strict=True):
        shown_parts, real_parts = parts(step.shown), parts(real)
        found = list(differences(shown_parts, real_parts))
        assert not found, f"{page}: {step.command}\n" + "\n".join(found)


def test_the_python_example_runs_as_it_stands(demo: Served, tmp_path: Path) -> None:
    (example,) = fences(ROOT / "docs" / "integrators.md", "python")
    (tmp_path / "example.py").write_text(example)

    (printed,) = replayed([f"python3 {tmp_path / 'example.py'}"], demo, tmp_path / "workspace")

    assert printed.split("\n") == ["acme-sepsis answered ", "beacon-sepsis answered"]


def test_no_tool_receives_what_the_readme_says_it_does_not(demo: Served) -> None:
    question = json.loads((ROOT / "docs" / "examples" / "question.json").read_text())
    kept_here = ["Ashley", "Sluice Road", "MRN-000-EXAMPLE", "1957-06-30", "35489007", "Depressive"]
    assert all(word in json.dumps(question) for word in kept_here)

    assert demo.ask(question).status_code == 200

    for tool in ("acme-sepsis", "beacon-sepsis"):
        received = json.dumps(demo.seen(tool)["received"])
        assert "68" in received  # the age
        assert not [word for word in kept_here if word in received]


def test_the_readme_shows_a_whole_answer_of_two_tools_that_disagree() -> None:
    shown = [part for step in steps((ROOT / "README.md").read_text()) for part in parts(step.shown)]
    answer = next(part for part in shown if "outcome" in part)

    assert {row["tool"] for row in answer["tools"]} == {"acme-sepsis", "beacon-sepsis"}
    assert answer["conflicts"]
    assert set(answer["audit"]) == {"writer", "seq", "hash"}


def test_the_example_question_holds_the_example_chart() -> None:
    examples = ROOT / "docs" / "examples"
    question = json.loads((examples / "question.json").read_text())

    assert question["inputs"] == json.loads((examples / "chart.json").read_text())


@pytest.mark.parametrize(
    ("shown", "real"),
    [
        ({"a": 1}, {"a": 2.5}),
        ({"a": "x", MORE: MORE}, {"a": "x", "b": None}),
        (["a", MORE], ["a", "b", "c"]),
        ("inf_…", "inf_01M7YY7A8X3TW3FFQ5CWN04YHF"),
        ("roles.yaml:20", "roles.yaml:7"),
    ],
)
def test_what_a_page_leaves_out_is_no_difference(shown: Any, real: Any) -> None:
    assert not list(differences(shown, real))


@pytest.mark.parametrize(
    ("shown", "real"),
    [
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1, "gone": 2, MORE: MORE}, {"a": 1}),
        (["a"], ["a", "b"]),
        ("answered", "timed_out"),
        (True, 1),
        (None, "x"),
        (parts("HTTP 200"), parts("HTTP 200\nand more")),
    ],
)
def test_what_a_page_gets_wrong_is_a_difference(shown: Any, real: Any) -> None:
    assert list(differences(shown, real))


def test_what_is_shortened_still_agrees_with_what_it_was() -> None:
    real = {
        "id": "dis_01M7YY7A92WWV6G6MT6NBVXGPM",
        "hash": "c6" * 32,
        "list": [f"path {letter}" for letter in "abcdefg"],
        "nothing": {"a": None, "b": None, "c": [], "d": None, "e": 1},
    }

    short = shortened(real)

    assert short["id"] == "dis_…"
    assert short["list"][-1] == MORE
    assert short["nothing"] == {"e": 1, MORE: MORE}
    assert not list(differences(short, real))
