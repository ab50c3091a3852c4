"""NEWS2 by the published table: worked examples, both sides of every boundary, and refusals.

Source: Royal College of Physicians, National Early Warning Score (NEWS) 2, 2017.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import pytest

from careweir_adapters.published_score.news2 import Vitals, news2
from careweir_kit.adapter import Parsed
from careweir_kit.errors import InputsMissing
from careweir_kit.registry import discover_adapters
from support import minimised as charts

ADAPTER = discover_adapters()["published_score"]
TOOL = ADAPTER.example_tool
assert TOOL is not None
BASE = Vitals(16, 97, False, 120, 75, "A", 37.0)


@pytest.mark.parametrize(
    ("vitals", "scale", "total", "band"),
    [
        (Vitals(18, 97, False, 120, 80, "A", 37.0), 1, 0, "low"),
        (Vitals(25, 93, True, 105, 115, "A", 38.5), 1, 11, "high"),
        (Vitals(22, 90, True, 130, 95, "A", 36.5), 2, 5, "medium"),
        (Vitals(22, 90, True, 130, 95, "A", 36.5), 1, 8, "high"),
        (Vitals(16, 95, True, 130, 80, "A", 36.5), 2, 4, "low"),
        (Vitals(12, 98, False, 118, 72, "C", 36.8), 1, 3, "low-medium"),
        (Vitals(30, 85, True, 85, 135, "U", 34.5), 1, 20, "high"),
    ],
    ids=list("abcdefg"),
)
def test_worked_examples(vitals: Vitals, scale: Literal[1, 2], total: int, band: str) -> None:
    score = news2(vitals, scale=scale)

    assert score.total == total
    assert score.band == band


@pytest.mark.parametrize(
    ("field", "parameter", "steps"),
    [
        (
            "respiration",
            "respiration rate",
            {8: 3, 9: 1, 11: 1, 12: 0, 20: 0, 21: 2, 24: 2, 25: 3},
        ),
        ("spo2", "oxygen saturation", {91: 3, 92: 2, 93: 2, 94: 1, 95: 1, 96: 0}),
        (
            "systolic",
            "systolic blood pressure",
            {90: 3, 91: 2, 100: 2, 101: 1, 110: 1, 111: 0, 219: 0, 220: 3},
        ),
        (
            "pulse",
            "pulse",
            {40: 3, 41: 1, 50: 1, 51: 0, 90: 0, 91: 1, 110: 1, 111: 2, 130: 2, 131: 3},
        ),
        (
            "temperature",
            "temperature",
            {35.0: 3, 35.1: 1, 36.0: 1, 36.1: 0, 38.0: 0, 38.1: 1, 39.0: 1, 39.1: 2},
        ),
    ],
)
def test_both_sides_of_each_boundary(field: str, parameter: str, steps: dict[float, int]) -> None:
    for value, points in steps.items():
        changed: dict[str, Any] = {field: value}
        assert news2(replace(BASE, **changed), scale=1).points[parameter] == points, value


@pytest.mark.parametrize(
    ("on_oxygen", "steps"),
    [
        (False, {83: 3, 84: 2, 85: 2, 86: 1, 87: 1, 88: 0, 92: 0, 93: 0, 97: 0, 100: 0}),
        (True, {83: 3, 84: 2, 86: 1, 88: 0, 92: 0, 93: 1, 94: 1, 95: 2, 96: 2, 97: 3}),
    ],
)
def test_scale_2_on_air_and_on_oxygen(on_oxygen: bool, steps: dict[float, int]) -> None:
    for spo2, points in steps.items():
        vitals = replace(BASE, spo2=spo2, on_oxygen=on_oxygen)
        assert news2(vitals, scale=2).points["oxygen saturation"] == points, spo2


@pytest.mark.parametrize(("level", "points"), [("A", 0), ("C", 3), ("V", 3), ("P", 3), ("U", 3)])
def test_every_level_but_alert_has_three_points(level: Any, points: int) -> None:
    assert news2(replace(BASE, consciousness=level), scale=1).points["consciousness"] == points


@pytest.mark.parametrize(
    ("temperature", "points"), [(36.04, 1), (36.06, 0), (38.04, 0), (38.05, 1), (39.04, 1)]
)
def test_temperature_is_rounded_to_one_decimal(temperature: float, points: int) -> None:
    assert news2(replace(BASE, temperature=temperature), scale=1).points["temperature"] == points


def _chart(**changes: Any) -> tuple[dict[str, Any], ...]:
    values: dict[str, Any] = {
        "respiration": charts.number("9279-1", 24, "/min"),
        "spo2": charts.number("59408-5", 95, "%"),
        "oxygen": charts.number("3151-8", 2, "L/min"),
        "pressure": charts.pressure(104),
        "pulse": charts.number("8867-4", 112, "/min"),
        "level": charts.coded("67775-7", charts.LOINC, "LA9340-6"),
        "temperature": charts.number("8310-5", 101.1, "[degF]"),
    } | changes
    return tuple(value for value in values.values() if value is not None)


def _compute(*resources: dict[str, Any], age_years: int | None = 64) -> Parsed:
    assert TOOL is not None
    return ADAPTER.in_process.compute(TOOL, charts.ask(*resources, age_years=age_years))


def test_a_whole_chart_gives_band_and_total_that_say_they_are_a_fallback() -> None:
    parsed = _compute(*_chart())

    band, total = parsed.findings
    assert (band.kind, band.value, band.scale, band.threshold_band) == (
        "risk",
        "high",
        "NEWS2",
        "high",
    )
    assert (total.kind, total.value, total.unit) == ("measurement", 9, "{score}")
    assert all(finding.fallback for finding in parsed.findings)
    assert {finding.code.system for finding in parsed.findings} == {"urn:careweir:score"}
    assert "pulse: 2" in total.explanation
    assert any("Royal College of Physicians" in line for line in total.explanation)


@pytest.mark.parametrize(
    ("what", "named"),
    [
        ("respiration", "respiration rate"),
        ("spo2", "oxygen saturation"),
        ("oxygen", "air or oxygen"),
        ("pressure", "systolic blood pressure"),
        ("pulse", "pulse"),
        ("level", "consciousness"),
        ("temperature", "temperature"),
    ],
)
def test_a_missing_parameter_is_named_and_nothing_is_computed(what: str, named: str) -> None:
    with pytest.raises(InputsMissing) as raised:
        _compute(*_chart(**{what: None}))

    assert raised.value.names == (f"{named}: not in the chart",)


def test_a_stale_parameter_is_named() -> None:
    old = charts.number("8867-4", 112, "/min", at="2026-03-02T04:00:00Z")

    with pytest.raises(InputsMissing, match="pulse: too old"):
        _compute(*_chart(pulse=old))


@pytest.mark.parametrize(
    ("oxygen", "points"),
    [
        (charts.number("3151-8", 0, "L/min"), 0),
        (charts.number("3151-8", 0.5, "L/min"), 2),
        (charts.number("3150-6", 21, "%"), 0),
        (charts.number("3150-6", 0.21, "%"), 0),
        (charts.number("3150-6", 28, "%"), 2),
        (charts.number("19994-3", 0.4, "1"), 2),
    ],
)
def test_oxygen_is_known_by_flow_or_fraction(oxygen: dict[str, Any], points: int) -> None:
    parsed = _compute(*_chart(oxygen=oxygen))

    assert f"air or oxygen: {points}" in parsed.findings[0].explanation


def test_flow_and_fraction_that_contradict_each_other_are_refused() -> None:
    fraction = charts.number("3150-6", 40, "%")

    with pytest.raises(InputsMissing, match="contradict"):
        _compute(*_chart(oxygen=charts.number("3151-8", 0, "L/min")), fraction)


@pytest.mark.parametrize(
    ("system", "code", "points"),
    [
        (charts.LOINC, "LA9340-6", 0),
        (charts.LOINC, "LA6560-2", 3),
        (charts.LOINC, "LA17108-4", 3),
        (charts.LOINC, "LA17107-6", 3),
        (charts.LOINC, "LA9343-0", 3),
        (charts.SNOMED, "248234008", 0),
        (charts.SNOMED, "130987000", 3),
        (charts.SNOMED, "300202002", 3),
        (charts.SNOMED, "450847001", 3),
        (charts.SNOMED, "422768004", 3),
    ],
)
def test_consciousness_is_read_from_either_list(system: str, code: str, points: int) -> None:
    parsed = _compute(*_chart(level=charts.coded("67775-7", system, code)))

    assert f"consciousness: {points}" in parsed.findings[0].explanation


def test_an_answer_that_is_not_on_the_list_is_not_alert() -> None:
    with pytest.raises(InputsMissing, match="consciousness: not a known answer"):
        _compute(*_chart(level=charts.coded("67775-7", charts.LOINC, "LA0000-0")))


def test_a_glasgow_score_does_not_stand_in_for_consciousness() -> None:
    with pytest.raises(InputsMissing, match="consciousness"):
        _compute(*_chart(level=charts.number("9269-2", 15, "{score}")))


@pytest.mark.parametrize(("age", "refused"), [(15, True), (16, False), (None, True), (0, True)])
def test_the_score_is_for_patients_from_sixteen(age: int | None, refused: bool) -> None:
    if refused:
        with pytest.raises(InputsMissing, match="age"):
            _compute(*_chart(), age_years=age)
    else:
        assert _compute(*_chart(), age_years=age).findings


def test_the_score_is_not_for_patients_in_pregnancy() -> None:
    pregnant = {
        "resourceType": "Condition",
        "code": {"coding": [{"system": charts.SNOMED, "code": "77386006"}]},
    }

    with pytest.raises(InputsMissing, match="pregnancy"):
        _compute(*_chart(), pregnant)


def test_scale_2_is_used_only_when_a_clinician_prescribed_it() -> None:
    mark = charts.coded("x", charts.LOINC, "x") | {
        "code": {"coding": [{"system": "urn:careweir:flag", "code": "news2-spo2-scale-2"}]},
    }
    del mark["valueCodeableConcept"]

    without = _compute(*_chart()).findings[0].explanation
    with_mark = _compute(*_chart(), mark | {"valueBoolean": True}).findings[0].explanation
    denied = _compute(*_chart(), mark | {"valueBoolean": False}).findings[0].explanation

    assert "SpO2 scale 1" in without
    assert "SpO2 scale 2" in with_mark
    assert "SpO2 scale 1" in denied
