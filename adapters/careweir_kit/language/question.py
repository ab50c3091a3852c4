"""What a language model gets to read: the newest text, coded facts of the chart, or both.

All of it is data in one JSON message; instructions come from the tool file alone. Facts are in the
words of our own vocabulary: the minimiser has replaced the chart's words already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from careweir_fhir.model import Coding
from careweir_kit.adapter import Ask
from careweir_kit.errors import InputsMissing
from careweir_kit.payload import (
    ReportText,
    effective_of,
    newest_report,
    patient_age_years,
    patient_gender,
    resources,
)
from careweir_kit.units import unit_of

Reads = Literal["text", "facts", "both"]

_FACTS_MAX = 200
# Resource type -> where its concept stands, and what says that it does not hold.
_CONCEPTS: Mapping[str, str] = {
    "ServiceRequest": "code",
    "Condition": "code",
    "Procedure": "code",
    "AllergyIntolerance": "code",
    "MedicationRequest": "medicationCodeableConcept",
    "MedicationStatement": "medicationCodeableConcept",
    "Observation": "code",
}
_WITHDRAWN = frozenset({"entered-in-error", "cancelled", "revoked", "unknown"})


@dataclass(frozen=True, slots=True)
class Question:
    """One message for the model, and the text whose words it may quote."""

    message: str
    text: ReportText | None
    without: tuple[str, ...] = ()


def question_of(ask: Ask, reads: Reads, *, echo: bool, preliminary: bool) -> Question:
    """The user's message. Raises InputsMissing when there is nothing to read."""
    said: dict[str, Any] = {"subject": ask.subject} if echo else {}
    text = source_text(ask, reads, preliminary=preliminary)
    without: list[str] = []
    if reads != "facts":
        if text is None:
            without.append("text: not in the chart")
        else:
            said["text"] = text.text
    if reads != "text":
        facts = list(_facts(ask.payload))[:_FACTS_MAX]
        if facts:
            said["facts"] = facts
            said |= _person(ask.payload)
        else:
            without.append("coded facts: not in the chart")
    if "text" not in said and "facts" not in said:
        raise InputsMissing(tuple(without))
    return Question(orjson.dumps(said).decode(), text, tuple(without))


def source_text(ask: Ask, reads: Reads, *, preliminary: bool) -> ReportText | None:
    """The text that the model reads, or None where it reads none."""
    if reads == "facts":
        return None
    return newest_report(ask.payload, as_of=ask.as_of, preliminary=preliminary)


def _person(payload: Mapping[str, Any]) -> dict[str, Any]:
    person = {"age_years": patient_age_years(payload), "sex": patient_gender(payload)}
    return {key: value for key, value in person.items() if value is not None}


def _facts(payload: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for resource_type, element in _CONCEPTS.items():
        for resource in resources(payload, resource_type):
            if _withdrawn(resource):
                continue
            for coding in (resource.get(element) or {}).get("coding") or ():
                fact = {"type": resource_type, **_coded(coding), **_value(resource)}
                status = _status(resource)
                yield fact | ({"status": status} if status else {})


def _withdrawn(resource: Mapping[str, Any]) -> bool:
    verification = (resource.get("verificationStatus") or {}).get("coding") or ()
    return resource.get("status") in _WITHDRAWN or any(
        coding.get("code") in ("entered-in-error", "refuted") for coding in verification
    )


def _status(resource: Mapping[str, Any]) -> str | None:
    for coding in (resource.get("clinicalStatus") or {}).get("coding") or ():
        return str(coding.get("code"))
    status = resource.get("status")
    return status if isinstance(status, str) else None


def _coded(coding: Mapping[str, Any]) -> dict[str, Any]:
    return {key: coding[key] for key in ("system", "code", "display") if key in coding}


def _value(resource: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    quantity = resource.get("valueQuantity")
    if isinstance(quantity, Mapping) and unit_of(quantity) and "comparator" not in quantity:
        found = {"value": quantity.get("value"), "unit": unit_of(quantity)}
    elif isinstance(resource.get("valueBoolean"), bool):
        found = {"value": resource["valueBoolean"]}
    else:
        for coding in (resource.get("valueCodeableConcept") or {}).get("coding") or ():
            found = {"value": coding.get("display") or coding.get("code")}
            break
    time = effective_of(resource)
    return found | ({"at": time} if time else {})


def service_asked_for(payload: Mapping[str, Any]) -> Coding | None:
    """The service of the one request in the chart; None where there is none, or several."""
    found = [
        Coding(**_coded(coding))
        for request in resources(payload, "ServiceRequest")
        if not _withdrawn(request)
        for coding in ((request.get("code") or {}).get("coding") or ())[:1]
    ]
    return found[0] if len(found) == 1 else None
