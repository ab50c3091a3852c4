"""From the minimised chart to the parameters of NEWS2, or the names of what is missing.

Source of the codes: LOINC 9279-1, 59408-5/2708-6, 3151-8, 3150-6/19994-3, 8480-6, 8867-4, 8310-5,
67775-7. Answers to 67775-7: LOINC LA9340-6 alert, LA6560-2 confused, LA17108-4 verbal, LA17107-6
painful, LA9343-0 unresponsive; and the SNOMED CT concepts of HL7 UK Core value set ACVPU. Both
lists were seen in public implementation guides and not checked against the terminologies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from careweir_adapters.published_score.mapping import Request
from careweir_adapters.published_score.news2 import Consciousness, Vitals
from careweir_fhir.model import LOINC, SNOMED
from careweir_kit.adapter import Ask
from careweir_kit.errors import InputsMissing
from careweir_kit.payload import (
    Looked,
    Standing,
    Wanted,
    carries_code,
    newest_code,
    newest_quantity,
    patient_age_years,
    standing,
)

AGE_MIN_YEARS: Final = 16  # Source: RCP 2017: NEWS2 is not for children under 16 or in pregnancy

_ACVPU: Final[dict[tuple[str, str], Consciousness]] = {
    (LOINC, "LA9340-6"): "A",
    (LOINC, "LA6560-2"): "C",
    (LOINC, "LA17108-4"): "V",
    (LOINC, "LA17107-6"): "P",
    (LOINC, "LA9343-0"): "U",
    (SNOMED, "248234008"): "A",
    (SNOMED, "130987000"): "C",
    (SNOMED, "300202002"): "V",
    (SNOMED, "450847001"): "P",
    (SNOMED, "422768004"): "U",
}

# name -> (codes in order of preference, unit, plausible low, plausible high)
_NUMBERS: Final[dict[str, tuple[tuple[str, ...], str, float, float]]] = {
    "respiration rate": (("9279-1",), "/min", 3, 80),
    "oxygen saturation": (("59408-5", "2708-6"), "%", 50, 100),
    "systolic blood pressure": (("8480-6",), "mm[Hg]", 30, 300),
    "pulse": (("8867-4",), "/min", 20, 300),
    "temperature": (("8310-5",), "Cel", 25, 45),
}
_FLOW: Final = (("3151-8",), "L/min", 0.0, 100.0)
_FRACTION: Final = (("3150-6", "19994-3"), "%", 15.0, 100.0)
_ROOM_AIR_PERCENT: Final = 21.0


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the score is computed from, and since when the oldest value stands."""

    vitals: Vitals
    scale: Literal[1, 2]
    oldest: str | None


def inputs_of(request: Request, ask: Ask) -> Inputs:
    """Read every parameter. Raises InputsMissing, which names each that is not there."""
    chart = standing(ask.payload, as_of=ask.as_of)
    missing = list(_unfit(request, ask))
    looked = {name: _look(name, row, request, chart) for name, row in _NUMBERS.items()}
    missing += [f"{name}: {found.missing}" for name, found in looked.items() if found.missing]
    oxygen, oxygen_at = _on_oxygen(request, chart)
    level, level_at = consciousness(request, chart)
    if isinstance(oxygen, str):
        missing.append(f"air or oxygen: {oxygen}")
    if len(level) > 1:
        missing.append(f"consciousness: {level}")
    if missing:
        raise InputsMissing(tuple(missing))

    numbers = {name: found.value or 0.0 for name, found in looked.items()}
    vitals = Vitals(
        respiration=numbers["respiration rate"],
        spo2=numbers["oxygen saturation"],
        on_oxygen=oxygen is True,
        systolic=numbers["systolic blood pressure"],
        pulse=numbers["pulse"],
        consciousness=_LEVELS[level],
        temperature=numbers["temperature"],
    )
    times = [oxygen_at, level_at, *(found.effective for found in looked.values())]
    scale: Literal[1, 2] = 2 if carries_code(ask.payload, request.scale_2_marks) else 1
    return Inputs(vitals, scale, min((time for time in times if time), default=None))


_LEVELS: Final[dict[str, Consciousness]] = {"A": "A", "C": "C", "V": "V", "P": "P", "U": "U"}


def _unfit(request: Request, ask: Ask) -> list[str]:
    age = patient_age_years(ask.payload)
    found = []
    if age is None:
        found.append("age: not in the chart")
    elif age < AGE_MIN_YEARS:
        found.append("age: the score is not for patients under 16")
    if carries_code(ask.payload, request.pregnancy_marks):
        found.append("pregnancy: the score is not for patients in pregnancy")
    return found


def _look(
    name: str, row: tuple[tuple[str, ...], str, float, float], request: Request, chart: Standing
) -> Looked:
    loinc, unit, low, high = row
    wanted = Wanted(name=name, loinc=loinc, unit=unit, low=low, high=high, max_age=request.max_age)
    return newest_quantity(chart, wanted)


def _on_oxygen(request: Request, chart: Standing) -> tuple[bool | str, str | None]:
    """Whether oxygen is given, by flow or inspired fraction; missing is never taken for air."""
    flow = _look("oxygen flow", _FLOW, request, chart)
    fraction = _look("inspired oxygen", _FRACTION, request, chart)
    says = []
    if flow.value is not None:
        says.append((flow.value > 0, flow.effective))
    if fraction.value is not None:
        says.append((fraction.value > _ROOM_AIR_PERCENT, fraction.effective))
    if not says:
        known = [f.missing for f in (flow, fraction) if f.missing != "not in the chart"]
        return (known[0] or "not in the chart") if known else "not in the chart", None
    if len({given for given, _ in says}) > 1:
        return "flow and inspired fraction contradict each other", None
    return says[0]


def consciousness(request: Request, chart: Standing) -> tuple[str, str | None]:
    """One letter of ACVPU, or the reason why there is none; never taken for alert."""
    found = newest_code(chart, ("67775-7",), max_age=request.max_age)
    if found.missing:
        return found.missing, None
    levels = {_ACVPU[pair] for pair in found.codings if pair in _ACVPU}
    return (levels.pop(), found.effective) if len(levels) == 1 else ("not a known answer", None)
