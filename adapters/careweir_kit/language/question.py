"""What a language model gets to read: the newest text, coded facts of the chart, or both.

All of it is data in one JSON message; instructions come from the tool file alone. Facts are in the
words of our own vocabulary: the minimiser has replaced the chart's words already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Literal

import orjson

from careweir_fhir.model import Coding
from careweir_kit.adapter import Ask
from careweir_kit.declared import declared
from careweir_kit.errors import InputsMissing
from careweir_kit.payload import (
    codings,
    effective_of,
    patient_age_years,
    patient_gender,
    resources,
)
from careweir_kit.reports import ReportText, newest_report
from careweir_kit.tool import Tool
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


def question_of(tool: Tool, ask: Ask, reads: Reads, *, echo: bool, preliminary: bool) -> Question:
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
        facts = list(islice(_facts(tool, ask.payload), _FACTS_MAX))
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


def _facts(tool: Tool, payload: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for resource_type, element in _CONCEPTS.items():
        standing = (one for one in resources(payload, resource_type) if not _withdrawn(one))
        for resource in map(partial(declared, tool=tool), standing):
            if resource is None:
                continue
            for coding in _coded(resource.get(element)):
                fact = {"type": resource_type, **coding, **_value(resource)}
                status = _status(resource)
                yield fact | ({"status": status} if status else {})


def _withdrawn(resource: Mapping[str, Any]) -> bool:
    verification = {code for _, code in codings(resource.get("verificationStatus"))}
    status = resource.get("status")
    return bool(verification & {"entered-in-error", "refuted"}) or (
        isinstance(status, str) and status in _WITHDRAWN
    )


def _status(resource: Mapping[str, Any]) -> str | None:
    for _, code in codings(resource.get("clinicalStatus")):
        return code
    status = resource.get("status")
    return status if isinstance(status, str) else None


def _coded(concept: object) -> Iterator[dict[str, str]]:
    """System, code and display of each coding that has a code."""
    listed = concept.get("coding") if isinstance(concept, Mapping) else None
    for coding in listed if isinstance(listed, list) else ():
        if isinstance(coding, Mapping) and isinstance(coding.get("code"), str):
            given = {key: coding.get(key) for key in ("system", "code", "display")}
            yield {key: value for key, value in given.items() if isinstance(value, str)}


def _value(resource: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    quantity = resource.get("valueQuantity")
    yes_no = resource.get("valueBoolean")
    if isinstance(quantity, Mapping) and "comparator" not in quantity and unit_of(quantity):
        number = quantity.get("value")
        if isinstance(number, int | float) and not isinstance(number, bool):
            found = {"value": number, "unit": unit_of(quantity)}
    elif isinstance(yes_no, bool):
        found = {"value": yes_no}
    else:
        for coding in _coded(resource.get("valueCodeableConcept")):
            found = {"value": coding.get("display", coding["code"])}
            break
    time = effective_of(resource)
    return found | ({"at": time} if time else {})


def service_asked_for(payload: Mapping[str, Any]) -> Coding | None:
    """The service of the one request in the chart; None where there is none, or several."""
    found = [
        Coding(**coding)
        for request in resources(payload, "ServiceRequest")
        if not _withdrawn(request)
        for coding in islice(_coded(request.get("code")), 1)
    ]
    return found[0] if len(found) == 1 else None
