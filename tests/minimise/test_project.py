"""Which elements leave, and in which form: everything else of a selected resource stays."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from careweir.minimise import payload_paths
from minimise.charts import (
    AS_OF,
    CHEST,
    LOINC,
    SEPSIS,
    blood_pressure,
    bundle,
    everything,
    observation,
    patient,
    policies,
    quantity,
    reasons,
    report,
    resources,
    run,
    tool,
    with_classes,
)

CANARY = "CANARY-7f3a"


def rate(**extra: Any) -> dict[str, Any]:
    (sent,) = resources(run(bundle(patient(), observation("8867-4", 80, **extra))), "Observation")
    return sent


def test_a_vital_sign_leaves_as_this_and_no_more() -> None:
    assert rate() == {
        "resourceType": "Observation",
        "id": "o1",
        "meta": {
            "tag": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
                    "code": "SUBSETTED",
                }
            ]
        },
        "subject": {"reference": "Patient/px"},
        "status": "final",
        "code": {
            "coding": [{"system": "http://loinc.org", "code": "8867-4", "display": "Heart rate"}]
        },
        "effectiveDateTime": "2026-03-02T08:00:00Z",
        "valueQuantity": quantity(80, "/min"),
    }


@pytest.mark.parametrize(
    "extra",
    [
        {"note": [{"text": CANARY}]},
        {"text": {"status": "generated", "div": f"<div>{CANARY}</div>"}},
        {"extension": [{"url": "x", "valueString": CANARY}]},
        {"contained": [{"resourceType": "Practitioner", "id": CANARY}]},
        {"performer": [{"display": CANARY}]},
        {"identifier": [{"value": CANARY}]},
        {"meta": {"source": CANARY, "tag": [{"code": CANARY}]}},
        {"valueString": CANARY},
        {"_status": {"extension": [{"url": CANARY}]}},
        {"_effectiveDateTime": {"id": CANARY}},
        {"encounter": {"reference": f"Encounter/{CANARY}", "display": CANARY}},
        {"subject": {"reference": "Patient/p1", "display": CANARY,
                     "identifier": {"value": CANARY}}},
        {"valueQuantity": {**quantity(80, "/min"), "id": CANARY, "extension": [{"url": CANARY}]}},
        {"valueQuantity": {"value": 80, "code": "/min", "system": "http://unitsofmeasure.org",
                           "unit": CANARY}},
        {"bodySite": {"coding": [{"system": "http://snomed.info/sct", "code": CANARY}]}},
        {"code": {"id": CANARY, "text": CANARY, "coding": [
            {"system": "http://loinc.org", "code": "8867-4", "display": CANARY, "version": CANARY,
             "userSelected": True, "extension": [{"url": CANARY}]},
            {"system": CANARY, "code": CANARY, "display": CANARY}]}},
        {CANARY: CANARY},
    ],
    ids=lambda extra: next(iter(extra)),
)  # fmt: skip
def test_what_a_named_element_has_beside_and_below_it_stays(extra: dict[str, Any]) -> None:
    found = run(bundle(patient(), observation("8867-4", 80, **extra)))

    assert len(resources(found, "Observation")) == 1
    assert CANARY not in everything(found)


@pytest.mark.parametrize(
    ("element", "value"),
    [
        ("status", CANARY),
        ("status", {"final": CANARY}),
        ("effectiveDateTime", {"value": CANARY}),
        ("valueQuantity", {"value": CANARY, "unit": "/min"}),
        ("valueQuantity", {"value": 80, "unit": CANARY}),
        ("valueQuantity", {"value": 80}),
        ("valueQuantity", {"value": True, "code": "/min"}),
        ("valueQuantity", {"value": 2**60, "code": "/min"}),
        ("valueQuantity", {"value": 80, "code": "/min", "system": CANARY}),
        ("valueQuantity", {"value": 80, "code": "/min", "comparator": CANARY}),
        ("valueQuantity", {"value": {"n": 80}, "code": "/min"}),
        ("valueQuantity", [[CANARY]]),
        ("encounter", {"reference": f"Practitioner/{CANARY}"}),
        ("encounter", {"display": CANARY}),
        ("encounter", CANARY),
    ],
)
def test_an_element_that_cannot_be_read_in_its_kind_is_not_sent(element: str, value: Any) -> None:
    found = run(
        bundle(
            patient(),
            observation("8867-4", 80, **{element: value, "issued": "2026-03-02T08:00:00Z"}),
        )
    )

    (sent,) = resources(found, "Observation")
    assert element not in sent
    assert reasons(found)[f"Observation.{element}"] == {"unknown_code"}
    assert CANARY not in everything(found)


@pytest.mark.parametrize(
    ("written", "unit"),
    [
        ({"value": 38.2, "unit": "°C"}, "Cel"),
        ({"value": 38.2, "code": "Cel"}, "Cel"),
        (
            {"value": 38.2, "unit": "hot", "system": "http://unitsofmeasure.org", "code": "Cel"},
            "Cel",
        ),
    ],
)
def test_a_unit_is_said_in_ucum_however_it_was_written(written: dict[str, Any], unit: str) -> None:
    found = run(bundle(patient(), observation("8310-5", valueQuantity=written)))

    assert resources(found, "Observation")[0]["valueQuantity"] == quantity(38.2, unit)


@pytest.mark.parametrize("number", ["0.870", "120", "186.89938615127508", "7.0", "1e-3", "-2.5"])
def test_a_number_leaves_with_its_exact_value(number: str) -> None:
    body = bundle(patient(), observation("8867-4", 80)).replace(
        b'"value": 80', f'"value": {number}'.encode()
    )

    (sent,) = resources(run(body), "Observation")

    assert sent["valueQuantity"]["value"] == json.loads(number)


def test_a_comparator_stays_with_its_value() -> None:
    value = {**quantity(0.5, "mmol/L"), "comparator": "<"}
    found = run(bundle(patient(), observation("2524-7", valueQuantity=value)))

    assert resources(found, "Observation")[0]["valueQuantity"]["comparator"] == "<"


def age(birth_date: Any, transform: str = "age_years", as_of: datetime = AS_OF) -> dict[str, Any]:
    asked = tool(
        {
            "resource": "Patient",
            "paths": ("birthDate", "gender"),
            "transforms": {"birthDate": transform},
        }
    )
    found = run(bundle(patient(birthDate=birth_date)), asked, as_of=as_of)
    (sent,) = resources(found, "Patient")
    assert "birthDate" not in sent
    return {item["url"]: item for item in sent.get("extension", ())}


@pytest.mark.parametrize(
    ("birth_date", "years"),
    [
        ("1957-03-02", 69),
        ("1957-03-03", 68),
        ("2026-03-02", 0),
        ("1936-03-02", 90),
        ("1936-03-03", 89),
        ("1911-01-01", 90),
        ("2000-02-29", 26),
    ],
)
def test_age_counts_completed_years_and_stops_at_ninety(birth_date: str, years: int) -> None:
    assert age(birth_date) == {
        "urn:careweir:age-years": {"url": "urn:careweir:age-years", "valueInteger": years}
    }


@pytest.mark.parametrize(
    "birth_date", ["2026-03-03", "1957", "1957-03", "1957-02-30", "soon", 1957, None]
)
def test_an_age_that_cannot_be_told_is_absent(birth_date: Any) -> None:
    assert age(birth_date) == {}


@pytest.mark.parametrize(
    ("birth_date", "band"), [("1957-03-03", "60-69"), ("1936-03-02", "90+"), ("2020-01-01", "0-9")]
)
def test_an_age_band_has_ten_years(birth_date: str, band: str) -> None:
    assert age(birth_date, "age_band")["urn:careweir:age-band"]["valueString"] == band


def test_age_counts_at_the_moment_that_is_asked_about() -> None:
    found = age("1957-03-03", as_of=datetime(2000, 1, 1, tzinfo=UTC))

    assert found["urn:careweir:age-years"]["valueInteger"] == 42


@pytest.mark.parametrize("transform", [{}, {"birthDate": "year"}, {"birthDate": "postal_3"}])
def test_a_birth_date_needs_a_right_for_the_form_in_which_it_leaves(
    transform: dict[str, str],
) -> None:
    asked = tool({"resource": "Patient", "paths": ("birthDate", "gender"), "transforms": transform})

    found = run(bundle(patient()), asked)

    assert "1957" not in everything(found)
    assert reasons(found)["Patient.birthDate"] == {"role"}


@pytest.mark.parametrize(
    ("codes", "sent"),
    [
        (["48226"], [{"postalCode": "482"}]),
        (["48226-1234"], [{"postalCode": "482"}]),
        (["03601"], [{"postalCode": "000"}]),
        (["89301"], [{"postalCode": "000"}]),
        (["48226", "02139"], [{"postalCode": "482"}, {"postalCode": "021"}]),
        (["4822"], None),
        (["SW1A 1AA"], None),
        ([None], None),
    ],
)
def test_a_postal_code_leaves_as_three_digits_of_a_large_area(codes: Any, sent: Any) -> None:
    asked = tool(
        {"resource": "Patient", "paths": ("gender", "address.postalCode"),
         "transforms": {"address.postalCode": "postal_3"}}
    )  # fmt: skip
    person = patient(address=[{"city": "CANARY", "postalCode": code} for code in codes])

    found = run(bundle(person), asked, by=with_classes("region", "sex"))

    assert resources(found, "Patient")[0].get("address") == sent
    assert "CANARY" not in everything(found)


@pytest.mark.parametrize(
    ("birth_date", "year"), [("1957-03-03", "1957"), ("1957", "1957"), ("1901-01-01", "1936")]
)
def test_a_birth_year_is_never_more_than_ninety_years_ago(birth_date: str, year: str) -> None:
    asked = tool(
        {"resource": "Patient", "paths": ("birthDate",), "transforms": {"birthDate": "year"}}
    )

    found = run(bundle(patient(birthDate=birth_date)), asked, by=with_classes("birth-year"))

    assert resources(found, "Patient")[0]["birthDate"] == year


def test_an_exact_birth_date_leaves_only_by_its_own_right() -> None:
    asked = tool({"resource": "Patient", "paths": ("birthDate",)})

    exact = run(bundle(patient()), asked, by=with_classes("birth-date"))
    other = run(bundle(patient()), asked, by=with_classes("age", "birth-year"))
    unfit = {"birthDate": "postal_3"}
    odd = tool({"resource": "Patient", "paths": ("birthDate",), "transforms": unfit})

    assert resources(exact, "Patient")[0]["birthDate"] == "1957-03-03"
    assert other.payload is None
    assert run(bundle(patient()), odd, by=with_classes("birth-date")).payload is None


def test_of_two_known_codes_only_the_needed_one_leaves() -> None:
    codings = [{"system": LOINC, "code": code} for code in ("29463-7", "8867-4")]

    assert rate(code={"coding": codings})["code"]["coding"] == [
        {"system": LOINC, "code": "8867-4", "display": "Heart rate"}
    ]


def test_what_one_class_may_be_about_does_not_open_another() -> None:
    pregnant = {
        "resourceType": "Condition",
        "id": "c",
        "subject": {"reference": "Patient/p1"},
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "77386006"}]},
    }
    by = with_classes("pregnancy")
    plain = replace(policies().classes["pregnancy"], name="plain", sensitivity=frozenset())
    both = (*by.rights.classes, (plain, "rule"))
    asked = tool({"resource": "Condition", "paths": ("code",)})

    assert len(resources(run(bundle(patient(), pregnant), asked, by=by), "Condition")) == 1
    mixed = replace(by, rights=replace(by.rights, classes=both))
    assert resources(run(bundle(patient(), pregnant), asked, by=mixed), "Condition") == []


def test_the_manifest_names_what_was_sent_asked_and_changed() -> None:
    found = run(bundle(patient(), observation("8867-4", 80), blood_pressure()))

    assert found.payload is not None
    manifest = found.manifest
    assert manifest.sent == payload_paths(found.payload)
    assert "Observation.component.valueQuantity" in manifest.sent
    assert "Observation.valueQuantity" in manifest.asked
    assert {(row.path, row.transform) for row in manifest.transformed} >= {
        ("Patient.birthDate", "age_years"),
        ("Patient.id", "pseudonymise"),
        ("Observation.subject", "pseudonymise"),
    }
    assert (manifest.id, manifest.bytes, manifest.payload_sha256) == ("", 0, "")
    assert manifest.sealed(id="dis_1", body=b"abc").payload_sha256.startswith("ba7816bf")
    assert manifest.sealed(id="dis_1", body=b"abc").bytes == 3


def test_what_of_a_sent_resource_stays_is_counted_by_path() -> None:
    found = run(
        bundle(
            patient(),
            observation("8867-4", 80, note=[{"text": CANARY}], issued="2026-03-02T08:00:00Z"),
        )
    )

    assert reasons(found)["Observation.note"] == {"not_needed_by_tool"}
    assert reasons(found)["Patient.name"] == {"not_needed_by_tool"}
    assert "Observation.subject" not in reasons(found)


def test_references_to_stays_and_studies_are_opaque_and_linkable() -> None:
    encounter = {"reference": "Encounter/e-4711"}
    found = run(
        bundle(
            patient(),
            observation("8867-4", 80, encounter=encounter),
            observation("9279-1", 16, encounter=encounter),
            {"resourceType": "Encounter", "id": "e-4711", "subject": {"reference": "Patient/p1"}},
        )
    )

    references = {r["encounter"]["reference"] for r in resources(found, "Observation")}
    assert len(references) == 1
    assert "4711" not in everything(found)
    assert references.pop().startswith("Encounter/encounter-")


def test_a_reference_that_resolves_to_another_type_is_not_sent() -> None:
    found = run(
        bundle(
            patient(),
            {"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/p1"}},
            observation("8867-4", 80, encounter={"reference": "urn:uuid:1"}),
        )
    )

    assert "encounter" not in resources(found, "Observation")[0]


def test_same_input_gives_the_same_bytes() -> None:
    body = bundle(
        patient(), blood_pressure(), observation("8867-4", 80), observation("2524-7", 2, "mmol/L")
    )

    first, second = run(body), run(body)

    assert json.dumps(first.payload) == json.dumps(second.payload)
    assert first.manifest == second.manifest


def test_tools_share_a_chart_without_touching_each_other() -> None:
    body = bundle(patient(), observation("8867-4", 80), report())

    assert run(body, SEPSIS).payload != run(body, CHEST).payload
    assert resources(run(body, CHEST), "Observation") == []
    assert resources(run(body, SEPSIS), "DiagnosticReport") == []
