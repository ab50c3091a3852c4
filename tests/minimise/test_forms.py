"""How single elements leave, said whole: ages, areas, references, periods, masks, the command."""

from __future__ import annotations

from typing import Any

import pytest

from careweir.access.rights import DataClass
from careweir.minimise import minimise_document
from careweir.minimise.command import numbered
from minimise.charts import (
    LOINC,
    Json,
    blood_pressure,
    bundle,
    observation,
    policies,
    resources,
    run,
    tool,
    with_classes,
)

PERSON = {"resourceType": "Patient", "id": "p1"}


def aged(born: Any, form: str) -> Any:
    need = {"resource": "Patient", "paths": ("birthDate",), "transforms": {"birthDate": form}}
    found = resources(run(bundle({**PERSON, "birthDate": born}), tool(need)), "Patient")
    return found[0]["extension"] if found else None


@pytest.mark.parametrize(
    ("born", "band"),
    [
        ("2026-03-01", "0-9"), ("2016-03-03", "0-9"), ("2016-03-02", "10-19"),
        ("2001-01-01", "20-29"), ("1957-03-03", "60-69"), ("1936-03-03", "80-89"),
        ("1936-03-02", "90+"), ("1911-01-01", "90+"),
    ],
)  # fmt: skip
def test_a_band_begins_at_a_round_age(born: str, band: str) -> None:
    assert aged(born, "age_band") == [{"url": "urn:careweir:age-band", "valueString": band}]


@pytest.mark.parametrize(
    ("born", "years"), [("1957-03-03", 68), ("1936-03-03", 89), ("1935-03-03", 90)]
)
def test_years_stop_at_ninety(born: str, years: int) -> None:
    assert aged(born, "age_years") == [{"url": "urn:careweir:age-years", "valueInteger": years}]


@pytest.mark.parametrize(
    ("address", "sent"),
    [
        ([{"postalCode": "48226"}], [{"postalCode": "482"}]),
        ([{"postalCode": "48226-1234"}], [{"postalCode": "482"}]),
        ([{"postalCode": "03655"}, {"postalCode": "10001"}],
         [{"postalCode": "000"}, {"postalCode": "100"}]),
        ([{"postalCode": "4822"}], None),
        ([{"postalCode": "K1A 0B1"}], None),
        ([{"postalCode": "４８２２６"}], None),
        ([{"postalCode": 48226}], None),
        (["48226"], None),
        ({"postalCode": "48226"}, None),
        (None, None),
    ],
)  # fmt: skip
def test_an_address_leaves_as_three_digits_or_not_at_all(address: Any, sent: Any) -> None:
    need = {"resource": "Patient", "paths": ("address.postalCode",),
            "transforms": {"address.postalCode": "postal_3"}}  # fmt: skip

    found = run(bundle({**PERSON, "address": address}), tool(need), by=with_classes("region"))

    persons = resources(found, "Patient")
    assert (persons[0]["address"] if persons else None) == sent


@pytest.mark.parametrize(
    ("area", "sent"),
    [(area, "000") for area in (
        "036", "059", "063", "102", "203", "556", "692", "790", "821", "823", "830", "831", "878",
        "879", "884", "890", "893")] + [("037", "037"), ("894", "894")],
)  # fmt: skip
def test_a_small_area_is_not_told(area: str, sent: str) -> None:
    need = {"resource": "Patient", "paths": ("address.postalCode",),
            "transforms": {"address.postalCode": "postal_3"}}  # fmt: skip
    living = {**PERSON, "address": [{"postalCode": f"{area}01"}]}

    (person,) = resources(run(bundle(living), tool(need), by=with_classes("region")), "Patient")

    assert person["address"] == [{"postalCode": sent}]


DATED = DataClass(
    name="dated",
    resource="Observation",
    paths=frozenset({"code", "effectiveDateTime", "effectivePeriod", "valueInteger", "derivedFrom",
                     "encounter", "interpretation", "referenceRange.low", "valueBoolean"}),
)  # fmt: skip


def element(name: str, value: Any, *others: Json) -> Any:
    """How one element of an observation leaves, or None."""
    path = "referenceRange.low" if name == "referenceRange" else name
    need = {"resource": "Observation", "paths": ("code", path)}
    observed = observation("8867-4", effectiveDateTime=None, **{name: value})
    found = run(bundle(PERSON, observed, *others), tool(need), by=with_classes(DATED))
    return resources(found, "Observation")[0].get(name)


@pytest.mark.parametrize(
    ("name", "value", "sent"),
    [
        ("effectivePeriod", {"start": "2026", "end": "2026-03", "note": "x"},
         {"start": "2026", "end": "2026-03"}),
        ("effectivePeriod", {"start": "2026-03-01", "end": "never"}, {"start": "2026-03-01"}),
        ("effectivePeriod", "2026-03-01", None),
        ("valueInteger", 3, 3),
        ("valueInteger", 2**60, None),
        ("valueInteger", True, None),
        ("valueBoolean", False, False),
        ("valueBoolean", "no", None),
        ("interpretation", [{"coding": []}, {"coding": "x"}, "x"], None),
        ("encounter", {"reference": "Encounter/e7"}, {"reference": "Encounter/encounter-12x"}),
        ("encounter", {"reference": "Encounter/e7/_history/2"},
         {"reference": "Encounter/encounter-12x"}),
        ("encounter", {"reference": "urn:uuid:1"}, None),
        ("encounter", {"reference": "urn:uuid:gone"}, {"reference": "Encounter/encounter-13x"}),
        ("encounter", {"reference": "Patient/e7"}, None),
        ("encounter", {"reference": 7}, None),
        ("encounter", "Encounter/e7", None),
        ("derivedFrom", [{"reference": "ImagingStudy/i"}, {"reference": "Observation/o"}],
         [{"reference": "ImagingStudy/imagingstudy-14x"}]),
        ("referenceRange", [{"low": {"value": 3, "code": "%"}, "text": "x"}, "x", {"text": "y"}],
         [{"low": {"value": 3, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"}}]),
        ("referenceRange", {"low": {"value": 3, "unit": "%"}},
         {"low": {"value": 3, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"}}),
        ("referenceRange", [{"low": {"value": 3, "code": "furlong"}}], None),
    ],
)  # fmt: skip
def test_an_element_is_rebuilt_from_what_can_be_read_of_it(
    name: str, value: Any, sent: Any
) -> None:
    assert element(name, value) == sent


@pytest.mark.parametrize(
    ("quantity", "sent"),
    [
        ({"value": 1, "unit": "%"}, True),
        ({"value": 1, "code": "%"}, True),
        ({"value": 1, "code": "%", "system": "http://unitsofmeasure.org"}, True),
        ({"value": 1, "code": "%", "system": "urn:other"}, False),
        ({"value": 1, "code": 7}, False),
        ({"value": 1, "unit": 7}, False),
        ({"value": 1}, False),
        ({"value": "1", "unit": "%"}, False),
        ({"value": 1, "unit": "%", "comparator": "<"}, True),
        ({"value": 1, "unit": "%", "comparator": "~"}, False),
        ({"value": 1, "unit": "%", "comparator": ["<"]}, False),
        ("1 %", False),
    ],
)
def test_a_quantity_needs_a_number_a_known_unit_and_a_bound_that_can_be_read(
    quantity: Any, sent: bool
) -> None:
    need = {"resource": "Observation", "paths": ("code", "valueQuantity")}

    (found,) = resources(
        run(bundle(PERSON, observation("59408-5", valueQuantity=quantity)), tool(need)),
        "Observation",
    )

    assert ("valueQuantity" in found) is sent
    if sent:
        assert found["valueQuantity"].get("comparator") == quantity.get("comparator")


@pytest.mark.parametrize(
    "form",
    [
        {"contentType": "text/plain", "data": "Q2xlYXIu"},
        {"contentType": " TEXT/PLAIN ; charset=ascii", "data": "Q2xlYXIu", "title": "x"},
    ],
)
def test_plain_text_leaves_encoded_anew(form: Json) -> None:
    assert attached(form) == [{"contentType": "text/plain; charset=utf-8", "data": "Q2xlYXIu"}]


@pytest.mark.parametrize(
    "form",
    [{"contentType": "text/html", "data": "Q2xlYXIu"}, {"data": "Q2xlYXIu"}, {"contentType": 7},
     {"contentType": "text/plain"}, {"contentType": "text/plain", "data": "ICA="}, "x"],
)  # fmt: skip
def test_any_other_attachment_stays(form: Any) -> None:
    assert attached(form) is None


def attached(form: Any) -> Any:
    need = {"resource": "DiagnosticReport", "paths": ("code", "presentedForm"), "text": True}
    report = {
        "resourceType": "DiagnosticReport",
        "subject": {"reference": "Patient/p1"},
        "code": {"coding": [{"system": LOINC, "code": "36643-5"}]},
        "presentedForm": [form],
    }
    by = with_classes("imaging-reports", "report-text")
    (sent,) = resources(run(bundle(PERSON, report), tool(need), by=by), "DiagnosticReport")
    return sent.get("presentedForm")


def test_pseudonyms_of_the_command_count_by_kind_and_stay_the_same() -> None:
    name = numbered()

    assert [name("Encounter", "a"), name("Encounter", "b"), name("ImagingStudy", "a")] == [
        "encounter-1", "encounter-2", "imagingstudy-1",
    ]  # fmt: skip
    assert name("Encounter", "a") == "encounter-1"


def explained(*resources: Json, purpose: str = "TREAT", break_glass: bool = False) -> list[str]:
    need = {"resource": "Patient", "paths": ("birthDate", "gender"),
            "transforms": {"birthDate": "age_years"}}  # fmt: skip
    found, _ = minimise_document(
        bundle(*resources), role="ed-physician", purpose=purpose, tool=tool(need),
        policies=policies(), site=None, as_of=None, explain=True, break_glass=break_glass,
    )  # fmt: skip
    said: list[str] = found["explain"]
    return [line.partition(" (roles.yaml:")[0] for line in said]


def test_the_explanation_of_a_small_chart_is_this() -> None:
    person = {**PERSON, "birthDate": "1957-03-03", "gender": "male", "active": True}

    assert explained(person, blood_pressure(), observation("8867-4", 80)) == [
        "Permitted: grant ed-physician/TREAT/sepsis-risk",
        "test-tool receives Patient.extension, Patient.gender, Patient.id, Patient.meta.",
        "Patient.birthDate leaves as an age in years.",
        "Patient.id leaves under a pseudonym.",
        "Observation stays here, 2 times: the tool needs nothing of this type "
        "(not_needed_by_tool).",
        "Patient.active stays here: the tool does not ask for it (not_needed_by_tool).",
    ]
    assert explained(person, purpose="HMARKT") == [
        "Denied: forbid ed-physician/HMARKT/sepsis-risk: clinical data are never used for "
        "marketing",
        "test-tool receives nothing.",
        "Patient.birthDate stays here: forbid ed-physician/HMARKT/sepsis-risk: clinical data are "
        "never used for marketing",
        "Patient.gender stays here: forbid ed-physician/HMARKT/sepsis-risk: clinical data are "
        "never used for marketing",
    ]


def test_without_a_moment_the_command_looks_at_the_chart_as_of_now() -> None:
    newborn = {**PERSON, "birthDate": "2020-01-01"}

    assert "Patient.birthDate leaves as an age in years." in explained(newborn)
