"""Reading the minimised chart: pure helpers for adapters.

The chart is a FHIR R4 Bundle in which the patient is a pseudonym. A value counts only when its
status says that it stands, when it is not from the future, when its unit is known and when it is
plausible; everything else is missing, with a reason that can be shown to people. Nothing is ever
filled in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from careweir_kit.units import convert, unit_of

LOINC: Final = "http://loinc.org"
AGE_EXTENSION: Final = "urn:careweir:age-years"
AGE_BAND_EXTENSION: Final = "urn:careweir:age-band"
LEAD_EXTENSION: Final = "urn:careweir:lead-days"
STANDING: Final = frozenset({"final", "amended", "corrected"})

Missing = Literal[
    "not in the chart",
    "unit not known",
    "outside the plausible range",
    "two different values at one time",
    "only a bound is known",
    "too old",
    "time not known",
    "not a known answer",
]

NEVER: Final = datetime.min.replace(tzinfo=UTC)  # a value without a time is the oldest
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?")


class Wanted(BaseModel):
    """One number that a tool wants, as it stands in a tool file.

    ``loinc`` in order of preference; ``unit`` is UCUM; ``low`` and ``high`` bound what is
    plausible in that unit; ``max_age`` is an ISO 8601 duration (``PT4H``).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str
    loinc: tuple[str, ...] = Field(min_length=1)
    unit: str
    low: float
    high: float
    required: bool = False
    max_age: str | None = Field(default=None, pattern=r"^P(\d+D)?(T(\d+H)?(\d+M)?)?$")


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found: a number in the wanted unit with its time, or why there is none."""

    value: float | None = None
    effective: str | None = None
    missing: Missing | None = None


@dataclass(frozen=True, slots=True)
class LookedCode:
    """What was found: the codings of a coded value with its time, or why there are none."""

    codings: tuple[tuple[str, str], ...] = ()
    effective: str | None = None
    missing: Missing | None = None


def moment(text: object) -> datetime | None:
    """A FHIR dateTime as an aware time; a date alone is its first instant in UTC."""
    if not isinstance(text, str) or len(text) < 10:
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def duration(text: str) -> timedelta:
    """An ISO 8601 duration of days, hours and minutes. Raises ValueError."""
    found = _DURATION.fullmatch(text)
    if found is None or not any(found.groups()):
        raise ValueError("not a duration")
    days, hours, minutes = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes)


def listed(value: object) -> list[Any]:
    """A list as it is, anything else as an empty one: what is not in its form is not there."""
    return value if isinstance(value, list) else []


def resources(payload: Mapping[str, Any], resource_type: str) -> Iterator[Mapping[str, Any]]:
    """The resources of one type, in the order of the Bundle."""
    for entry in listed(payload.get("entry")):
        resource = entry.get("resource") if isinstance(entry, Mapping) else None
        if isinstance(resource, Mapping) and resource.get("resourceType") == resource_type:
            yield resource


def bare_reference(reference: str) -> str:
    """``Patient/abc`` and ``abc`` name the same pseudonym: ``abc``."""
    return reference.removeprefix("Patient/")


def patient_age_years(payload: Mapping[str, Any]) -> int | None:
    """The age in whole years as the minimiser sends it; a birth date is never sent."""
    for patient in resources(payload, "Patient"):
        for extension in listed(patient.get("extension")):
            if isinstance(extension, Mapping) and extension.get("url") == AGE_EXTENSION:
                age = extension.get("valueInteger")
                if isinstance(age, int) and not isinstance(age, bool) and 0 <= age <= 130:
                    return age
    return None


def patient_age_band(payload: Mapping[str, Any]) -> int | None:
    """The first year of the age band that the minimiser sends (``40-49`` gives 40)."""
    for patient in resources(payload, "Patient"):
        band = _extension(patient, AGE_BAND_EXTENSION, "valueString")
        found = re.fullmatch(r"(\d{1,2})(?:-\d{1,2}|\+)", band) if isinstance(band, str) else None
        if found is not None:
            return int(found[1])
    return None


def appointment_lead_days(payload: Mapping[str, Any]) -> int | None:
    """Days between the booking and the one appointment that lies ahead; None: none, or several."""
    leads = [
        _extension(one, LEAD_EXTENSION, "valueInteger")
        for one in resources(payload, "Appointment")
        if one.get("status") in ("booked", "pending")
    ]
    lead = leads[0] if len(leads) == 1 else None
    return lead if isinstance(lead, int) and not isinstance(lead, bool) else None


def appointments_with(payload: Mapping[str, Any], *statuses: str) -> int:
    """How many appointments have one of these statuses."""
    return sum(one.get("status") in statuses for one in resources(payload, "Appointment"))


def _extension(resource: Mapping[str, Any], url: str, name: str) -> object:
    for extension in resource.get("extension") or ():
        if isinstance(extension, Mapping) and extension.get("url") == url:
            return extension.get(name)
    return None


def patient_gender(payload: Mapping[str, Any]) -> str | None:
    """Administrative gender, or None."""
    for patient in resources(payload, "Patient"):
        if patient.get("gender") in ("male", "female", "other", "unknown"):
            return str(patient["gender"])
    return None


def codings(concept: object) -> Iterator[tuple[str, str]]:
    """The (system, code) pairs of a CodeableConcept."""
    for coding in listed(concept.get("coding")) if isinstance(concept, Mapping) else ():
        if isinstance(coding, Mapping) and isinstance(coding.get("code"), str):
            system = coding.get("system")
            yield system if isinstance(system, str) else "", coding["code"]


def standing_observations(
    payload: Mapping[str, Any], *, as_of: str, preliminary: bool = False
) -> Iterator[Mapping[str, Any]]:
    """Observations whose status says that they stand and that are not from the future."""
    allowed = STANDING | {"preliminary"} if preliminary else STANDING
    now = moment(as_of)
    for observation in resources(payload, "Observation"):
        at = moment(effective_of(observation))
        status = observation.get("status")
        standing_now = isinstance(status, str) and status in allowed
        if standing_now and (at is None or now is None or at <= now):
            yield observation


def effective_of(resource: Mapping[str, Any]) -> str | None:
    """The clinically relevant time as written: dateTime, instant, or the end of a period."""
    for key in ("effectiveDateTime", "effectiveInstant", "date"):
        if isinstance(resource.get(key), str):
            return str(resource[key])
    period = resource.get("effectivePeriod")
    if isinstance(period, Mapping):
        found = period.get("end") or period.get("start")
        return found if isinstance(found, str) else None
    return None


@dataclass(frozen=True, slots=True)
class _Element:
    """An Observation or one of its components, with the time of the Observation."""

    at: datetime
    effective: str | None
    loinc: str
    element: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Standing:
    """The Observations of a chart that stand, by LOINC code; built once a request."""

    as_of: str
    by_loinc: Mapping[str, Sequence[_Element]]


def standing(payload: Mapping[str, Any], *, as_of: str, preliminary: bool = False) -> Standing:
    """Index what ``standing_observations`` gives, components included."""
    found: dict[str, list[_Element]] = {}
    for observation in standing_observations(payload, as_of=as_of, preliminary=preliminary):
        effective = effective_of(observation)
        at = moment(effective) or NEVER
        for element in (observation, *listed(observation.get("component"))):
            for system, code in codings(element.get("code") if _is_object(element) else None):
                if system == LOINC:
                    found.setdefault(code, []).append(_Element(at, effective, code, element))
    return Standing(as_of, found)


def _is_object(value: object) -> bool:
    return isinstance(value, Mapping)


def _newest(chart: Standing, loinc: tuple[str, ...], value: str) -> list[_Element]:
    """The newest elements that have a ``value``; at one time the first wanted code counts."""
    best: list[_Element] = []
    for code in loinc:
        for found in chart.by_loinc.get(code, ()):
            if not isinstance(found.element.get(value), Mapping):
                continue
            if not best or found.at > best[0].at:
                best = [found]
            elif found.at == best[0].at and found.loinc == best[0].loinc:
                best.append(found)
    return best


def newest_quantity(chart: Standing, wanted: Wanted) -> Looked:
    """The newest value of ``wanted`` in its unit, or the reason why there is none.

    The newest value decides: when its unit is not known or it is implausible, no older one is
    taken in its place. Two different values at the same time are missing, not averaged.
    """
    found = _newest(chart, wanted.loinc, "valueQuantity")
    if not found:
        return Looked(missing="not in the chart")
    effective = found[0].effective
    too_old = _age_problem(effective, wanted.max_age, chart.as_of)
    if too_old is not None:
        return Looked(effective=effective, missing=too_old)
    values: set[float] = set()
    for candidate in found:
        value = _number(candidate, wanted)
        if isinstance(value, str):
            return Looked(effective=effective, missing=value)
        values.add(value)
    if len(values) > 1:
        return Looked(effective=effective, missing="two different values at one time")
    return Looked(value=values.pop(), effective=effective)


def _age_problem(effective: str | None, max_age: str | None, as_of: str) -> Missing | None:
    if max_age is None:
        return None
    at, now = moment(effective), moment(as_of)
    if at is None or now is None:
        return "time not known"
    return "too old" if now - at > duration(max_age) else None


def _number(candidate: _Element, wanted: Wanted) -> float | Missing:
    quantity: Mapping[str, Any] = candidate.element["valueQuantity"]
    raw, unit = quantity.get("value"), unit_of(quantity)
    if quantity.get("comparator"):
        return "only a bound is known"
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        return "not in the chart"
    if unit is None:
        return "unit not known"
    value = convert(float(raw), unit, wanted.unit, loinc=candidate.loinc)
    if value is None:
        return "unit not known"
    return value if wanted.low <= value <= wanted.high else "outside the plausible range"


def newest_code(
    chart: Standing, loinc: tuple[str, ...], *, max_age: str | None = None
) -> LookedCode:
    """The newest coded value among Observations with one of these LOINC codes."""
    found = _newest(chart, loinc, "valueCodeableConcept")
    if not found:
        return LookedCode(missing="not in the chart")
    effective = found[0].effective
    too_old = _age_problem(effective, max_age, chart.as_of)
    if too_old is not None:
        return LookedCode(effective=effective, missing=too_old)
    answers = {tuple(codings(candidate.element["valueCodeableConcept"])) for candidate in found}
    if len(answers) > 1:
        return LookedCode(effective=effective, missing="two different values at one time")
    return LookedCode(codings=answers.pop(), effective=effective)


def carries_code(payload: Mapping[str, Any], marks: tuple[tuple[str, str], ...]) -> bool:
    """Whether a standing Condition, Observation or Flag has one of these (system, code) pairs.

    A code that ends in ``*`` stands for every code that begins so.
    """
    for resource_type in ("Condition", "Observation", "Flag"):
        for resource in resources(payload, resource_type):
            if not _stands(resource):
                continue
            held = [*codings(resource.get("code")), *codings(resource.get("valueCodeableConcept"))]
            if any(_matches(pair, mark) for pair in held for mark in marks):
                return True
    return False


def _stands(resource: Mapping[str, Any]) -> bool:
    """Not retracted, not refuted, not over; a Boolean observation must say yes."""
    verification = {code for _, code in codings(resource.get("verificationStatus"))}
    clinical = {code for _, code in codings(resource.get("clinicalStatus"))}
    return (
        resource.get("status") not in ("entered-in-error", "cancelled", "inactive")
        and resource.get("valueBoolean") is not False
        and not verification & {"refuted", "entered-in-error"}
        and not clinical & {"resolved", "inactive", "remission"}
    )


def _matches(pair: tuple[str, str], mark: tuple[str, str]) -> bool:
    system, code = mark
    if pair[0] != system:
        return False
    return pair[1].startswith(code[:-1]) if code.endswith("*") else pair[1] == code
