"""One whole resource of each type that careweir emits, as the validator likes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
UCUM = "http://unitsofmeasure.org"
URL_A = "urn:uuid:00000000-0000-4000-8000-00000000000a"
URL_B = "urn:uuid:00000000-0000-4000-8000-00000000000b"


def risk() -> Json:
    per_cent = {"system": UCUM, "code": "%"}
    return {
        "resourceType": "RiskAssessment",
        "id": "risk-1",
        "status": "preliminary",
        "subject": {"reference": "Patient/1"},
        "performer": {"reference": "Device/1"},
        "prediction": [
            {
                "probabilityRange": {
                    "low": {"value": 10, **per_cent},
                    "high": {"value": 20, **per_cent},
                },
                "whenPeriod": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T06:00:00Z"},
            },
            {"probabilityDecimal": 99.5},
        ],
    }


def observation() -> Json:
    return {
        "resourceType": "Observation",
        "status": "preliminary",
        "code": {"coding": [{"system": "http://loinc.org", "code": "2524-7"}]},
        "subject": {"reference": "https://ehr.example.org/fhir/Patient/1"},
        "valueQuantity": {"value": 4, "system": UCUM, "code": "mmol/L", "comparator": "<"},
        "referenceRange": [{"text": "below 2"}],
        "component": [{"code": {"coding": [{"system": "http://loinc.org", "code": "x"}]}}],
    }


def detected_issue() -> Json:
    return {
        "resourceType": "DetectedIssue",
        "status": "preliminary",
        "severity": "high",
        "author": {"reference": "Device/1"},
        "implicated": [{"reference": "Observation/1"}, {"reference": "RiskAssessment/1"}],
    }


def audit_event() -> Json:
    return {
        "resourceType": "AuditEvent",
        "type": {"code": "rest"},
        "action": "E",
        "recorded": "2026-01-01T00:00:00Z",
        "outcome": "0",
        "agent": [{"requestor": True, "who": {"reference": "Practitioner/1"}}],
        "source": {"observer": {"reference": "Device/1"}},
        "entity": [{"name": "a study"}, {"query": "YQ=="}],
    }


def consent() -> Json:
    return {
        "resourceType": "Consent",
        "status": "active",
        "scope": {"text": "privacy"},
        "category": [{"text": "sharing"}],
        "policyRule": {"text": "opt-out"},
    }


def task() -> Json:
    return {
        "resourceType": "Task",
        "status": "draft",
        "intent": "proposal",
        "for": {"reference": "Patient/1"},
        "authoredOn": "2026-01-01T00:00:00Z",
        "lastModified": "2026-01-01T00:00:00Z",
        "output": [{"type": {"text": "code"}, "valueString": "x"}],
    }


def request() -> Json:
    return {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": "proposal",
        "code": {"text": "CT"},
        "orderDetail": [{"text": "low dose"}],
        "subject": {"reference": "Patient/1"},
    }


def provenance() -> Json:
    return {
        "resourceType": "Provenance",
        "target": [{"reference": "Observation/1"}],
        "recorded": "2026-01-01T00:00:00Z",
        "agent": [{"type": {"text": "author"}, "who": {"reference": "Device/1"}}],
        "entity": [{"role": "source", "what": {"reference": "ImagingStudy/1"}}],
    }


def document() -> Json:
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "docStatus": "preliminary",
        "content": [{"attachment": {"contentType": "text/plain", "data": "YQ=="}}],
    }


def parameters() -> Json:
    return {"resourceType": "Parameters", "parameter": [{"name": "a", "valueString": "x"}]}


def outcome() -> Json:
    return {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "warning", "code": "timeout", "details": {"text": "late"}}],
    }


def report() -> Json:
    return {
        "resourceType": "DiagnosticReport",
        "status": "preliminary",
        "code": {"text": "reading"},
        "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'},
        "contained": [
            {"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "x"}}
        ],
        "result": [{"reference": "#o"}],
    }


def guidance() -> Json:
    return {
        "resourceType": "GuidanceResponse",
        "status": "success",
        "moduleUri": "urn:x:y",
        "performer": {"reference": "Device/1"},
        "extension": [{"url": "urn:x:z", "valueCode": "a"}],
    }


def bundle() -> Json:
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"fullUrl": URL_A, "resource": provenance() | {"id": "p"}},
            {
                "fullUrl": URL_B,
                "resource": {"resourceType": "Device", "id": "d", "status": "active"},
            },
        ],
    }


VALID: tuple[Callable[[], Json], ...] = (
    risk,
    observation,
    detected_issue,
    audit_event,
    consent,
    task,
    request,
    provenance,
    document,
    parameters,
    outcome,
    report,
    guidance,
    bundle,
)
