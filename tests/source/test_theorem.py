"""The answer over a pulled chart is the answer over the whole chart."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from careweir_kit.tool import Tool
from minimise.charts import (
    AS_OF,
    CHEST,
    SEPSIS,
    SYNTHEA,
    VITALS,
    Json,
    blood_pressure,
    bundle,
    decision,
    observation,
    patient,
    report,
    run,
    tool,
)
from minimise.test_properties import CHARTS, TOOLS
from source.pulling import answers, check_theorem, entries, kinds, pull
from source.server import Server, serving

HIV = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}
REF = {"reference": "Patient/p1"}


def numbered(chart: list[Json]) -> list[Json]:
    """A server has one resource for each type and id."""
    return [{**one, "id": f"r{index}"} for index, one in enumerate(chart)]


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(chart=CHARTS, of=TOOLS, also=TOOLS)
def test_for_every_chart_and_tool_the_answers_are_equal(
    server: Server, chart: list[Json], of: Tool, also: Tool
) -> None:
    check_theorem(server, bundle(patient(), *numbered(chart)), of)
    if also.capabilities == of.capabilities:
        check_theorem(server, bundle(patient(), *numbered(chart)), of, also)


@settings(max_examples=15, deadline=None, derandomize=True, database=None)
@given(chart=CHARTS, of=TOOLS, data=st.data())
def test_for_every_narrower_right_the_answers_are_equal(
    server: Server, chart: list[Json], of: Tool, data: st.DataObject
) -> None:
    full = decision(of=of)
    names = sorted({data_class.name for data_class, _ in full.rights.classes})
    keep = data.draw(st.frozensets(st.sampled_from(names)))
    classes = tuple(pair for pair in full.rights.classes if pair[0].name in keep)
    narrow = replace(full, rights=replace(full.rights, classes=classes))

    check_theorem(server, bundle(patient(), *numbered(chart)), of, by=narrow)


CASES: dict[str, list[Json]] = {
    "a label": [observation("8867-4", 80, meta={"security": [HIV]})],
    "a note": [observation("8867-4", 80, note=[{"text": "seen in the HIV clinic"}])],
    "words of the code": [
        observation("2160-0", 1, "mg/dL", code={
            "coding": [{"system": "http://loinc.org", "code": "2160-0"}], "text": "HIV viral load"})
    ],
    "what it rests on": [
        observation("8867-4", 80, basedOn=[{"reference": "ServiceRequest/s1"}]),
        {"resourceType": "ServiceRequest", "id": "s1", "status": "active", "subject": REF,
         "reasonReference": [{"reference": "Condition/c1"}]},
        {"resourceType": "Condition", "id": "c1", "subject": REF, "code": {"text": "HIV disease"}},
    ],
    "a harmless request": [
        observation("8867-4", 80, basedOn=[{"reference": "ServiceRequest/s1"}]),
        {"resourceType": "ServiceRequest", "id": "s1", "status": "active", "subject": REF},
    ],
    "entered in error": [observation("8867-4", 80, status="entered-in-error")],
    "about a fetus": [observation("8867-4", 140, focus=[{"reference": "Patient/baby"}])],
    "only issued": [
        {k: v for k, v in observation("8867-4", 80, issued="2026-03-02T08:00:00Z").items()
         if k != "effectiveDateTime"}
    ],
    "a period": [
        {k: v for k, v in observation(
            "8867-4", 80, effectivePeriod={"start": "2026-03-02T07:00:00Z"}).items()
         if k != "effectiveDateTime"}
    ],
    "a panel by its part": [blood_pressure()],
    "tomorrow": [observation("8867-4", 80, at="2026-03-03T08:00:00Z")],
    "last year": [observation("8867-4", 80, at="2025-03-02T08:00:00Z")],
    "the patient's no": [
        observation("8867-4", 80),
        {"resourceType": "Consent", "id": "c", "status": "active", "patient": REF, "category": [],
         "scope": {"coding": [{"code": "patient-privacy"}]}, "provision": {"type": "deny"}},
    ],
    "a no to one resource": [
        observation("8867-4", 80),
        observation("9279-1", 16),
        observation("99999-9", 16),
        {"resourceType": "Consent", "id": "c", "status": "active", "patient": REF, "category": [],
         "scope": {"coding": [{"code": "patient-privacy"}]},
         "provision": {"type": "permit", "provision": [{"type": "deny", "data": [
             {"meaning": "instance",
              "reference": {"reference": "Observation/obs-9279-1-2026-03-02T0800"}},
             {"meaning": "instance",
              "reference": {"reference": "Observation/obs-99999-9-2026-03-02T0800"}}]}]}},
    ],
    "a no to one stay": [
        observation("8867-4", 80, encounter={"reference": "Encounter/e1"}),
        observation("9279-1", 16),
        {"resourceType": "Encounter", "id": "e1", "status": "finished", "subject": REF,
         "class": {"system": HIV["system"], "code": "IMP"}},
        {"resourceType": "Consent", "id": "c", "status": "active", "patient": REF, "category": [],
         "scope": {"coding": [{"code": "patient-privacy"}]},
         "provision": {"type": "permit", "provision": [{"type": "deny", "data": [
             {"meaning": "related", "reference": {"reference": "Encounter/e1"}}]}]}},
    ],
}  # fmt: skip


@pytest.mark.parametrize("literal", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_what_decides_about_a_resource_is_fetched_with_it(
    server: Server, name: str, literal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "literal", literal)

    check_theorem(server, bundle(patient(), *CASES[name]), SEPSIS)


def test_the_cases_tell_a_permit_from_a_refusal() -> None:
    sent = {
        name: sum('"Observation"' in row for row in answers(run(bundle(patient(), *rows)))[0])
        for name, rows in CASES.items()
    }

    assert sent["a label"] == sent["a note"] == sent["what it rests on"] == 0
    assert sent["a harmless request"] == sent["only issued"] == sent["a period"] == 1
    assert sent["the patient's no"] == 0
    assert sent["a no to one resource"] == sent["a no to one stay"] == 1


@pytest.mark.parametrize("hours", [-12, -5, 0, 9, 14])
def test_a_day_of_the_servers_own_zone_is_not_lost(hours: int) -> None:
    days = [f"2026-{day}" for day in ("02-27", "02-28", "03-01", "03-02", "03-03")]
    chart = [observation("8867-4", 60 + i, at=day) for i, day in enumerate([*days, "2026"])]
    windows = [
        tool({"resource": "Observation", "paths": ("code", "effectiveDateTime", "valueQuantity"),
              "codes": {"loinc": ("8867-4",)}, "window": window})
        for window in ("PT24H", "P2D", "P1Y")
    ]  # fmt: skip

    with serving(zone=timezone(timedelta(hours=hours))) as server:
        for hour in (0, 8, 23):
            moment = datetime(2026, 3, 2, hour, 30, tzinfo=UTC)
            check_theorem(server, bundle(patient(), *chart), *windows, as_of=moment)


def people_chart() -> bytes:
    text = (
        "Mrs Quillfeather, MRN-4471902, was seen by Zebulon Ashgrove with her son Ottokar. Clear."
    )
    return bundle(
        patient(generalPractitioner=[{"reference": "Practitioner/gp"}]),
        report(text, performer=[{"reference": "Practitioner/doc"}]),
        {"resourceType": "Practitioner", "id": "doc", "name": [{"text": "Zebulon Ashgrove"}]},
        {"resourceType": "Practitioner", "id": "gp", "name": [{"text": "Wilhelmina Thrupp"}]},
        {"resourceType": "RelatedPerson", "id": "son", "patient": REF,
         "name": [{"given": ["Ottokar"]}]},
    )  # fmt: skip


def test_a_text_is_scrubbed_of_everyone_whom_the_whole_chart_names(server: Server) -> None:
    chart = check_theorem(server, people_chart(), CHEST)

    rows = json.dumps(run(chart.bundle, CHEST).payload)
    assert kinds(chart).count("Practitioner") == 2
    assert "presentedForm" in rows
    for row in entries(chart):
        assert row["resourceType"] != "Patient" or row["name"]


def test_without_text_nobodys_name_is_asked_for(server: Server) -> None:
    server.hold(patient(), observation("8867-4", 80, performer=[{"reference": "Practitioner/x"}]))

    chart = pull(server, SEPSIS)

    asked = set().union(*(one.elements() for one in server.requests))
    assert not asked & {"name", "identifier", "address", "telecom", "performer"}
    assert {one.kind for one in server.requests} == {"Patient", "Consent", "Observation"}
    assert "Quillfeather" not in chart.bundle.decode()


def study_chart() -> bytes:
    studies: list[Json] = [
        {"resourceType": "ImagingStudy", "id": f"s{n}", "status": "available", "subject": REF,
         "modality": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "DX"}],
         "started": f"2026-03-0{n}", "identifier": [{"value": f"urn:oid:1.2.{n}"}]}
        for n in (1, 2)
    ]  # fmt: skip
    reports = [
        report("Clear.", id=f"r{n}", imagingStudy=[{"reference": f"ImagingStudy/s{n}"}])
        for n in (1, 2)
    ]
    return bundle(patient(), *studies, *reports)


@pytest.mark.parametrize("study", ["ImagingStudy/s1", "ImagingStudy/s2", "urn:uuid:s2", None])
def test_the_study_that_is_asked_about_is_told_from_the_others(
    server: Server, study: str | None
) -> None:
    text_only = tool(CHEST.needs[1].model_dump(), capability="chest-xray-findings")

    for of in (CHEST, text_only):
        check_theorem(server, study_chart(), of, study=study)


def test_words_in_the_narrative_alone_are_seen_only_by_a_source_judged_whole(
    server: Server,
) -> None:
    narrative = {"status": "generated", "div": "<div>HIV clinic</div>"}
    full = bundle(patient(), observation("8867-4", 80, text=narrative))

    chart = check_theorem(server, full, SEPSIS, file={"judge": "whole"})
    assert not any('"Observation"' in row for row in answers(run(chart.bundle))[0])

    by_elements = pull(server, SEPSIS)  # the documented limit of the default
    assert "HIV" not in by_elements.bundle.decode()
    assert any('"Observation"' in row for row in answers(run(by_elements.bundle))[0])


SHARED = sorted(SYNTHEA.glob("*.json"))[:6] if SYNTHEA.is_dir() else []


def on_a_server(path: Any) -> tuple[bytes, str]:
    """A chart from elsewhere as a server would hold it: references by type and id."""
    body = path.read_text(encoding="utf-8")
    found = json.loads(body)["entry"]
    for entry in found:
        resource = entry["resource"]
        body = body.replace(
            f"urn:uuid:{resource['id']}", f"{resource['resourceType']}/{resource['id']}"
        )
    resources = [entry["resource"] for entry in json.loads(body)["entry"]]
    number = next(one["id"] for one in resources if one["resourceType"] == "Patient")
    return bundle(*resources), f"Patient/{number}"


@pytest.mark.skipif(not SHARED, reason="needs ../shared/data/patients/synthea_r4")
def test_charts_from_elsewhere_give_the_same_answers_from_fewer_resources(
    server: Server,
) -> None:
    every = tool(
        {"resource": "Patient", "paths": ("gender",)},
        {"resource": "Observation", "paths": ("code", "effectiveDateTime", "valueQuantity",
         "component.code", "component.valueQuantity"), "codes": {"loinc": VITALS}},
    )  # fmt: skip
    sent = 0

    for path in SHARED:
        full, subject = on_a_server(path)
        file = {"pages_max": 500, "page_count": 50}
        chart = check_theorem(server, full, every, SEPSIS, subject=subject, file=file)

        assert len(entries(chart)) < len(json.loads(full)["entry"]) / 2
        assert {"Claim", "Immunization", "Condition"}.isdisjoint(kinds(chart))
        rows, _ = answers(run(chart.bundle, every, subject=subject))
        sent += sum('"Observation"' in row for row in rows)
    assert sent > 20


def test_a_tool_of_another_region_and_a_denied_role_ask_for_nothing(server: Server) -> None:
    server.hold(patient(), observation("8867-4", 80))

    far = SEPSIS.model_copy(update={"region": "us"})
    denied = decision(role="scheduler")

    assert pull(server, far).asked == ()
    assert pull(server, SEPSIS, by=denied).asked == ()
    assert server.requests == []
    assert pull(server, SEPSIS).asked != ()
    assert AS_OF.tzinfo is not None
