"""Two policies over a set of charts: who gains or loses what, counted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from careweir.access import PolicySet
from careweir.access.diff import diff
from careweir.cli.policy import app
from careweir.minimise import read_chart
from careweir.minimise.compare import counted, newest
from minimise.charts import ROOT, SEPSIS, bundle, observation, patient, policies

Edit = Callable[[str, str, str], PolicySet]
WELL = bundle(patient(), observation("8867-4", 80), observation("9279-1", 14))
ILL = bundle(
    patient(),
    *(observation("8867-4", rate, at=f"2026-03-02T0{rate % 7}:00:00Z") for rate in (120, 121)),
)
CHARTS = [read_chart(body, subject=None) for body in (WELL, ILL)]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "policies", tmp_path / "policies"))


@pytest.fixture
def edit(copy: Path) -> Edit:
    """The shipped policy with one edit."""

    def apply(name: str, old: str, new: str) -> PolicySet:
        text = (copy / name).read_text(encoding="utf-8")
        assert old in text
        (copy / name).write_text(text.replace(old, new, 1), encoding="utf-8")
        return PolicySet.load(copy)

    return apply


def rows(old: PolicySet, new: PolicySet) -> list[dict[str, Any]]:
    return counted(old, new, [SEPSIS], CHARTS)


def test_a_policy_lets_out_as_much_as_itself(copy: Path) -> None:
    assert rows(policies(), PolicySet.load(copy)) == []


def test_what_is_lost_is_counted_by_chart_and_element(edit: Edit) -> None:
    new = edit("data_classes.yaml", "valueQuantity, valueInteger", "valueInteger")

    lost = rows(policies(), new)

    assert {row["role"] for row in lost} == {"ed-physician", "hospitalist", "integration-engine"}
    assert {row["tool"] for row in lost} == {"test-tool"}
    assert all(row["gained"] == [] for row in lost)
    value = {"path": "Observation.valueQuantity", "charts": 2, "elements": 4}
    assert all(row["lost"] == [value] for row in lost)
    assert all(row["gained"] == [value] for row in rows(new, policies()))


def test_a_code_that_is_no_longer_known_counts_though_no_rule_changed(edit: Edit) -> None:
    new = edit("codes.yaml", "      9279-1: Respiratory rate\n", "")

    assert diff(policies(), new, [SEPSIS])["changes"] == []
    (row,) = [one for one in rows(policies(), new) if _is(one, "hospitalist", "TREAT", None)]
    assert {one["path"] for one in row["lost"]} >= {"Observation.code", "Observation.valueQuantity"}
    assert {(one["charts"], one["elements"]) for one in row["lost"]} == {(1, 1)}


def test_a_role_that_may_ask_no_more_loses_everything(edit: Edit) -> None:
    new = edit("roles.yaml", "forbids:\n", "forbids:\n  - {role: hospitalist, reason: leave}\n")

    lost = [one for one in rows(policies(), new) if one["role"] == "hospitalist"]

    assert {one["path"] for one in lost[0]["lost"]} >= {"Patient.id", "Observation.valueQuantity"}
    assert {one["role"] for one in rows(policies(), new)} == {"hospitalist"}


def _is(row: dict[str, Any], role: str, purpose: str, site: str | None) -> bool:
    return (row["role"], row["purpose"], row["site"]) == (role, purpose, site)


def test_a_chart_is_looked_at_as_of_its_newest_value() -> None:
    assert newest(CHARTS[0]) == datetime(2026, 3, 2, 8, tzinfo=UTC)
    undated = read_chart(bundle(patient()), subject=None)
    assert newest(undated) > datetime(2026, 1, 1, tzinfo=UTC)
    late = datetime(2027, 1, 1, tzinfo=UTC)
    nothing = counted(policies(), policies(), [SEPSIS], CHARTS, as_of=late)
    assert nothing == []


def test_the_command_counts_over_a_folder_and_says_it_in_words(
    edit: Edit, copy: Path, tmp_path: Path
) -> None:
    edit(
        "data_classes.yaml",
        "    paths: [gender]\n",
        "    paths: [gender]\n    transforms: [year]\n",
    )
    edit("codes.yaml", "      2160-0: Creatinine\n", "")
    folder = tmp_path / "charts"
    folder.mkdir()
    creatinine = observation("2160-0", 1.1, "mg/dL")
    vitals = [observation(code, 80) for code in ("8867-4", "9279-1")]
    (folder / "one.json").write_bytes(bundle(patient(), creatinine, *vitals))
    old, new = str(ROOT / "policies"), str(copy)

    found = CliRunner().invoke(app, ["diff", old, new, "--charts", str(folder)])

    assert found.exit_code == 1
    report = json.loads(found.stdout)
    assert report["charts"] == 1
    acme = [one for one in report["counted"] if one["tool"] == "acme-sepsis"]
    assert acme
    assert "loses Observation.valueQuantity in 1 charts, 1 elements" in found.stderr
    same = CliRunner().invoke(app, ["diff", old, old, "--charts", str(folder)])
    assert same.exit_code == 0
    assert json.loads(same.stdout)["counted"] == []


@pytest.mark.parametrize("content", ["not json, Quillfeather", '{"resourceType": "Patient"}', None])
def test_a_chart_that_cannot_be_read_is_named_and_not_shown(
    tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "chart.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    policy = str(ROOT / "policies")

    found = CliRunner().invoke(app, ["diff", policy, policy, "--charts", str(file)])

    assert found.exit_code != 0
    assert "chart.json" in str(found.exception) + found.stderr
    assert "Quillfeather" not in str(found.exception) + found.output
