"""Reading the minimised chart: what counts, what is missing, and why."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from careweir_kit.payload import (
    Looked,
    Wanted,
    carries_code,
    newest_code,
    newest_quantity,
    patient_age_years,
    patient_gender,
    standing,
)
from careweir_kit.reports import newest_report
from careweir_kit.units import convert, unit_of
from support import minimised as charts

PULSE = Wanted(name="pulse", loinc=("8867-4",), unit="/min", low=20, high=300, max_age="PT4H")
SPO2 = Wanted(name="spo2", loinc=("59408-5", "2708-6"), unit="%", low=50, high=100)


def _look(wanted: Wanted, *resources: dict[str, Any], preliminary: bool = False) -> Looked:
    chart = standing(charts.bundle(*resources), as_of=charts.AS_OF, preliminary=preliminary)
    return newest_quantity(chart, wanted)


def test_the_newest_value_counts() -> None:
    older = charts.number("8867-4", 70, "/min", at="2026-03-02T06:00:00Z")
    newer = charts.number("8867-4", 95, "/min", at="2026-03-02T09:10:00+01:00")

    assert _look(PULSE, newer, older).value == 95
    assert _look(PULSE, older, newer).value == 95


def test_a_component_of_a_panel_counts() -> None:
    systolic = Wanted(name="s", loinc=("8480-6",), unit="mm[Hg]", low=30, high=300)

    assert _look(systolic, charts.pressure(117)).value == 117


@pytest.mark.parametrize("status", ["final", "amended", "corrected"])
def test_a_value_that_stands_counts(status: str) -> None:
    assert _look(PULSE, charts.number("8867-4", 80, "/min", status=status)).value == 80


@pytest.mark.parametrize(
    "status", ["entered-in-error", "cancelled", "registered", "unknown", "preliminary", ""]
)
def test_a_value_that_does_not_stand_never_counts(status: str) -> None:
    found = _look(PULSE, charts.number("8867-4", 80, "/min", status=status))

    assert found.missing == "not in the chart"


def test_a_preliminary_value_counts_only_where_it_is_allowed() -> None:
    value = charts.number("8867-4", 80, "/min", status="preliminary")

    assert _look(PULSE, value).value is None
    assert _look(PULSE, value, preliminary=True).value == 80


def test_a_value_from_the_future_never_counts() -> None:
    future = charts.number("8867-4", 80, "/min", at="2026-03-02T08:30:01Z")

    assert _look(PULSE, future).missing == "not in the chart"


@pytest.mark.parametrize(
    ("at", "missing"),
    [
        ("2026-03-02T04:30:00Z", None),
        ("2026-03-02T04:29:59Z", "too old"),
        ("2026-03-01", "too old"),
        (None, "time not known"),
    ],
)
def test_age_is_judged_where_it_matters(at: str | None, missing: str | None) -> None:
    assert _look(PULSE, charts.number("8867-4", 80, "/min", at=at)).missing == missing


def test_a_newer_value_that_cannot_be_read_hides_an_older_one() -> None:
    older = charts.number("8867-4", 70, "/min", at="2026-03-02T07:00:00Z")
    newer = charts.number("8867-4", 700, "/min")

    assert _look(PULSE, older, newer).missing == "outside the plausible range"


def test_two_different_values_at_one_time_are_missing_and_two_equal_ones_are_not() -> None:
    first, other = charts.number("8867-4", 80, "/min"), charts.number("8867-4", 81, "/min")

    assert _look(PULSE, first, other).missing == "two different values at one time"
    assert _look(PULSE, first, dict(first)).value == 80


def test_at_one_time_the_preferred_code_counts() -> None:
    pulse_oximetry = charts.number("59408-5", 97, "%")
    arterial = charts.number("2708-6", 93, "%")

    assert _look(SPO2, arterial, pulse_oximetry).value == 97


def test_a_saturation_of_0_98_per_cent_is_implausible_and_a_fraction_is_converted() -> None:
    assert _look(SPO2, charts.number("59408-5", 0.98, "%")).missing == "outside the plausible range"
    assert _look(SPO2, charts.number("59408-5", 0.98, "1")).value == 98


def test_a_bound_is_not_a_value() -> None:
    bound = charts.number("8867-4", 80, "/min")
    bound["valueQuantity"]["comparator"] = "<"

    assert _look(PULSE, bound).missing == "only a bound is known"


def test_an_unknown_unit_is_missing_and_not_guessed() -> None:
    assert _look(PULSE, charts.number("8867-4", 80, "bpm")).missing == "unit not known"
    assert _look(PULSE, charts.number("8867-4", 80, "mm[Hg]")).missing == "unit not known"


@pytest.mark.parametrize(
    ("quantity", "unit"),
    [
        ({"code": "mm[Hg]", "system": charts.UCUM, "unit": "mmHg"}, "mm[Hg]"),
        ({"code": "{beats}/min", "system": charts.UCUM}, "/min"),
        ({"unit": "mmHg"}, "mm[Hg]"),
        ({"unit": "bpm"}, "/min"),
        ({"unit": "°F"}, "[degF]"),
        ({"unit": "K/uL"}, "10*3/uL"),
        ({"code": "K/uL", "system": charts.UCUM, "unit": "K/uL"}, None),
        ({"code": "C", "system": charts.UCUM, "unit": "C"}, None),
        ({"unit": "furlong"}, None),
        ({}, None),
    ],
)
def test_units_are_read_by_code_and_only_else_by_their_words(
    quantity: dict[str, Any], unit: str | None
) -> None:
    assert unit_of(quantity) == unit


@pytest.mark.parametrize(
    ("value", "source", "target", "loinc", "expected"),
    [
        (98.6, "[degF]", "Cel", "8310-5", 37.0),
        (310.15, "K", "Cel", "8310-5", 37.0),
        (16, "kPa", "mm[Hg]", "2703-7", 120.00992),
        (7.5, "10*3/uL", "10*9/L", "6690-2", 7.5),
        (7500, "/uL", "10*3/uL", "6690-2", 7.5),
        (1.0, "mg/dL", "umol/L", "2160-0", 88.4017),
        (88.4, "umol/L", "mg/dL", "14682-9", 1.0),
        (18, "mg/dL", "mmol/L", "2524-7", 1.9982),
        (0.21, "%", "%", "3150-6", 21),
        (21, "%", "%", "3150-6", 21),
        (0.98, "%", "%", "59408-5", 0.98),
    ],
)
def test_conversions_are_exact(
    value: float, source: str, target: str, loinc: str, expected: float
) -> None:
    assert convert(value, source, target, loinc=loinc) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("source", "target", "loinc"),
    [("mg/dL", "umol/L", "2951-2"), ("mm[Hg]", "Cel", ""), ("x", "Cel", ""), ("{score}", "%", "")],
)
def test_what_has_no_way_is_not_converted(source: str, target: str, loinc: str) -> None:
    assert convert(1.0, source, target, loinc=loinc) is None


@pytest.mark.parametrize(
    ("age", "found"), [(0, 0), (97, 97), (-1, None), (131, None), (None, None)]
)
def test_age_comes_from_the_minimised_extension_alone(age: int | None, found: int | None) -> None:
    chart = charts.bundle(age_years=age)
    chart["entry"][0]["resource"]["birthDate"] = "1950-01-01"

    assert patient_age_years(chart) == found


def test_gender_is_what_the_chart_says_or_nothing() -> None:
    chart = charts.bundle()
    assert patient_gender(chart) is None

    chart["entry"][0]["resource"]["gender"] = "female"
    assert patient_gender(chart) == "female"


def test_a_coded_answer_is_found_with_its_system() -> None:
    chart = standing(
        charts.bundle(charts.coded("67775-7", charts.LOINC, "LA9340-6")), as_of=charts.AS_OF
    )

    assert newest_code(chart, ("67775-7",)).codings == ((charts.LOINC, "LA9340-6"),)
    assert newest_code(chart, ("80288-4",)).missing == "not in the chart"


def test_the_newest_report_that_stands_is_read() -> None:
    chart = charts.bundle(
        charts.report("Older.", at="2026-03-01T08:00:00Z"),
        charts.report("Newer."),
        charts.report("Retracted.", at="2026-03-02T08:10:00Z", status="entered-in-error"),
        charts.report("Not yet.", at="2026-03-02T08:10:00Z", status="preliminary"),
        charts.report("From the future.", at="2026-03-03T08:00:00Z"),
    )

    found = newest_report(chart, as_of=charts.AS_OF)

    assert found is not None
    assert found.text == "Newer."
    assert newest_report(charts.bundle(), as_of=charts.AS_OF) is None


def test_an_attached_plain_text_is_read_and_any_other_is_not() -> None:
    text = "Linke Lunge: kein Erguß. 🫁 No effusion."
    attached = charts.report("")
    attached["presentedForm"] = [
        {"contentType": "application/pdf", "data": "JVBERi0="},
        {"contentType": "text/plain", "data": base64.b64encode(text.encode()).decode()},
    ]
    broken = charts.report("")
    broken["presentedForm"] = [{"contentType": "text/plain", "data": "!!"}]

    found = newest_report(charts.bundle(attached), as_of=charts.AS_OF)

    assert found is not None
    assert found.text == text
    assert newest_report(charts.bundle(broken), as_of=charts.AS_OF) is None


@pytest.mark.parametrize(
    ("changes", "carried"),
    [
        ({}, True),
        ({"verificationStatus": {"coding": [{"code": "refuted"}]}}, False),
        ({"clinicalStatus": {"coding": [{"code": "resolved"}]}}, False),
        ({"code": {"coding": [{"system": charts.SNOMED, "code": "773860061"}]}}, False),
    ],
)
def test_a_condition_counts_while_it_stands(changes: dict[str, Any], carried: bool) -> None:
    condition = {
        "resourceType": "Condition",
        "code": {"coding": [{"system": charts.SNOMED, "code": "77386006"}]},
    }
    chart = charts.bundle(condition | changes)

    assert carries_code(chart, ((charts.SNOMED, "77386006"),)) is carried


def test_a_code_with_a_star_stands_for_every_rest() -> None:
    system = "http://hl7.org/fhir/sid/icd-10-cm"
    condition = {
        "resourceType": "Condition",
        "code": {"coding": [{"system": system, "code": "O14.1"}]},
    }

    assert carries_code(charts.bundle(condition), ((system, "O*"),))
    assert not carries_code(charts.bundle(condition), ((system, "Z33*"),))
