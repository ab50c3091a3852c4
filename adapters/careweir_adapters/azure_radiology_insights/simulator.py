"""A service that takes a job under the caller's name, says once that it runs, then infers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from careweir_kit.simulation.brains import TEXT_BRAINS, Said
from careweir_kit.simulation.model import (
    OLD_MODEL,
    SOMEBODY_ELSE,
    SimRequest,
    SimResponse,
    json_response,
)

_JOBS: Final = "/health-insights/radiology-insights/jobs/"
_SNOMED: Final = "http://snomed.info/sct"
_CODES: Final[Mapping[str, str]] = {
    "pneumothorax": "36118008",
    "pleural effusion": "60046008",
    "pneumonia": "233604007",
    "consolidation": "95436008",
    "cardiomegaly": "8186001",
    "rib fracture": "33737001",
    "pulmonary nodule": "427359005",
}
_SIDES: Final[Mapping[str, str]] = {"left": "7771000", "right": "24028007", "both": "51440002"}
_TIMES: Final = {
    "createdAt": "2026-03-02T08:30:00Z",
    "updatedAt": "2026-03-02T08:30:01Z",
    "expiresAt": "2026-03-03T08:30:00Z",
}
_SOON: Final = "0.05"
Json = dict[str, Any]


def answer(tool: Mapping[str, Any], brain: str, request: SimRequest) -> SimResponse:
    """201 for a new job, 409 for its name with another content, then running, then the result."""
    name = urlsplit(request.path).path.removeprefix(_JOBS)
    job = request.memory.get(name)
    if request.method == "PUT":
        return _put(request, name, job)
    if request.method != "GET" or job is None:
        return json_response(404, {"error": {"code": "NotFound", "message": "no such job"}})
    if not job["asked"]:
        request.remember(name, job | {"asked": True})
        return _state(name, "running", 200)
    twists = {request.twist, job["twist"]}
    results = []
    for patient in job["patients"]:
        text = patient["patientDocuments"][0]["content"]["value"]
        who = SOMEBODY_ELSE if "wrong_patient" in twists else patient["id"]
        results.append({"patientId": who, "inferences": _inferences(TEXT_BRAINS[brain](text))})
    version = OLD_MODEL if "old_model" in twists else str(tool["version"])
    result = {"modelVersion": version, "patientResults": results}
    return json_response(200, {"id": name, "status": "succeeded", **_TIMES, "result": result})


def _put(request: SimRequest, name: str, job: Json | None) -> SimResponse:
    patients = request.json()["jobData"]["patients"]
    if not all(one["patientDocuments"][0]["content"]["value"].strip() for one in patients):
        return json_response(400, {"error": {"code": "InvalidRequest", "message": "empty"}})
    if job is not None and job["patients"] != patients:
        return json_response(409, {"error": {"code": "Conflict", "message": "name is taken"}})
    request.remember(name, {"patients": patients, "asked": False, "twist": request.twist})
    return _state(name, "notStarted", 201)


def _state(name: str, status: str, code: int) -> SimResponse:
    headers = {
        "retry-after": _SOON,
        "operation-location": f"https://elsewhere.example{_JOBS}{name}",
    }
    return json_response(code, {"id": name, "status": status, **_TIMES}, **headers)


def _inferences(said: tuple[Said, ...]) -> list[Json]:
    found: list[Json] = []
    for one in said:
        found.append({"kind": "finding", "finding": _observation(one)})
        if one.probability < 0.5:
            continue
        if one.label == "pneumothorax":
            found.append({"kind": "criticalResult", "result": {"description": "PNEUMOTHORAX"}})
        if one.label == "pulmonary nodule":
            found.append(_follow_up(one))
    return found


def _observation(one: Said) -> Json:
    present = "52101004" if one.probability >= 0.5 else "2667000"
    parts = [
        _component("131195008", _CODES[one.label], one.label.upper()),
        _component("722871000000108", "51185008", "THORAX"),
        _component("705057003", present, ""),
    ]
    if one.side in _SIDES:
        # As in the vendor's own example: this code of the attribute fails its check digit.
        parts.append(_component("45651917", _SIDES[one.side], one.side.upper()))
    return {
        "resourceType": "Observation",
        "status": "unknown",
        "code": {"coding": [{"system": _SNOMED, "code": "404684003"}]},
        "component": parts,
    }


def _component(code: str, value: str, words: str) -> Json:
    said = {"system": _SNOMED, "code": value, "display": words}
    return {
        "code": {"coding": [{"system": _SNOMED, "code": code}]},
        "valueCodeableConcept": {"coding": [said]},
    }


def _follow_up(one: Said) -> Json:
    image = {
        "modality": {"coding": [{"system": _SNOMED, "code": "77477000", "display": "CT"}]},
        "anatomy": {"coding": [{"system": _SNOMED, "code": "39607008", "display": "LUNG"}]},
    }
    return {
        "kind": "followupRecommendation",
        "findings": [{"finding": _observation(one), "recommendationFindingStatus": "present"}],
        "isConditional": False,
        "isOption": False,
        "isGuideline": True,
        "isHedging": False,
        "recommendedProcedure": {
            "kind": "imagingProcedureRecommendation",
            "imagingProcedures": [image],
        },
    }
