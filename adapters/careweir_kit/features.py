"""The numbers that models on tables and tensors are fed with, and where each comes from.

An element of a tool file is a measured value (``Wanted``), a fact about the patient, or a count
over stays or appointments. What the chart does not have is missing with a reason, never a default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from careweir_kit.adapter import Ask
from careweir_kit.mapping import MAPPING
from careweir_kit.payload import (
    Looked,
    Standing,
    Wanted,
    appointment_lead_days,
    appointments_with,
    moment,
    newest_quantity,
    patient_age_band,
    patient_age_years,
    patient_gender,
    resources,
)

_YEAR = timedelta(days=365)
_DAY_S = 86_400


class PatientFact(BaseModel):
    """An element that comes from the patient: the age, or 1 for one administrative gender.

    ``age_band`` is the first year of the band, for tools that may not see the age.
    """

    model_config = MAPPING

    name: str
    patient: Literal["age_years", "age_band", "is_female", "is_male"]
    required: bool = False


class AppointmentFact(BaseModel):
    """An element that is counted over appointments, or tells of the one that lies ahead."""

    model_config = MAPPING

    name: str
    appointment: Literal["lead_days", "missed", "kept"]
    required: bool = False


class StayFact(BaseModel):
    """An element of inpatient stays, by the latest one that has begun (the index stay).

    ``length_days`` counts from its start to its end, or to now; ``prior_year`` are the stays that
    began within 365 days before its start.
    """

    model_config = MAPPING

    name: str
    stay: Literal["length_days", "prior_year"]
    required: bool = False


Element = Annotated[
    Wanted | PatientFact | AppointmentFact | StayFact, Field(union_mode="left_to_right")
]

# Source: HL7 v3-ActEncounterCode: inpatient and its children.
_INPATIENT = frozenset({"IMP", "ACUTE", "NONACUTE"})
_STANDING = frozenset({"in-progress", "finished", "onleave"})


def look(element: Element, chart: Standing, ask: Ask) -> Looked:
    """The number that an element stands for, or why there is none."""
    match element:
        case Wanted():
            return newest_quantity(chart, element)
        case PatientFact():
            return _of_patient(element, ask)
        case AppointmentFact():
            return _known(_of_appointments(element, ask))
        case StayFact():
            return _known(_of_stays(element, ask))


def _known(value: float | None) -> Looked:
    return Looked(missing="not in the chart") if value is None else Looked(float(value))


def _of_patient(element: PatientFact, ask: Ask) -> Looked:
    if element.patient == "age_years":
        return _known(patient_age_years(ask.payload))
    if element.patient == "age_band":
        return _known(patient_age_band(ask.payload))
    gender = patient_gender(ask.payload)
    if gender not in ("female", "male"):
        return Looked(missing="not in the chart")
    return Looked(float(element.patient == f"is_{gender}"))


def _of_appointments(element: AppointmentFact, ask: Ask) -> int | None:
    if element.appointment == "lead_days":
        return appointment_lead_days(ask.payload)
    if element.appointment == "missed":
        return appointments_with(ask.payload, "noshow")
    return appointments_with(ask.payload, "fulfilled", "arrived", "checked-in")


def _of_stays(element: StayFact, ask: Ask) -> float | None:
    now = moment(ask.as_of)
    stays = sorted(_stays(ask.payload), key=lambda stay: stay[0])
    begun = [stay for stay in stays if now is None or stay[0] <= now]
    if not begun:
        return None
    start, end = begun[-1]
    if element.stay == "prior_year":
        return sum(start - _YEAR <= other < start for other, _ in begun[:-1])
    until = end or now
    return (
        None
        if until is None or until < start
        else round((until - start).total_seconds() / _DAY_S, 2)
    )


def _stays(payload: Mapping[str, Any]) -> Iterator[tuple[datetime, datetime | None]]:
    """Start and end of each inpatient stay that stands."""
    for stay in resources(payload, "Encounter"):
        kind, period, status = (stay.get(key) for key in ("class", "period", "status"))
        if not isinstance(kind, Mapping) or not isinstance(period, Mapping):
            continue
        start = moment(period.get("start"))
        inpatient = isinstance(kind.get("code"), str) and kind["code"] in _INPATIENT
        if start is not None and inpatient and isinstance(status, str) and status in _STANDING:
            yield start, moment(period.get("end"))
