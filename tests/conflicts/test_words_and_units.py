"""Numbers, instants, horizons and units as tools write them."""

from __future__ import annotations

import pytest

from careweir.conflicts import RuleBook
from careweir.conflicts.units import convert
from careweir.conflicts.words import horizon_seconds, instant, number_from_text, reference_tail


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("5.5", 5.5), ("5,5", 5.5), ("1.234,5", 1234.5), ("1,234.5", 1234.5), ("72 %", 72.0),
        ("1 234,5", 1234.5), ("-0,4", -0.4), ("1,234", None), ("1.2.3", None), ("", None),
        ("<5", None), ("nan", None), ("1e999", None), ("0,125", 0.125), ("\u22123", -3.0),
    ],
)  # fmt: skip
def test_numbers_are_read_only_where_one_reading_is_possible(
    text: str, number: float | None
) -> None:
    assert number_from_text(text) == number


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT6H", 21600), ("6h", 21600), ("6 hours", 21600), ("30d", 2592000), ("P1M", 2592000),
        ("3mo", 7776000), ("P90D", 7776000), ("12mo", 31536000), ("1y", 31536000), ("now", 0),
        ("P1DT12H", 129600), ("soon", None), ("P", None), ("6 parsecs", None),
    ],
)  # fmt: skip
def test_horizons_in_any_spelling_are_seconds(text: str, seconds: int | None) -> None:
    assert horizon_seconds(text) == seconds


def test_instants_with_offsets_are_one_moment() -> None:
    assert instant("2026-03-02T08:15:00Z") == instant("2026-03-02T09:15:00+01:00")
    assert instant("2026-03-02") is None
    assert instant("2026-13-02T08:15:00Z") is None


def test_references_end_in_their_id() -> None:
    assert reference_tail("https://ehr.example/fhir/Patient/7/_history/2") == "7"
    assert reference_tail("urn:oid:1.2.3") == "1.2.3"


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("K/uL", "10*9/L"), ("x10^3/uL", "10*9/L"), ("µg/L", "ug/L"), ("μg/L", "mcg/L"),
        ("mmHg", "mm[Hg]"), ("degC", "Cel"), ("IU/L", "[IU]/L"), ("mL/min/{1.73_m2}",
        "mL/min/1.73m2"), ("MG/DL", "mg/dL"), ("uIU/mL", "m[IU]/L"), ("{score}", "points"),
    ],
)  # fmt: skip
def test_spellings_of_one_unit_are_one_unit(rules: RuleBook, one: str, two: str) -> None:
    first, second = rules.units.read(one), rules.units.read(two)

    assert first is not None
    assert first == second


@pytest.mark.parametrize("text", ["", "furlong", "mg/dL/", "K/uL/h", None])
def test_an_unknown_unit_is_not_guessed(rules: RuleBook, text: str | None) -> None:
    assert rules.units.read(text) is None


@pytest.mark.parametrize(
    ("value", "unit", "to", "molar_mass", "wanted"),
    [
        (100.0, "mg/dL", "mmol/L", 180.156, 5.5507),
        (1.2, "mg/dL", "umol/L", 113.12, 106.08),
        (99.5, "[degF]", "Cel", None, 37.5),
        (16.0, "kPa", "mm[Hg]", None, 120.01),
        (5.0, "mg/dL", "mmol/L", None, None),
        (5.0, "mm", "mg", None, None),
        (5.0, "[IU]/L", "mg/L", 100.0, None),
    ],
)
def test_conversions_are_exact_or_refused(
    rules: RuleBook,
    value: float,
    unit: str,
    to: str,
    molar_mass: float | None,
    wanted: float | None,
) -> None:
    source, target = rules.units.read(unit), rules.units.read(to)
    assert source is not None
    assert target is not None

    converted = convert(value, source, target, molar_mass=molar_mass)

    assert converted == (None if wanted is None else pytest.approx(wanted, rel=1e-3))


def test_the_first_and_the_last_moment_are_moments() -> None:
    """Programs write year 1 for "no time"; with an offset it lies before any time in UTC."""
    assert instant("0001-01-01T00:00:00+14:00") is not None
    assert instant("9999-12-31T23:59:59-14:00") is not None
