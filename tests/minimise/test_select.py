"""Which resources leave: codes, rights, status, time, number, study."""

from __future__ import annotations

from typing import Any

import pytest

from minimise.charts import (
    CHEST,
    LOINC,
    SEPSIS,
    Json,
    blood_pressure,
    bundle,
    decision,
    observation,
    patient,
    quantity,
    reasons,
    report,
    resources,
    run,
    tool,
    with_classes,
)

DEVICE = [{"system": "urn:local:codes", "code": "8867-4"}]
NEED = {
    "resource": "Observation",
    "paths": ("code", "valueQuantity"),
    "codes": {"loinc": ("8867-4",)},
}


def one(observed: dict[str, Any], need: dict[str, Any] | None = None) -> tuple[int, set[str]]:
    """How many observations leave, and why the others do not."""
    found = run(bundle(patient(), observed), SEPSIS if need is None else tool(need))
    return len(resources(found, "Observation")), reasons(found).get("Observation", set())


def test_a_vital_sign_that_is_needed_leaves() -> None:
    assert one(observation("8867-4", 80)) == (1, set())


@pytest.mark.parametrize(
    ("observed", "reason"),
    [
        (observation("29463-7", 70, "kg"), "not_needed_by_tool"),
        (observation("99999-9", 70), "unknown_code"),
        (observation("8867-4", 80, code={"coding": DEVICE}), "unknown_code"),
        (observation("8867-4", 80, code={"coding": [{"code": "8867-4"}]}), "unknown_code"),
        (observation("8867-4", 80, code={"text": "Heart rate"}), "unknown_code"),
        (observation("8867-4", 80, status="entered-in-error"), "not_needed_by_tool"),
        (observation("8867-4", 80, status="cancelled"), "not_needed_by_tool"),
        (observation("8867-4", 80, focus=[{"reference": "Patient/fetus"}]), "not_needed_by_tool"),
        (observation("8867-4", 80, at="2026-03-01T08:29:59Z"), "time_window"),
        (observation("8867-4", 80, at="2026-03-02T08:30:01Z"), "time_window"),
        (observation("8867-4", 80, at="2026-03-02T08:00:00"), "time_window"),
        (observation("8867-4", 80, at="yesterday"), "time_window"),
        (observation("8867-4", 80, effectiveDateTime=None), "time_window"),
    ],
)  # fmt: skip
def test_what_is_not_needed_unknown_void_or_out_of_time_stays(
    observed: dict[str, Any], reason: str
) -> None:
    assert one(observed) == (0, {reason})


@pytest.mark.parametrize(
    "when",
    [
        {"effectiveInstant": "2026-03-02T08:00:00Z"},
        {"effectivePeriod": {"start": "2026-03-02T07:00:00Z", "end": "2026-03-02T08:00:00Z"}},
        {"effectivePeriod": {"start": "2026-03-01T07:00:00Z", "end": "2026-03-02T08:00:00Z"}},
        {"issued": "2026-03-02T08:00:00.123Z"},
        {"effectiveDateTime": "2026-03-02"},
        {"effectiveDateTime": "2026-03-02T10:00:00+02:00"},
    ],
)
def test_each_way_to_date_an_observation_is_read(when: dict[str, Any]) -> None:
    assert one(observation("8867-4", 80, **{"effectiveDateTime": None, **when}))[0] == 1


def test_the_edge_of_the_window_belongs_to_it() -> None:
    assert one(observation("8867-4", 80, at="2026-03-01T08:30:00Z"))[0] == 1
    assert one(observation("8867-4", 80, at="2026-03-02T08:30:00Z"))[0] == 1


def test_the_future_is_never_sent_even_without_a_window() -> None:
    assert one(observation("8867-4", 80, at="2026-03-02T08:31:00Z"), NEED) == (0, {"time_window"})
    assert one(observation("8867-4", 80, at="1990-03-02"), NEED)[0] == 1
    assert one(observation("8867-4", 80, effectiveDateTime=None), NEED)[0] == 1


def test_the_newest_of_each_code_are_sent_and_the_rest_counted() -> None:
    labs = [
        observation(code, value, "mmol/L" if code == "2524-7" else "10*3/uL", at=f"2026-03-0{day}")
        for code in ("2524-7", "6690-2")
        for day, value in ((1, 1.5), (2, 2.5))
    ] + [observation("2524-7", 0.5, "mmol/L", at="2026-02-28")]

    found = run(bundle(patient(), *labs))

    values = [r["valueQuantity"]["value"] for r in resources(found, "Observation")]
    assert sorted(values) == [1.5, 1.5, 2.5, 2.5]
    assert reasons(found)["Observation"] == {"not_needed_by_tool"}


def test_a_newest_value_that_may_not_leave_does_not_use_up_the_last() -> None:
    newest = observation(
        "8867-4",
        90,
        meta={
            "security": [
                {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
            ]
        },
    )
    older = observation("8867-4", 80, at="2026-03-02T07:00:00Z")

    found = run(bundle(patient(), newest, older), tool({**NEED, "last": 1}))

    assert [r["valueQuantity"]["value"] for r in resources(found, "Observation")] == [80]
    assert "sensitivity:R" in reasons(found)["Observation"]


def test_a_panel_leaves_when_its_components_are_needed_and_only_those() -> None:
    extra = {
        "code": {"coding": [{"system": "http://loinc.org", "code": "8478-0"}]},
        "valueQuantity": quantity(86, "mm[Hg]"),
    }
    panel = blood_pressure()
    panel["component"].append(extra)

    found = run(bundle(patient(), panel))

    (sent,) = resources(found, "Observation")
    codes = [part["code"]["coding"][0]["code"] for part in sent["component"]]
    assert codes == ["8480-6", "8462-4"]
    assert reasons(found)["Observation.component"] == {"not_needed_by_tool"}


def test_a_component_under_a_code_that_nobody_knows_stays() -> None:
    panel = blood_pressure()
    panel["component"].append({"code": {"text": "HIV"}, "valueQuantity": quantity(1, "1")})
    need = {
        "resource": "Observation",
        "paths": ("code", "component.code", "component.valueQuantity"),
    }

    found = run(bundle(patient(), panel), tool(need))

    assert len(resources(found, "Observation")) == 0  # the word net finds HIV first
    panel["component"][-1]["code"] = {"text": "local"}
    found = run(bundle(patient(), panel), tool(need))
    assert len(resources(found, "Observation")[0]["component"]) == 2
    assert reasons(found)["Observation.component"] == {"unknown_code"}


def test_a_component_of_another_class_than_granted_stays() -> None:
    panel = blood_pressure()
    panel["component"].append(
        {
            "code": {"coding": [{"system": "http://loinc.org", "code": "2524-7"}]},
            "valueQuantity": quantity(1, "mmol/L"),
        }
    )
    need = {
        "resource": "Observation",
        "paths": ("code", "component.code", "component.valueQuantity"),
    }

    (sent,) = resources(run(bundle(patient(), panel), tool(need)), "Observation")

    assert len(sent["component"]) == 2


def test_a_known_code_beside_a_local_one_selects_and_only_it_leaves() -> None:
    codings = [*DEVICE, {"system": "http://loinc.org", "code": "8867-4"}]

    (sent,) = resources(
        run(bundle(patient(), observation("8867-4", 80, code={"coding": codings, "text": "HR"}))),
        "Observation",
    )

    assert sent["code"] == {
        "coding": [{"system": "http://loinc.org", "code": "8867-4", "display": "Heart rate"}]
    }


def test_a_need_without_codes_brings_every_known_code_that_the_role_may_send() -> None:
    need = {"resource": "Observation", "paths": ("code", "valueQuantity")}
    body = bundle(
        patient(), observation("8867-4", 80), observation("2524-7", 2, "mmol/L"),
        observation("99999-9", 1),
    )  # fmt: skip

    found = run(body, tool(need))

    assert len(resources(found, "Observation")) == 2
    assert reasons(found)["Observation"] == {"unknown_code"}


def test_a_role_without_the_class_keeps_the_resource_here() -> None:
    need = {"resource": "Observation", "paths": ("code", "valueQuantity")}
    asked = tool(
        need, {"resource": "Patient", "paths": ("gender",)}, capability="chest-xray-findings"
    )

    found = run(bundle(patient(), observation("8867-4", 80)), asked)

    assert resources(found, "Observation") == []
    assert reasons(found)["Observation"] == {"role"}
    assert reasons(found)["Observation.valueQuantity"] == {"role"}


STUDIES = [
    {
        "resourceType": "ImagingStudy",
        "id": f"s{number}",
        "status": "available",
        "subject": {"reference": "Patient/p1"},
        "started": "2026-03-02T07:00:00Z",
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:1.2.{number}"}],
        "modality": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "DX"}],
    }
    for number in (1, 2)
]


@pytest.mark.parametrize("study", ["ImagingStudy/s1", "urn:uuid:1", "urn:oid:1.2.1", "1.2.1"])
def test_only_the_named_study_and_what_belongs_to_it_leaves(study: str) -> None:
    reports = [
        report(id=f"r{n}", imagingStudy=[{"reference": ref}])
        for n, ref in enumerate(("ImagingStudy/s1", "ImagingStudy/s2"))
    ]
    body = bundle(patient(), *STUDIES, *reports, report(id="r9"))

    found = run(body, CHEST, study=study)

    assert len(resources(found, "ImagingStudy")) == 1
    assert len(resources(found, "DiagnosticReport")) == 2  # its own, and one that names none
    assert reasons(found)["DiagnosticReport"] == {"not_needed_by_tool"}


def test_without_a_named_study_all_leave() -> None:
    assert len(resources(run(bundle(patient(), *STUDIES), CHEST), "ImagingStudy")) == 2


def test_nothing_leaves_without_a_grant_and_the_manifest_says_why() -> None:
    found = run(bundle(patient(), observation("8867-4", 80)), by=decision("scheduler"))

    assert found.payload is None
    assert found.manifest.sent == ()
    assert {row.reason for row in found.manifest.withheld} == {"role"}


def test_a_tool_of_whose_needs_nothing_may_leave_gets_no_payload() -> None:
    need = {"resource": "Patient", "paths": ("name", "address")}

    found = run(bundle(patient()), tool(need))

    assert found.payload is None
    assert reasons(found)["Patient.name"] == {"role"}


def test_a_chart_without_what_is_needed_is_sent_as_an_empty_one() -> None:
    need = {"resource": "Observation", "paths": ("code",), "codes": {"loinc": ("8867-4",)}}

    found = run(bundle(patient()), tool(need))

    assert found.payload is not None
    assert found.payload["entry"] == []


@pytest.mark.parametrize(
    ("extra", "leaves"),
    [
        ({}, 1),
        ({"doNotPerform": False}, 1),
        ({"doNotPerform": True}, 0),  # an order not to give it
        ({"modifierExtension": [{"url": "urn:not", "valueBoolean": True}]}, 0),
        ({"dosageInstruction": [{"modifierExtension": [{"url": "urn:not"}]}]}, 0),
        ({"implicitRules": "urn:other-rules"}, 0),
        ({"status": "cancelled"}, 0),
    ],
)
def test_what_could_mean_the_opposite_stays_here(extra: Json, leaves: int) -> None:
    order = {
        "resourceType": "MedicationRequest",
        "id": "m1",
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/p1"},
        "medicationCodeableConcept": {
            "coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "11289"}]
        },
        **extra,
    }
    need = tool({"resource": "MedicationRequest", "paths": ("status", "medicationCodeableConcept")})

    found = run(bundle(patient(), order), need, by=with_classes("medications"))

    assert len(resources(found, "MedicationRequest")) == leaves


def test_a_document_that_was_entered_in_error_stays_here() -> None:
    need = tool({"resource": "DocumentReference", "paths": ("status", "type")})
    note = {
        "resourceType": "DocumentReference",
        "status": "current",
        "docStatus": "final",
        "subject": {"reference": "Patient/p1"},
        "type": {"coding": [{"system": LOINC, "code": "34117-2"}]},
        "content": [{"attachment": {"title": "n"}}],
    }
    wrong = note | {"docStatus": "entered-in-error"}

    found = run(bundle(patient(), note, wrong), need, by=with_classes("notes"))

    assert len(resources(found, "DocumentReference")) == 1
