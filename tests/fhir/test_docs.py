"""``docs/fhir`` says what the code does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from careweir_fhir import systems
from careweir_fhir.context import ToolOutcome, ToolStatus
from careweir_fhir.operation_outcome import missing_issues
from careweir_fhir.stored import stored_resources
from careweir_fhir.validate import problems

DOCS = Path(__file__).parents[2] / "docs" / "fhir"
# example -> (answer, resource type, which one of them)
EXAMPLES = {
    "risk": ("complete", "RiskAssessment", 0),
    "fallback": ("degraded", "RiskAssessment", 0),
    "measurement": ("complete", "Observation", 0),
    "present": ("conflict", "Observation", 0),
    "indeterminate": ("conflict", "Observation", 4),
    "family": ("proposals", "Observation", 0),
    "report": ("conflict", "DiagnosticReport", 0),
    "proposal": ("proposals", "ServiceRequest", 1),
    "guidance": ("proposals", "GuidanceResponse", 0),
    "no_finding": ("proposals", "GuidanceResponse", 1),
    "triage": ("proposals", "Flag", 0),
    "document": ("proposals", "DocumentReference", 0),
    "coding": ("proposals", "Task", 0),
    "conflict": ("conflict", "DetectedIssue", 1),
    "provenance": ("conflict", "Provenance", 0),
    "device": ("complete", "Device", 0),
    "missing": ("degraded", "OperationOutcome", 0),
}


def page() -> str:
    return (DOCS / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_is_what_the_code_makes(
    name: str, answers: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    answer, kind, which = EXAMPLES[name]
    made = [r for r in stored_resources(answers[answer].bundle()) if r["resourceType"] == kind]
    file = DOCS / "examples" / f"{name}.json"

    text = json.dumps(made[which], indent=2, ensure_ascii=False) + "\n"
    if request.config.getoption("--update-golden", default=False):
        file.write_text(text, "utf-8")

    assert text == file.read_text("utf-8")
    assert problems(json.loads(text)) == ()


def test_page_links_every_example_and_no_other() -> None:
    linked = re.findall(r"\(examples/(\w+)\.json\)", page())

    assert sorted(linked) == sorted(EXAMPLES)
    assert {file.stem for file in (DOCS / "examples").glob("*.json")} == set(EXAMPLES)


def test_page_names_every_address_of_our_own() -> None:
    ours = {v for v in vars(systems).values() if str(v).startswith("urn:careweir:")}
    ours.discard("urn:careweir:extension:")

    assert [address for address in sorted(ours) if f"`{address}" not in page()] == []


def statuses() -> Iterator[str]:
    """The table of statuses, line by line."""
    yield from ("| `tools[].status` | severity | issue type |", "|---|---|---|")
    for status in get_args(ToolStatus):
        tool = ToolOutcome("t", "v", "p", "1", status, None, "live")
        for issue in missing_issues([tool]):
            yield f"| `{status}` | {issue.severity} | `{issue.code}` |"


def test_table_of_statuses_is_that_of_the_code(request: pytest.FixtureRequest) -> None:
    head, tail = "<!-- statuses -->\n", "<!-- /statuses -->"
    before, _, rest = page().partition(head)
    shown, _, after = rest.partition(tail)
    expected = "\n".join(statuses()) + "\n"

    if request.config.getoption("--update-golden", default=False):
        (DOCS / "README.md").write_text(before + head + expected + tail + after, "utf-8")
        shown = expected

    assert shown == expected
