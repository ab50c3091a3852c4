"""A sepsis service on CDS Hooks: one card with a risk, and orders when the risk is not low."""

from __future__ import annotations

import uuid
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
    "2524-7": "lactate",
}
_NEEDED = ("heart_rate", "respiratory_rate")


def answer(tool: Mapping[str, Any], brain: str, request: SimRequest) -> SimResponse:
    """Answer one hook from its prefetch; 412 when heart or respiratory rate is not there."""
    if request.path != f"/cds-services/{tool['request']['service']}":
        return json_response(404, {"error": "no such service"})
    body = request.json()
    values = _values(body["prefetch"])
    if any(name not in values for name in _NEEDED):
        return json_response(412, {"error": "prefetch lacks what this service needs"})
    patient = body["context"]["patientId"]
    if request.twist == "wrong_patient":
        patient = SOMEBODY_ELSE
    version = OLD_MODEL if request.twist == "old_model" else str(tool["version"])
    risk = NUMBER_BRAINS[brain](values)
    card = _card(tool, risk, patient, f"{request.seed}/{body['hookInstance']}")
    _put(card, tool["answer"].get("risk_path"), risk)
    _put(card, tool["answer"].get("version_path"), version)
    _put(card, tool["answer"].get("subject_path"), patient)
    response: dict[str, Any] = {"cards": [card]}
    _put(response, tool["answer"].get("answer_subject"), patient)
    return json_response(200, response)


def _card(tool: Mapping[str, Any], risk: float, patient: str, name: str) -> dict[str, Any]:
    indicator = "critical" if risk >= 0.6 else "warning" if risk >= 0.2 else "info"
    card: dict[str, Any] = {
        "uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
        "summary": f"Sepsis risk {risk:.2f} within 6 hours",
        "indicator": indicator,
        "detail": "Based on the **latest** observations. <b>See trend.</b>",
        "source": {"label": tool["product"], "topic": dict(tool["answer"]["topic"])},
    }
    if indicator != "info":
        card["selectionBehavior"] = "any"
        card["suggestions"] = [_order("Blood cultures", "600-7", patient)]
        if indicator == "critical":
            card["suggestions"].append(_order("Serum lactate", "2524-7", patient))
    return card


def _order(what: str, loinc: str, patient: str) -> dict[str, Any]:
    resource = {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": "proposal",
        "subject": {"reference": f"Patient/{patient}"},
        "code": {"coding": [{"system": "http://loinc.org", "code": loinc}]},
    }
    action = {"type": "create", "description": what, "resource": resource}
    return {"label": f"Order {what.lower()}", "actions": [action]}


def _put(target: dict[str, Any], path: list[str] | None, value: Any) -> None:
    if not path:
        return
    for key in path[:-1]:
        target = target.setdefault(key, {})
    target[path[-1]] = value


def _values(prefetch: Mapping[str, Any]) -> dict[str, float]:
    """The newest number for each name that the model knows."""
    newest: dict[str, tuple[str, float]] = {}
    for time, code, quantity in _quantities(prefetch):
        name, value = _NAMES.get(code), quantity.get("value")
        if name is None or not isinstance(value, int | float):
            continue
        number = float(value)
        if quantity.get("code") == "[degF]":
            number = (number - 32) / 1.8
        if name not in newest or newest[name][0] < time:
            newest[name] = (time, number)
    values = {name: value for name, (_, value) in newest.items()}
    for resource in prefetch.values():
        for extension in (resource or {}).get("extension", []):
            if "valueInteger" in extension:
                values["age"] = float(extension["valueInteger"])
    return values


def _quantities(prefetch: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for bundle in prefetch.values():
        for entry in (bundle or {}).get("entry", []):
            observation = entry["resource"]
            time = str(observation.get("effectiveDateTime", ""))
            for element in (observation, *observation.get("component", [])):
                for coding in element.get("code", {}).get("coding", []):
                    yield time, coding.get("code", ""), element.get("valueQuantity") or {}
