"""From the minimised chart to the values that a template names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from careweir_adapters.rest.mapping import (
    CodesInput,
    Input,
    NumberInput,
    PatientInput,
    Request,
    StudyInput,
)
from careweir_adapters.rest.template import filled
from careweir_kit.adapter import Ask
from careweir_kit.errors import InputsMissing
from careweir_kit.payload import (
    Standing,
    Wanted,
    codings,
    newest_quantity,
    patient_age_years,
    patient_gender,
    resources,
    standing,
    standing_observations,
)
from careweir_kit.reports import newest_report

_NOT_THERE = "not in the chart"


def values_of(request: Request, ask: Ask) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The values by name, and what is missing. Raises InputsMissing for what is required."""
    chart = standing(ask.payload, as_of=ask.as_of)
    values: dict[str, Any] = {
        "subject": ask.subject,
        "request_id": ask.request_id,
        "as_of": ask.as_of,
    }
    missing = []
    lacking = False
    for name, wanted in request.inputs.items():
        value, reason = _look(name, wanted, chart, ask)
        values[name] = value
        if value is None:
            missing.append(f"{name}: {reason}")
            lacking = lacking or wanted.required
    if lacking:
        raise InputsMissing(tuple(missing))
    return values, tuple(missing)


def _look(name: str, wanted: Input, chart: Standing, ask: Ask) -> tuple[Any, str]:
    if isinstance(wanted, NumberInput):
        found = newest_quantity(chart, Wanted(name=name, **wanted.model_dump()))
        return found.value, found.missing or ""
    if isinstance(wanted, PatientInput):
        return _patient(wanted, ask)
    if isinstance(wanted, CodesInput):
        return list(_codes(wanted, ask)) or None, _NOT_THERE
    if isinstance(wanted, StudyInput):
        return _study(ask), _NOT_THERE
    report = newest_report(ask.payload, as_of=ask.as_of)
    return (report.text if report else None), _NOT_THERE


def _patient(wanted: PatientInput, ask: Ask) -> tuple[Any, str]:
    if wanted.patient == "age_years":
        return patient_age_years(ask.payload), _NOT_THERE
    gender = patient_gender(ask.payload)
    if gender is None:
        return None, _NOT_THERE
    return wanted.words.get(gender), "not one that the vendor has a word for"


def _study(ask: Ask) -> str | None:
    for study in resources(ask.payload, "ImagingStudy"):
        if isinstance(study.get("id"), str):
            return str(study["id"])
    return None


def _codes(wanted: CodesInput, ask: Ask) -> Iterator[Any]:
    """One filled ``each`` a row, in the order of the tool file; what contradicts is left out."""
    seen: dict[tuple[str, str], set[str]] = {}
    for resource, presence in _stated(wanted, ask):
        for pair in codings(resource.get("code")):
            seen.setdefault(pair, set()).add(presence)
    for row in wanted.codes:
        presences = seen.get((row.system, row.code), set())
        if len(presences) == 1:
            (presence,) = presences
            word = wanted.words.get(presence)  # type: ignore[call-overload]
            if word is not None or not wanted.words:
                yield filled(wanted.each, {"name": row.name, "presence": word or presence})


def _stated(wanted: CodesInput, ask: Ask) -> Iterator[tuple[Mapping[str, Any], str]]:
    if "Condition" in wanted.resources:
        for condition in resources(ask.payload, "Condition"):
            verification = {code for _, code in codings(condition.get("verificationStatus"))}
            clinical = {code for _, code in codings(condition.get("clinicalStatus"))}
            if "entered-in-error" in verification:
                continue
            if "refuted" in verification:
                yield condition, "absent"
            elif not clinical & {"resolved", "inactive", "remission"}:
                yield condition, "present"
    if "Observation" in wanted.resources:
        for observation in standing_observations(ask.payload, as_of=ask.as_of):
            said = observation.get("valueBoolean")
            if said is True or said is False:
                yield observation, "present" if said else "absent"
