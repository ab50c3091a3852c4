"""The document that `careweir minimise` prints."""

from __future__ import annotations

import json
from typing import Any

import pytest

from careweir.errors import QuestionInvalid
from careweir.minimise import minimise_document
from careweir_kit.tool import Tool
from minimise.charts import (
    AS_OF,
    CHEST,
    SEPSIS,
    bundle,
    observation,
    patient,
    policies,
    report,
    tool,
)

BODY = bundle(
    patient(), observation("8867-4", 80, encounter={"reference": "Encounter/e1"}), report()
)


def printed(
    of: Tool = SEPSIS, role: str = "ed-physician", purpose: str = "TREAT", explain: bool = False
) -> tuple[dict[str, Any], int]:
    return minimise_document(
        BODY, role=role, purpose=purpose, tool=of, policies=policies(), site="north",
        as_of=AS_OF, explain=explain,
    )  # fmt: skip


def test_it_shows_what_the_tool_would_receive_and_the_manifest() -> None:
    document, code = printed()

    assert code == 0
    assert set(document) == {"payload", "manifest"}
    assert document["manifest"]["tool"] == "test-tool"
    assert document["manifest"]["site"] == "north"
    assert len(document["payload"]["entry"]) == 2
    json.dumps(document)


@pytest.mark.parametrize(
    ("role", "purpose", "reason"),
    [("scheduler", "TREAT", "role"), ("ed-physician", "HPAYMT", "purpose"),
     ("ed-physician", "HMARKT", "purpose")],
)  # fmt: skip
def test_a_denial_ends_with_three_and_says_why(role: str, purpose: str, reason: str) -> None:
    document, code = printed(role=role, purpose=purpose)

    assert code == 3
    assert document["payload"] is None
    assert document["manifest"]["sent"] == []
    assert {row["reason"] for row in document["manifest"]["withheld"]} == {reason}


def test_an_unreadable_chart_is_refused() -> None:
    with pytest.raises(QuestionInvalid):
        minimise_document(
            b"{}", role="ed-physician", purpose="TREAT", tool=SEPSIS, policies=policies(),
            site=None, as_of=None, explain=False,
        )  # fmt: skip


def test_every_run_prints_the_same() -> None:
    assert printed(explain=True) == printed(explain=True)


def test_the_explanation_reads_as_sentences() -> None:
    document, _ = printed(CHEST, explain=True)
    said = document["explain"]

    assert said[0].startswith(
        "Permitted: grant ed-physician/TREAT/chest-xray-findings (roles.yaml:"
    )
    assert "DiagnosticReport.presentedForm leaves with identifiers scrubbed." in said
    assert "Patient.birthDate leaves as an age band of ten years." in said
    nothing = "the tool needs nothing of this type (not_needed_by_tool)"
    assert f"Observation stays here: {nothing}." in said
    assert printed(role="scheduler", explain=True)[0]["explain"][0].startswith("Denied: no grant")


def test_a_tool_of_two_capabilities_is_shown_under_the_one_that_is_granted() -> None:
    both = SEPSIS.model_copy(update={"capabilities": ("chest-xray-findings", "sepsis-risk")})

    document, code = printed(both, role="radiologist")

    assert code == 0
    assert document["payload"]["entry"][0]["resource"]["resourceType"] == "Patient"


def test_every_transform_is_explained_in_words() -> None:
    paths = ("code", "status", "effectiveDateTime", "valueQuantity")
    moved = tool(
        {"resource": "Observation", "paths": paths, "codes": {"loinc": ("8867-4",)},
         "transforms": {"effectiveDateTime": "shift_dates"}}
    )  # fmt: skip

    document, _ = printed(moved, explain=True)

    assert any("moved by the same number of days" in line for line in document["explain"])


def overridden(*, break_glass: bool) -> tuple[dict[str, Any], int]:
    return minimise_document(
        BODY, role="ed-physician", purpose="BTG", tool=SEPSIS, policies=policies(), site="north",
        as_of=AS_OF, explain=True, break_glass=break_glass,
    )  # fmt: skip


def test_an_override_is_shown_as_one_and_needs_to_be_said() -> None:
    shown, allowed = overridden(break_glass=True)
    denied, refused = overridden(break_glass=False)

    flagged = "This is an emergency override: it is flagged and listed for the privacy officer."
    assert (allowed, refused) == (0, 3)
    assert flagged in shown["explain"]
    assert flagged not in denied["explain"]
    assert flagged not in printed(explain=True)[0]["explain"]
