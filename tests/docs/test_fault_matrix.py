"""Every row of the fault matrix names tests that exist, or says plainly that there is none."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from support.paths import ROOT

ROWS: dict[int, dict[str, Any]] = yaml.safe_load(
    (ROOT / "tests" / "faults" / "matrix.yaml").read_text(encoding="utf-8")
)


def test_all_eighty_rows_are_there() -> None:
    assert list(ROWS) == list(range(1, 81))
    assert all(set(row) <= {"fault", "tests", "gap"} for row in ROWS.values())


@pytest.mark.parametrize("number", ROWS)
def test_a_row_names_tests_that_exist_or_its_gap(number: int) -> None:
    row = ROWS[number]
    for named in row["tests"]:
        file, _, test = named.partition("::")
        text = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert re.search(rf"^\s*(?:async )?def {test}\(", text, re.M), named

    assert row["tests"] or row["gap"]


def test_every_fault_is_shown_by_a_test() -> None:
    assert [number for number, row in ROWS.items() if not row["tests"]] == []
