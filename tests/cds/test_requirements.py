"""The table of what CDS Hooks 2.0.1 demands of a service is whole, and points at real tests."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from cds.requirements import REQUIREMENTS, Requirement
from support.paths import ROOT

COUNTED_BEFORE = 69  # mandatory statements for a service, by an earlier and coarser count
FILES = [
    file for folder in ("cds", "attack") for file in (ROOT / "tests" / folder).glob("test_*.py")
]
NAMES = {
    name
    for file in FILES
    for name in re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
}
DOCS = (ROOT / "docs" / "cds-hooks.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("row", REQUIREMENTS, ids=lambda row: f"{row.part}: {row.says}")
def test_each_requirement_is_shown_by_tests_that_exist_or_says_why_not(row: Requirement) -> None:
    assert set(row.tests) <= NAMES
    assert row.tests or row.verdict in ("deployment", "not met")
    assert bool(row.why) == (row.verdict != "met")


def test_the_table_is_no_coarser_than_the_standard() -> None:
    assert len(REQUIREMENTS) >= COUNTED_BEFORE
    assert len({(row.part, row.says) for row in REQUIREMENTS}) == len(REQUIREMENTS)


def test_the_docs_count_what_the_table_holds() -> None:
    count = Counter(row.verdict for row in REQUIREMENTS)

    assert f"{len(REQUIREMENTS)} requirements: {count['met']} met" in DOCS
    assert f"{count['unused']} about what is never sent or read" in DOCS
    assert f"{count['deployment']} left to the TLS terminator" in DOCS
    assert f"{count['not met']} not met" in DOCS
