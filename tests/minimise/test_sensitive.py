"""Sensitive content stays, whichever of label, code or word gives it away."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from minimise.charts import (
    CHEST,
    bundle,
    decision,
    everything,
    observation,
    patient,
    reasons,
    report,
    resources,
    run,
    tool,
)

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
ANY = tool(
    {"resource": "Observation", "paths": ("code", "valueQuantity", "valueCodeableConcept")},
    {"resource": "Patient", "paths": ("gender",)},
)


def label(system: str, code: str | None) -> dict[str, Any]:
    return {"meta": {"security": [{"system": system, "code": code}]}}


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        (label(CONFIDENTIALITY, "R"), "R"),
        (label(CONFIDENTIALITY, "V"), "V"),
        (label(CONFIDENTIALITY, "HIV"), "HIV"),
        (label(ACT, "PSY"), "PSY"),
        (label(ACT, "42CFRPart2"), "SUD"),
        (label(ACT, "NODSCLCD"), "NODSCLCD"),
        (label("urn:local:labels", "secret"), "SPI"),
        (label(ACT, None), "SPI"),
        ({"meta": {"security": {"system": ACT, "code": "SDV"}}}, "SDV"),
        ({"extension": [{"url": "x", "valueCoding": {"system": ACT, "code": "PSY"}}]}, "PSY"),
        ({"note": [{"text": "seen in the psychiatric ward"}]}, "PSY"),
        ({"performer": [{"display": "Methadone clinic"}]}, "OPIOIDUD"),
        ({"text": {"div": "<div>HIV positive</div>"}}, "HIV"),
        ({"contained": [{"resourceType": "Condition", "code": {"text": "Alcoholism"}}]}, "ETHUD"),
        ({"extension": [{"url": "x", "valueString": "pregnant"}]}, "PREGNANT"),
        ({"bodySite": {"coding": [{"system": "http://loinc.org", "code": "55277-8"}]}}, "HIV"),
        ({"bodySite": {"coding": [{"system": ICD10CM, "code": "F20.9"}]}}, "PSY"),
        ({"bodySite": {"coding": [{"system": "urn:oid:2.16.840.1.113883.6.90", "code": "F209"}]}},
         "PSY"),
        ({"bodySite": {"coding": [{"code": "F20.9"}]}}, "PSY"),
        ({"note": [{"text": "Sickle cell crisis"}]}, "SCA"),
        ({"method": {"text": "BRCA1 test"}}, "GDIS"),
        ({"note": [{"text": "domestic  violence"}]}, "SDV"),
    ],
)  # fmt: skip
def test_a_vital_sign_with_something_sensitive_about_it_stays(
    extra: dict[str, Any], code: str
) -> None:
    found = run(bundle(patient(), observation("8867-4", 80, **extra)))

    assert resources(found, "Observation") == []
    assert reasons(found)["Observation"] == {f"sensitivity:{code}"}


@pytest.mark.parametrize(
    "extra",
    [
        label(CONFIDENTIALITY, "N"),
        label(CONFIDENTIALITY, "L"),
        label(ACT, "MINEC"),
        label("http://terminology.hl7.org/CodeSystem/v3-ActReason", "HTEST"),
        label("http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "PATAST"),
        {"meta": {"security": []}},
        {"note": [{"text": "prepared, seated, engaged in talk"}]},
    ],
)
def test_a_vital_sign_with_nothing_sensitive_about_it_leaves(extra: dict[str, Any]) -> None:
    assert (
        len(resources(run(bundle(patient(), observation("8867-4", 80, **extra))), "Observation"))
        == 1
    )


@pytest.mark.parametrize("code", ["55277-8", "44260-8", "76690-7", "82810-3", "72109-2"])
def test_a_sensitive_code_stays_though_the_tool_would_take_any(code: str) -> None:
    found = run(bundle(patient(), observation(code, 1)), ANY)

    assert resources(found, "Observation") == []
    assert code not in everything(found)


def test_sensitive_words_are_found_inside_an_attachment() -> None:
    found = run(bundle(patient(), report("History of HIV infection. Clear lungs.")), CHEST)

    assert resources(found, "DiagnosticReport") == []
    assert reasons(found)["DiagnosticReport"] == {"sensitivity:HIV"}


def test_a_sensitive_word_that_is_parted_by_what_nobody_sees_is_found() -> None:
    found = run(bundle(patient(), report("Known H\u200bIV infection.")), CHEST)

    assert resources(found, "DiagnosticReport") == []
    assert len(resources(run(bundle(patient(), report("Clear.")), CHEST), "DiagnosticReport")) == 1


def test_sensitive_words_are_found_in_a_file_name() -> None:
    form = {
        "contentType": "text/plain",
        "data": base64.b64encode(b"Clear.").decode(),
        "title": "psychiatry.txt",
    }

    found = run(bundle(patient(), report(presentedForm=[form])), CHEST)

    assert resources(found, "DiagnosticReport") == []


@pytest.mark.parametrize("granted", ["ETH", "SUD", "ETHUD", "OPIOIDUD"])
def test_a_grant_for_one_kind_of_substance_use_covers_the_family(granted: str) -> None:
    from careweir.access.vocabulary import widened

    permit = decision()
    wide = replace(permit, rights=replace(permit.rights, sensitivity=widened([granted])))
    body = bundle(patient(), observation("8867-4", 80, **label(ACT, "OPIOIDUD")))

    assert resources(run(body, by=permit), "Observation") == []
    assert len(resources(run(body, by=wide), "Observation")) == 1


def test_a_grant_for_one_sensitivity_does_not_open_another() -> None:
    permit = decision()
    wide = replace(permit, rights=replace(permit.rights, sensitivity=frozenset({"PSY"})))
    both: dict[str, Any] = {
        "meta": {"security": [{"system": ACT, "code": "PSY"}, {"system": ACT, "code": "HIV"}]}
    }

    found = run(bundle(patient(), observation("8867-4", 80, **both)), by=wide)

    assert reasons(found)["Observation"] == {"sensitivity:HIV"}


def test_restricted_records_leave_with_a_grant_for_restricted_records() -> None:
    permit = decision()
    wide = replace(permit, rights=replace(permit.rights, confidentiality=frozenset({"R"})))
    body = bundle(patient(), observation("8867-4", 80, **label(CONFIDENTIALITY, "R")))

    assert len(resources(run(body, by=wide), "Observation")) == 1


def test_a_surname_is_not_a_diagnosis() -> None:
    person = patient(name=[{"family": "Gay", "given": ["Rubella"]}])

    assert len(resources(run(bundle(person, observation("8867-4", 80))), "Patient")) == 1


PREGNANT = {
    "resourceType": "Condition",
    "id": "c1",
    "subject": {"reference": "Patient/p1"},
    "code": {"coding": [{"system": ICD10CM, "code": "Z33.1"}]},
}
SCORE = tool(
    {"resource": "Condition", "paths": ("code",), "codes": {"icd10cm": ("Z33.1",)}},
    {
        "resource": "Observation",
        "paths": ("code", "valueQuantity"),
        "codes": {"loinc": ("8867-4",)},
    },
)


def test_a_score_that_does_not_hold_in_pregnancy_learns_of_it_and_nobody_else_does() -> None:
    body = bundle(patient(), PREGNANT, observation("8867-4", 80, note=[{"text": "pregnant"}]))

    assert resources(run(body, SCORE), "Condition")[0]["code"]["coding"][0]["code"] == "Z33.1"
    assert resources(run(body, SCORE), "Observation") == []
    assert reasons(run(body, SCORE))["Observation"] == {"sensitivity:PREGNANT"}
    assert "Z33.1" not in everything(run(body))


def test_a_class_that_may_be_about_one_thing_may_not_be_about_another() -> None:
    both = {**PREGNANT, "note": [{"text": "HIV positive"}]}

    found = run(bundle(patient(), both), SCORE)

    assert reasons(found)["Condition"] == {"sensitivity:HIV"}
