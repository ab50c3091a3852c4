"""A decision support service on FHIR: a GuidanceResponse with its RiskAssessment, or an outcome."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from careweir_kit.simulation.brains import NUMBER_BRAINS
from careweir_kit.simulation.model import (
    OLD_MODEL,
    SOMEBODY_ELSE,
    SimRequest,
    SimResponse,
    json_response,
)

_NAMES: Mapping[str, str] = {
    "8867-4": "heart_rate",
    "9279-1": "respiratory_rate",
    "8310-5": "temperature",
    "8480-6": "systolic",
    "59408-5": "spo2",
    "2708-6": "spo2",
    "718-7": "haemoglobin",
    "2951-2": "sodium",
    "2160-0": "creatinine",
}
_NEEDED_MIN = 3


def answer(tool: Mapping[str, Any], brain: str, request: SimRequest) -> SimResponse:
    """Evaluate the Bundle of one Parameters; too little data is asked for, not an error."""
    if request.path != "/" + tool["request"]["operation"]:
        return _outcome(404, "not-found")
    body = request.json()
    if body.get("resourceType") != "Parameters":
        return _outcome(400, "invalid")
    given = {one["name"]: one for one in body["parameter"]}
    patient = given[tool["request"].get("subject", "subject")]["valueString"]
    chart = given[tool["request"].get("data", "data")]["resource"]
    if request.twist == "wrong_patient":
        patient = f"Patient/{SOMEBODY_ELSE}"
    values = dict(_values(chart))
    if len(values) < _NEEDED_MIN:
        return _fhir(_guidance("data-required", patient, []))
    version = OLD_MODEL if request.twist == "old_model" else str(tool["version"])
    risk = NUMBER_BRAINS[brain](values)
    return _fhir(_guidance("success", patient, _contained(tool, patient, risk, version)))


def _guidance(status: str, patient: str, contained: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "resourceType": "GuidanceResponse",
        "moduleUri": "urn:example:module",
        "status": status,
        "subject": {"reference": patient},
    }
    if contained:
        found |= {"contained": contained, "result": {"reference": "#risk"}}
    else:
        found["dataRequirement"] = [{"type": "Observation"}]
    return found


def _contained(
    tool: Mapping[str, Any], patient: str, risk: float, version: str
) -> list[dict[str, Any]]:
    known = tool["answer"]["risks"][0]["code"]
    per_cent = tool["answer"]["probability"] == "per_cent"
    prediction = {
        "outcome": {"coding": [dict(known)]},
        "probabilityDecimal": round(risk * 100, 2) if per_cent else risk,
    }
    assessment: dict[str, Any] = {
        "resourceType": "RiskAssessment",
        "id": "risk",
        "status": "preliminary",
        "subject": {"reference": patient},
        "performer": {"reference": "#model"},
        "prediction": [prediction],
    }
    device: dict[str, Any] = {
        "resourceType": "Device",
        "id": "model",
        "version": [{"value": version}],
    }
    found = [assessment, device]
    if risk >= 0.6 and tool["answer"].get("recommendations", True):
        code = {"coding": [{"system": "http://loinc.org", "code": "2524-7"}], "text": "Lactate"}
        found.append(
            {
                "resourceType": "ServiceRequest",
                "id": "lactate",
                "status": "draft",
                "intent": "proposal",
                "subject": {"reference": patient},
                "code": code,
            }
        )
    return found


def _values(chart: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    stays = 0
    for entry in chart.get("entry", []):
        resource = entry["resource"]
        stays += resource["resourceType"] == "Encounter"
        for extension in resource.get("extension", []):
            if "valueInteger" in extension:
                yield "age", float(extension["valueInteger"])
        for element in (resource, *resource.get("component", [])):
            quantity = element.get("valueQuantity") or {}
            for coding in (element.get("code") or {}).get("coding", []):
                name = _NAMES.get(coding.get("code", ""))
                if name is not None and isinstance(quantity.get("value"), int | float):
                    yield name, float(quantity["value"])
    if stays:
        yield "prior_adm", float(stays - 1)


def _fhir(value: Mapping[str, Any]) -> SimResponse:
    response = json_response(200, value)
    return SimResponse(200, response.body, "application/fhir+json")


def _outcome(status: int, code: str) -> SimResponse:
    issue = [{"severity": "error", "code": code, "diagnostics": "refused"}]
    return json_response(status, {"resourceType": "OperationOutcome", "issue": issue})
