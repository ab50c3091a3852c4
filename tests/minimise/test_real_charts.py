"""Charts from elsewhere: nothing identifying or sensitive leaves them, what is needed does.

They are read from ``../shared`` where that stands beside the repository, and never copied into it.
"""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from careweir.minimise import Minimised, minimise, payload_paths, read_chart
from careweir.minimise.scrub import scrubber_of
from careweir_kit.tool import Tool
from minimise.charts import CHEST, LABS, SYNTHEA, VITALS, decision, leaves, policies, tool

CHARTS = sorted(SYNTHEA.glob("*.json")) if SYNTHEA.is_dir() else []
AS_OF = datetime(2026, 3, 2, tzinfo=UTC)
pytestmark = pytest.mark.skipif(not CHARTS, reason="needs ../shared/data/patients/synthea_r4")

# Everything that the grants could ever let go, asked for at once: the widest tools there can be.
WIDE_SEPSIS = tool(
    {
        "resource": "Patient",
        "paths": ("birthDate", "gender", "name", "address", "identifier", "telecom", "extension"),
        "transforms": {"birthDate": "age_years"},
    },
    {
        "resource": "Observation",
        "paths": (
            "status", "category", "code", "effectiveDateTime", "issued", "valueQuantity",
            "valueCodeableConcept", "valueString", "component", "encounter", "note", "text",
        ),
        "text": True,
    },
    {"resource": "Condition", "paths": ("code", "onsetDateTime")},
    {"resource": "MedicationRequest", "paths": ("medicationCodeableConcept", "reasonReference")},
    {"resource": "DiagnosticReport", "paths": ("code", "presentedForm"), "text": True},
    {"resource": "Claim", "paths": ("diagnosis", "item")},
)  # fmt: skip
NARROW_SEPSIS = tool(
    {"resource": "Patient", "paths": ("gender",)},
    {
        "resource": "Observation",
        "paths": ("code", "effectiveDateTime", "valueQuantity", "component.code",
                  "component.valueQuantity"),
        "codes": {"loinc": (*VITALS, *LABS)},
    },
)  # fmt: skip
TOOLS = {"wide": WIDE_SEPSIS, "narrow": NARROW_SEPSIS, "chest": CHEST}

SENSITIVE = re.compile(
    r"HIV|viral load|alcohol|opioid|overdose|suicid|depress|psychiat|pregnan|miscarr"
    r"|stress disorder|attention deficit|sexual|abuse|addict|detox|mental health|contracept",
    re.IGNORECASE,
)


@lru_cache(maxsize=32)
def loaded(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def ask(path: Path, of: Tool) -> Minimised:
    chart = read_chart(path.read_bytes(), subject=None)
    return minimise(
        chart,
        of,
        decision(of=of),
        subject_pseudonym="px",
        pseudonyms=lambda kind, real: "ref",
        as_of=AS_OF,
        study=None,
        purpose="TREAT",
        role="ed-physician",
        site=None,
    )


def person_of(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = next(
        entry["resource"]
        for entry in loaded(path)["entry"]
        if entry["resource"]["resourceType"] == "Patient"
    )
    return found


def identifiers(path: Path) -> set[str]:
    """What identifies: names, numbers, telephone, address, birth date, and every id."""
    person = person_of(path)
    found = {part for name in person["name"] for part in (name["family"], *name["given"])}
    found |= {one["value"] for one in person["identifier"] + person["telecom"]}
    for address in person["address"]:
        found |= {*address["line"], address["city"], address.get("postalCode", "")}
    found |= {person["birthDate"], person["id"]}
    for entry in loaded(path)["entry"]:
        found |= {entry["resource"]["id"], entry.get("fullUrl", "").removeprefix("urn:uuid:")}
        if entry["resource"]["resourceType"] == "Practitioner":
            found |= {name["family"] for name in entry["resource"]["name"]}
    return {text for text in found if len(text) > 2}


def sent_text(found: Minimised) -> str:
    return "\n".join(leaves(found.payload))


@pytest.mark.parametrize("name", TOOLS)
@pytest.mark.parametrize("path", CHARTS, ids=lambda path: path.stem.split("_")[0])
def test_no_identifier_leaves(path: Path, name: str) -> None:
    found = ask(path, TOOLS[name])
    text = sent_text(found).lower() + found.manifest.model_dump_json().lower()

    inside = path.read_text(encoding="utf-8").lower()
    secrets = {secret.lower() for secret in identifiers(path)}
    assert all(json.dumps(secret, ensure_ascii=False)[1:-1] in inside for secret in secrets)
    leaked = {s for s in secrets if re.search(rf"(?<!\w){re.escape(s)}(?!\w)", text)}
    assert leaked == set()


@pytest.mark.parametrize("name", TOOLS)
@pytest.mark.parametrize("path", CHARTS, ids=lambda path: path.stem.split("_")[0])
def test_nothing_sensitive_leaves(path: Path, name: str) -> None:
    found = ask(path, TOOLS[name])

    assert SENSITIVE.search(sent_text(found)) is None
    assert "valueString" not in json.dumps(
        [r for r in kinds(found) if r["resourceType"] != "Patient"]
    )


def kinds(found: Minimised) -> list[dict[str, Any]]:
    assert found.payload is not None
    return [entry["resource"] for entry in found.payload["entry"]]


@pytest.mark.parametrize("name", TOOLS)
@pytest.mark.parametrize("path", CHARTS, ids=lambda path: path.stem.split("_")[0])
def test_the_manifest_names_exactly_what_is_in_the_payload(path: Path, name: str) -> None:
    found = ask(path, TOOLS[name])

    assert found.payload is not None
    assert found.manifest.sent == payload_paths(found.payload)
    assert {row.reason.partition(":")[0] for row in found.manifest.withheld} <= {
        "not_needed_by_tool", "role", "sensitivity", "unknown_code", "time_window",
    }  # fmt: skip


def test_the_secrets_are_in_the_charts_in_the_first_place() -> None:
    hit = {path.stem.split("_")[0] for path in CHARTS if SENSITIVE.search(decoded(path))}

    assert {"Milan", "Trey", "Gilberto", "Trenton", "Roberto", "Omar", "Eboni", "Bob965"} <= hit


def decoded(path: Path) -> str:
    return "\n".join(leaves({"entry": loaded(path)["entry"]}))


def of_code(found: Minimised, code: str) -> list[dict[str, Any]]:
    return [
        r
        for r in kinds(found)
        if r["resourceType"] == "Observation"
        and code in {coding["code"] for coding in r["code"]["coding"]}
    ]


def in_chart(path: Path, code: str) -> list[dict[str, Any]]:
    return [
        r
        for r in (entry["resource"] for entry in loaded(path)["entry"])
        if r["resourceType"] == "Observation"
        and code in {coding["code"] for coding in r["code"]["coding"]}
    ]


@pytest.mark.parametrize("path", CHARTS, ids=lambda path: path.stem.split("_")[0])
def test_every_vital_sign_and_laboratory_value_that_is_needed_does_leave(path: Path) -> None:
    found = ask(path, NARROW_SEPSIS)

    for code in ("55284-4", "6690-2", "8331-1", "38483-4", "777-3"):
        assert len(of_code(found, code)) == len(in_chart(path, code)), code


def test_a_value_leaves_exactly_as_it_stands_in_the_chart() -> None:
    path = next(path for path in CHARTS if path.name.startswith("Roberto"))

    sent = of_code(ask(path, NARROW_SEPSIS), "6690-2")

    assert [one["valueQuantity"]["value"] for one in sent] == [
        one["valueQuantity"]["value"] for one in in_chart(path, "6690-2")
    ]
    assert sent


def test_notes_that_tell_of_drinking_and_origin_stay_whole() -> None:
    path = next(path for path in CHARTS if path.name.startswith("Bob965"))
    found = ask(path, CHEST)

    assert not [r for r in kinds(found) if r["resourceType"] == "DiagnosticReport"]
    note = loaded(path)["entry"]
    assert any(
        "alcohol" in base64.b64decode(form["data"]).decode()
        for entry in note
        for form in entry["resource"].get("presentedForm", ())
    )


def permitted(role: str, purpose: str) -> set[str]:
    return {
        name
        for name in policies().capabilities
        if policies().decide(role=role, purpose=purpose, capability=name, site=None).effect
        == "permit"
    }


def test_those_who_do_not_treat_ask_nothing_for_treatment_and_little_else() -> None:
    for role in ("scheduler", "coder", "utilisation-review", "auditor", "operator", "vendor"):
        assert permitted(role, "TREAT") == set()
    for purpose in ("TREAT", "HPAYMT", "HOPERAT", "PATADMIN"):
        for role in ("auditor", "operator", "vendor", "privacy-officer", "governance-board"):
            assert permitted(role, purpose) == set()
    assert permitted("scheduler", "PATADMIN") == {"no-show-risk"}
    assert permitted("scheduler", "HPAYMT") == set()
    assert permitted("coder", "HPAYMT") == {"coding-suggestion", "clinical-entities"}
    assert permitted("utilisation-review", "HPAYMT") == {"prior-auth"}


def attachments(path: Path) -> list[str]:
    return [
        base64.b64decode(form["data"]).decode()
        for entry in loaded(path)["entry"]
        for form in entry["resource"].get("presentedForm", ())
    ]


@pytest.mark.parametrize("path", CHARTS, ids=lambda path: path.stem.split("_")[0])
def test_no_identifier_is_left_in_a_note_that_was_scrubbed(path: Path) -> None:
    chart = read_chart(path.read_bytes(), subject=None)
    scrub = scrubber_of(chart)
    person = person_of(path)
    note = "\n".join(
        [
            *attachments(path),
            *(f"{one['given'][0]} {one['family']}" for one in person["name"]),
            *(one["value"] for one in person["identifier"] + person["telecom"]),
            *(" ".join(one["line"]) + ", " + one["city"] for one in person["address"]),
            person["birthDate"],
        ]
    )

    text = scrub(note).lower()

    secrets = {secret.lower() for secret in identifiers(path)}
    assert {s for s in secrets if re.search(rf"(?<!\w){re.escape(s)}(?!\w)", text)} == set()
