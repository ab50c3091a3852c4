"""A payer's pre-check: it decides on each item of a Claim from its diagnoses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from careweir_kit.simulation.model import SOMEBODY_ELSE, SimRequest, SimResponse, json_response

_PAS = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/"
_X12 = "https://codesystem.x12.org/005010/306"


def answer(tool: Mapping[str, Any], brain: str, request: SimRequest) -> SimResponse:
    """Decide on one submission; a Bundle without a Claim first is an OperationOutcome."""
    if request.path != "/" + tool["request"].get("path", "Claim/$submit"):
        return _outcome(404, "not-found")
    claim = request.json()["entry"][0]["resource"]
    if claim.get("resourceType") != "Claim" or claim.get("use") != "preauthorization":
        return _outcome(400, "invalid")
    patient = claim["patient"]["reference"]
    if request.twist == "wrong_patient":
        patient = f"Patient/{SOMEBODY_ELSE}"
    response = {
        "resourceType": "ClaimResponse",
        "status": "active",
        "type": claim["type"],
        "use": "preauthorization",
        "patient": {"reference": patient},
        "created": claim["created"],
        "insurer": claim["insurer"],
        "request": {"reference": f"Claim/{claim['id']}"},
        "outcome": "complete",
        "preAuthRef": f"PA-{request.seed}{request.call:03}",
        "item": [_item(brain, claim, item) for item in claim["item"]],
    }
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": response}]}
    return SimResponse(200, json_response(200, bundle).body, "application/fhir+json")


def _item(brain: str, claim: Mapping[str, Any], item: Mapping[str, Any]) -> dict[str, Any]:
    code = _decided(brain, len(claim.get("diagnosis", [])))
    concept = {"coding": [{"system": _X12, "code": code}]}
    action = {"url": f"{_PAS}extension-reviewActionCode", "valueCodeableConcept": concept}
    submitted = {
        "system": "http://terminology.hl7.org/CodeSystem/adjudication",
        "code": "submitted",
    }
    review = {"url": f"{_PAS}extension-reviewAction", "extension": [action]}
    adjudication = {"extension": [review], "category": {"coding": [submitted]}}
    return {"itemSequence": item["sequence"], "adjudication": [adjudication]}


def _decided(brain: str, diagnoses: int) -> str:
    """Without a diagnosis it is pended; the strict payer wants two before it certifies."""
    if diagnoses == 0:
        return "A4"
    return "A1" if diagnoses >= (2 if brain == "strict" else 1) else "A3"


def _outcome(status: int, code: str) -> SimResponse:
    issue = [{"severity": "error", "code": code, "diagnostics": "refused"}]
    return json_response(status, {"resourceType": "OperationOutcome", "issue": issue})
