"""The Bundle that is submitted: a Claim for preauthorization, made from the orders of a chart.

Source: HL7/davinci-pas, input/pagecontent/specification.md: a collection whose first entry is the
Claim, with identifier and timestamp; FHIR R4, Claim.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from careweir_adapters.davinci_pas.mapping import Identifier, Request
from careweir_kit.adapter import Ask
from careweir_kit.declared import declared
from careweir_kit.payload import resources
from careweir_kit.tool import Tool

_CLAIM_TYPE: Final = "http://terminology.hl7.org/CodeSystem/claim-type"
_PRIORITY: Final = "http://terminology.hl7.org/CodeSystem/processpriority"
_ORDERED: Final = frozenset({"active", "draft", "on-hold"})
_REFUTED: Final = frozenset({"refuted", "entered-in-error"})
Json = dict[str, Any]


def claim_id(ask: Ask) -> str:
    """The id of the Claim of one attempt; a ClaimResponse must name it."""
    return str(uuid5(NAMESPACE_URL, f"urn:careweir:claim:{ask.request_id}"))


def services(tool: Tool, ask: Ask) -> list[Json]:
    """The codes of the orders that stand, in the order of their sequence numbers from 1."""
    found = []
    for order in resources(ask.payload, "ServiceRequest"):
        kept = declared(order, tool) or {}
        status = order.get("status")
        coded = list(_codings(kept.get("code")))
        if coded and isinstance(status, str) and status in _ORDERED:
            found.append({"coding": coded})
    return found


def submission(tool: Tool, mapping: Request, ask: Ask, ordered: list[Json]) -> Json:
    """The whole Bundle."""
    patient = next(resources(ask.payload, "Patient"), None)
    person = (declared(patient, tool) if patient is not None else None) or {}
    entries = [
        _claim(tool, mapping, ask, ordered),
        {**person, "resourceType": "Patient", "id": ask.subject},
        *(kept for one in resources(ask.payload, "Coverage") if (kept := declared(one, tool))),
    ]
    return {
        "resourceType": "Bundle",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{claim_id(ask)}"},
        "type": "collection",
        "timestamp": ask.as_of,
        "entry": [{"resource": resource} for resource in entries],
    }


def _claim(tool: Tool, mapping: Request, ask: Ask, ordered: list[Json]) -> Json:
    coverage = next(resources(ask.payload, "Coverage"), None) or {}
    covered = coverage.get("id")
    plan: Json = {"reference": f"Coverage/{covered}"} if isinstance(covered, str) else {}
    claim: Json = {
        "resourceType": "Claim",
        "id": claim_id(ask),
        "status": "active",
        "type": {"coding": [{"system": _CLAIM_TYPE, "code": mapping.claim_type}]},
        "use": "preauthorization",
        "patient": {"reference": f"Patient/{ask.subject}"},
        "created": ask.as_of[:10],
        "insurer": _named("Organization", mapping.insurer),
        "provider": _named("Organization", mapping.provider),
        "priority": {"coding": [{"system": _PRIORITY, "code": mapping.priority}]},
        "insurance": [
            {"sequence": 1, "focal": True, "coverage": plan or {"display": "not disclosed"}}
        ],
        "item": [
            {"sequence": position, "productOrService": service}
            for position, service in enumerate(ordered, start=1)
        ],
    }
    problems = list(_problems(tool, ask)) if mapping.problems else []
    if problems:
        claim["diagnosis"] = [
            {"sequence": position, "diagnosisCodeableConcept": problem}
            for position, problem in enumerate(problems, start=1)
        ]
    return claim


def _named(kind: str, identifier: Identifier) -> Json:
    return {"type": kind, "identifier": identifier.model_dump()}


def _problems(tool: Tool, ask: Ask) -> Iterator[Json]:
    for condition in resources(ask.payload, "Condition"):
        verification = {one.get("code") for one in _codings(condition.get("verificationStatus"))}
        kept = declared(condition, tool)
        coded = list(_codings(kept.get("code"))) if kept else []
        if coded and not verification & _REFUTED:
            yield {"coding": coded}


def _codings(concept: object) -> Iterator[Json]:
    listed = concept.get("coding") if isinstance(concept, Mapping) else None
    for coding in listed if isinstance(listed, list) else ():
        if isinstance(coding, Mapping) and isinstance(coding.get("code"), str):
            given = {key: coding.get(key) for key in ("system", "code", "display")}
            yield {key: value for key, value in given.items() if isinstance(value, str)}
