"""From the minimised chart to the parameters of qSOFA and CURB-65, or what is missing.

Source of the codes: LOINC 9279-1, 8480-6, 8462-4, 9269-2, 67775-7; urea LOINC 22664-7, 14937-7,
3094-0, 6299-2, 3091-6. Urea and urea nitrogen meet through their molar mass: 1 mg/dL of urea
nitrogen is 0.357 mmol/L of urea, 1 mg/dL of urea 0.1665 mmol/L.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from careweir_adapters.published_score.curb65 import curb65
from careweir_adapters.published_score.inputs import consciousness
from careweir_adapters.published_score.mapping import Request
from careweir_adapters.published_score.qsofa import qsofa
from careweir_adapters.published_score.score import Scored
from careweir_kit.adapter import Ask
from careweir_kit.errors import InputsMissing
from careweir_kit.payload import (
    Looked,
    Standing,
    Wanted,
    carries_code,
    newest_quantity,
    patient_age_years,
    standing,
)

ADULT_YEARS: Final = 18
_RESPIRATION: Final = (("9279-1",), "/min", 3.0, 80.0)
_SYSTOLIC: Final = (("8480-6",), "mm[Hg]", 30.0, 300.0)
_DIASTOLIC: Final = (("8462-4",), "mm[Hg]", 10.0, 200.0)
_GLASGOW: Final = (("9269-2",), "{score}", 3.0, 15.0)
_UREA: Final = (("22664-7", "14937-7", "3094-0", "6299-2", "3091-6"), "mmol/L", 0.3, 120.0)
_Row = tuple[tuple[str, ...], str, float, float]


def qsofa_of(request: Request, ask: Ask) -> Scored:
    """Read and score. Raises InputsMissing, which names each parameter that is not there."""
    chart = standing(ask.payload, as_of=ask.as_of)
    looked = {
        "respiration rate": _look(_RESPIRATION, request.max_age, chart),
        "systolic blood pressure": _look(_SYSTOLIC, request.max_age, chart),
    }
    altered, altered_at = _altered(request, chart)
    missing = [*_unfit(ask), *_missing(looked)]
    if isinstance(altered, str):
        missing.append(f"mentation: {altered}")
    if missing or isinstance(altered, str):
        raise InputsMissing(tuple(missing))
    return qsofa(
        respiration=looked["respiration rate"].value or 0.0,
        systolic=looked["systolic blood pressure"].value or 0.0,
        altered=altered,
        oldest=_oldest(looked, altered_at),
    )


def curb65_of(request: Request, ask: Ask) -> Scored:
    """Read and score. Raises InputsMissing, which names each parameter that is not there."""
    chart = standing(ask.payload, as_of=ask.as_of)
    looked = {
        "urea": _look(_UREA, request.laboratory_max_age, chart),
        "respiration rate": _look(_RESPIRATION, request.max_age, chart),
        "systolic blood pressure": _look(_SYSTOLIC, request.max_age, chart),
        "diastolic blood pressure": _look(_DIASTOLIC, request.max_age, chart),
    }
    level, level_at = consciousness(request, chart)
    missing = [*_unfit(ask), *_missing(looked)]
    if len(level) > 1:
        missing.append(f"confusion: {level}")
    if not carries_code(ask.payload, request.pneumonia_marks):
        missing.append("pneumonia: not in the chart")
    age = patient_age_years(ask.payload)
    if missing or age is None:
        raise InputsMissing(tuple(missing))
    return curb65(
        confused=level != "A",  # who cannot answer questions is counted as confused
        urea=looked["urea"].value or 0.0,
        respiration=looked["respiration rate"].value or 0.0,
        systolic=looked["systolic blood pressure"].value or 0.0,
        diastolic=looked["diastolic blood pressure"].value or 0.0,
        age_years=age,
        oldest=_oldest(looked, level_at),
    )


def _unfit(ask: Ask) -> list[str]:
    age = patient_age_years(ask.payload)
    if age is None:
        return ["age: not in the chart"]
    return ["age: the score is not for patients under 18"] if age < ADULT_YEARS else []


def _look(row: _Row, max_age: str, chart: Standing) -> Looked:
    loinc, unit, low, high = row
    wanted = Wanted(name=loinc[0], loinc=loinc, unit=unit, low=low, high=high, max_age=max_age)
    return newest_quantity(chart, wanted)


def _missing(looked: Mapping[str, Looked]) -> list[str]:
    return [f"{name}: {found.missing}" for name, found in looked.items() if found.missing]


def _oldest(looked: Mapping[str, Looked], *more: str | None) -> str | None:
    times = [*(found.effective for found in looked.values()), *more]
    return min((time for time in times if time), default=None)


def _altered(request: Request, chart: Standing) -> tuple[bool | str, str | None]:
    """Altered mentation by Glasgow score or ACVPU; two that contradict each other are missing."""
    glasgow = _look(_GLASGOW, request.max_age, chart)
    level, level_at = consciousness(request, chart)
    says = [] if glasgow.value is None else [(glasgow.value < 15, glasgow.effective)]
    if len(level) == 1:
        says.append((level != "A", level_at))
    if not says:
        reasons = [r for r in (glasgow.missing or "", level) if r and r != "not in the chart"]
        return (reasons[0] if reasons else "not in the chart"), None
    if len({altered for altered, _ in says}) > 1:
        return "Glasgow score and ACVPU contradict each other", None
    return says[0]
