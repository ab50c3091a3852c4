"""qSOFA, CURB-65 and LACE: worked examples, both sides of each boundary, conversions, refusals."""

from __future__ import annotations

from typing import Any

import pytest

from careweir_adapters.published_score.curb65 import curb65
from careweir_adapters.published_score.lace import comorbidities, lace
from careweir_adapters.published_score.qsofa import qsofa
from careweir_kit.adapter import Parsed
from careweir_kit.conformance.recordings import tool_of_recordings
from careweir_kit.errors import InputsMissing, ToolFileInvalid
from careweir_kit.registry import discover_adapters
from support import minimised as charts

ADAPTER = discover_adapters()["published_score"]
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
ALERT = charts.coded("67775-7", charts.LOINC, "LA9340-6")
CONFUSED = charts.coded("67775-7", charts.LOINC, "LA6560-2")
BEDSIDE = (charts.number("9279-1", 31, "/min"), charts.pressure(101, 58))
PNEUMONIA: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "effectiveDateTime": charts.TAKEN,
    "code": {"coding": [{"system": "urn:careweir:flag", "code": "curb65-community-pneumonia"}]},
    "valueBoolean": True,
}


def computed(score: str, *resources: dict[str, Any], age_years: int | None = 77) -> Parsed:
    tool = tool_of_recordings(ADAPTER, score)
    return ADAPTER.in_process.compute(tool, charts.ask(*resources, age_years=age_years))


def total(parsed: Parsed) -> Any:
    return parsed.findings[1].value


@pytest.mark.parametrize(
    ("respiration", "systolic", "altered", "points"),
    [(22, 100, False, 2), (21, 101, False, 0), (26, 90, True, 3), (21, 100, True, 2)],
)
def test_qsofa_by_its_criteria(respiration: int, systolic: int, altered: bool, points: int) -> None:
    score = qsofa(respiration=respiration, systolic=systolic, altered=altered, oldest=None)

    assert score.total == points
    assert score.band == ("positive" if points >= 2 else "not positive")


@pytest.mark.parametrize(
    ("given", "points", "band"),
    [
        ((True, 8, 32, 88, 55, 80), 5, "high"),
        ((False, 7.0, 30, 90, 60, 65), 3, "high"),
        ((False, 5, 20, 120, 70, 64), 0, "low"),
        ((False, 7.01, 29, 90, 61, 64), 1, "low"),
        ((False, 7.0, 29, 89, 61, 65), 2, "intermediate"),
    ],
)
def test_curb65_by_its_table(given: tuple[Any, ...], points: int, band: str) -> None:
    confused, urea, respiration, systolic, diastolic, age_years = given

    score = curb65(
        confused=confused, urea=urea, respiration=respiration, systolic=systolic,
        diastolic=diastolic, age_years=age_years, oldest=None,
    )  # fmt: skip

    assert (score.total, score.band) == (points, band)


TWO, FOUR, FIVE = ("heart failure",), ("AIDS",), ("heart failure", "dementia")


@pytest.mark.parametrize(
    ("days", "acute", "comorbid", "visits", "points", "band"),
    [
        (5, True, FIVE, 2, 14, "high"),
        (2, False, (), 0, 2, "low"),
        (20, True, FOUR, 6, 19, "high"),
        (1, True, TWO, 0, 6, "moderate"),
        (0, False, (), 0, 0, "low"),
    ],
)
def test_lace_by_its_table(
    days: int, acute: bool, comorbid: tuple[str, ...], visits: int, points: int, band: str
) -> None:
    score = lace(days=days, acute=acute, comorbid=comorbid, visits=visits)

    assert (score.total, score.band) == (points, band)


def test_the_length_of_stay_on_both_sides_of_each_step() -> None:
    wanted = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 6: 4, 7: 5, 13: 5, 14: 7, 90: 7}

    for days, points in wanted.items():
        score = lace(days=days, acute=False, comorbid=(), visits=0)
        assert score.points["length of stay"] == points, days


def test_the_graver_of_two_takes_the_place_of_the_milder() -> None:
    held = [(ICD, "E11.9"), (ICD, "E11.22"), (ICD, "N18.4"), (ICD, "N18.2"), (ICD, "Z00.00")]

    assert comorbidities(held) == (
        "diabetes with organ damage",
        "moderate or severe liver or renal disease",
    )


@pytest.mark.parametrize(
    ("loinc", "value", "unit", "counts"),
    [
        ("22664-7", 7.0, "mmol/L", 0),
        ("22664-7", 7.1, "mmol/L", 1),
        ("3094-0", 19.6, "mg/dL", 0),  # 6.997 mmol/L
        ("3094-0", 19.7, "mg/dL", 1),  # 7.032 mmol/L
        ("3091-6", 42.0, "mg/dL", 0),  # 6.993 mmol/L
        ("3091-6", 42.2, "mg/dL", 1),  # 7.027 mmol/L
    ],
)
def test_urea_and_urea_nitrogen_are_not_the_same(
    loinc: str, value: float, unit: str, counts: int
) -> None:
    parsed = computed("curb65", *BEDSIDE, ALERT, PNEUMONIA, charts.number(loinc, value, unit))

    assert f"urea: {counts}" in parsed.findings[0].explanation


def test_curb65_is_not_made_without_the_mark_of_pneumonia() -> None:
    urea = charts.number("22664-7", 9, "mmol/L")

    assert total(computed("curb65", *BEDSIDE, CONFUSED, urea, PNEUMONIA)) == 5
    with pytest.raises(InputsMissing, match="pneumonia"):
        computed("curb65", *BEDSIDE, CONFUSED, urea)
    with pytest.raises(InputsMissing, match="pneumonia"):
        computed("curb65", *BEDSIDE, CONFUSED, urea, PNEUMONIA | {"valueBoolean": False})


def test_mentation_is_never_taken_for_normal() -> None:
    glasgow = charts.number("9269-2", 14, "{score}")

    assert total(computed("qsofa", *BEDSIDE, ALERT)) == 1
    assert total(computed("qsofa", *BEDSIDE, glasgow)) == 2
    with pytest.raises(InputsMissing, match="mentation: not in the chart"):
        computed("qsofa", *BEDSIDE)
    with pytest.raises(InputsMissing, match="contradict"):
        computed("qsofa", *BEDSIDE, glasgow, ALERT)


@pytest.mark.parametrize("score", ["qsofa", "curb65", "lace"])
@pytest.mark.parametrize(("age_years", "words"), [(17, "under 18"), (None, "age: not in the")])
def test_children_and_ages_that_are_not_known_are_refused(
    score: str, age_years: int | None, words: str
) -> None:
    with pytest.raises(InputsMissing, match=words):
        computed(score, *BEDSIDE, ALERT, PNEUMONIA, age_years=age_years)


def stay(kind: str, start: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "status": "finished",
        "class": {"code": kind},
        "period": {"start": start, "end": "2026-03-02T08:00:00Z"},
        **more,
    }


URGENT = {"priority": {"coding": [{"code": "UR"}]}}
PROBLEM = {"resourceType": "Condition", "code": {"coding": [{"system": ICD, "code": "I50.9"}]}}


def test_lace_counts_emergency_visits_of_six_months_before_the_stay() -> None:
    visits = [
        stay("EMER", f"{day}T10:00:00Z") for day in ("2025-12-01", "2025-09-01", "2025-08-01")
    ]

    parsed = computed("lace", stay("IMP", "2026-02-24T10:00:00Z", **URGENT), PROBLEM, *visits)

    # 6 days: 4, acute: 3, heart failure: 2, two of the three visits: 2
    assert (total(parsed), parsed.findings[0].value) == (11, "high")
    assert "emergency visits: 2" in parsed.findings[0].explanation


def test_lace_is_not_made_without_its_parts() -> None:
    index = stay("IMP", "2026-02-24T10:00:00Z", **URGENT)
    both = {"priority": {"coding": [{"code": "UR"}, {"code": "EL"}]}}

    for resources, words in (
        ((PROBLEM,), "no inpatient stay"),
        ((index,), "problems: none in the chart"),
        ((stay("IMP", "2026-02-24T10:00:00Z"), PROBLEM), "kind of admission"),
        ((stay("IMP", "2026-02-24T10:00:00Z", **both), PROBLEM), "kind of admission"),
        ((stay("IMP", "2026-03-09T10:00:00Z", **URGENT), PROBLEM), "no inpatient stay"),
    ):
        with pytest.raises(InputsMissing, match=words):
            computed("lace", *resources)


def test_every_finding_is_a_fallback_with_version_points_and_citation() -> None:
    for score, resources in (
        ("qsofa", (*BEDSIDE, ALERT)),
        ("lace", (stay("IMP", "2026-02-24T10:00:00Z", **URGENT), PROBLEM)),
    ):
        parsed = computed(score, *resources)

        assert all(finding.fallback for finding in parsed.findings)
        assert parsed.model_version == tool_of_recordings(ADAPTER, score).version
        assert all("Source:" in finding.explanation[-1] for finding in parsed.findings)


def test_curb65_without_marks_of_pneumonia_is_refused_as_a_tool_file() -> None:
    tool = tool_of_recordings(ADAPTER, "curb65")
    bare = tool.model_copy(update={"request": {"score": "CURB-65"}})

    with pytest.raises(ToolFileInvalid, match="pneumonia"):
        ADAPTER.in_process.check_tool(bare)
