"""A service that takes a job, says once that it runs, and then gives the entities of its texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from careweir_kit.simulation.entities import ENTITY_BRAINS, Mention
from careweir_kit.simulation.model import (
    OLD_MODEL,
    SOMEBODY_ELSE,
    SimRequest,
    SimResponse,
    json_response,
)

_CATEGORY = {
    "symptom": "SymptomOrSign",
    "diagnosis": "Diagnosis",
    "medication": "MedicationName",
}
_TIMES = {
    "createdDateTime": "2026-03-02T08:30:00Z",
    "lastUpdateDateTime": "2026-03-02T08:30:01Z",
    "expirationDateTime": "2026-03-03T08:30:00Z",
}
_SOON = "0.05"
Json = dict[str, Any]


def answer(tool: Mapping[str, Any], brain: str, request: SimRequest) -> SimResponse:
    """202 with the job's address, then ``running`` once, then the result."""
    legacy = tool["request"].get("dialect") == "v3.1"
    jobs = "/text/analytics/v3.1/entities/health/jobs" if legacy else "/language/analyze-text/jobs"
    path = urlsplit(request.path).path
    if request.method == "POST" and path == jobs:
        return _taken(request, jobs)
    name = path.removeprefix(jobs + "/")
    job = request.memory.get(name)
    if request.method != "GET" or job is None:
        return _error(404, "NotFound")
    if not job["asked"]:
        request.remember(name, job | {"asked": True})
        running = {"jobId": name, **_TIMES, "status": "running", "errors": []}
        return json_response(200, running, **{"retry-after": _SOON})
    twists = {request.twist, job["twist"]}  # a fault may be on for one of the requests only
    documents = [_document(one, brain, "wrong_patient" in twists) for one in job["documents"]]
    version = OLD_MODEL if "old_model" in twists else str(tool["version"])
    results = {"documents": documents, "errors": [], "modelVersion": version}
    done: Json = {"jobId": name, **_TIMES, "status": "succeeded", "errors": []}
    if legacy:
        return json_response(200, done | {"results": results})
    task = {
        "kind": "HealthcareLROResults",
        "taskName": job["task"],
        "status": "succeeded",
        "lastUpdateDateTime": _TIMES["lastUpdateDateTime"],
        "results": results,
    }
    counts = {"completed": 1, "failed": 0, "inProgress": 0, "total": 1}
    return json_response(200, done | {"tasks": counts | {"items": [task]}})


def _taken(request: SimRequest, jobs: str) -> SimResponse:
    body = request.json()
    tasks = body.get("tasks", [{}])
    asked = tasks[0].get("parameters", {})
    if "analysisInput" in body and asked.get("stringIndexType") != "UnicodeCodePoint":
        return _error(400, "InvalidRequest")
    documents = body.get("analysisInput", body)["documents"]
    if not documents or not all(one["text"].strip() for one in documents):
        return _error(400, "InvalidRequest")
    name = f"job-{request.seed}-{request.call}"
    job = {
        "documents": documents,
        "task": tasks[0].get("taskName", ""),
        "twist": request.twist,
        "asked": False,
    }
    request.remember(name, job)
    place = f"http://{request.headers.get('host', 'localhost')}{jobs}/{name}"
    headers = {"operation-location": f"{place}?api-version=2023-04-01", "retry-after": _SOON}
    return SimResponse(202, b"", "", headers)


def _document(document: Json, brain: str, somebody_else: bool) -> Json:
    entities: list[Json] = []
    relations: list[Json] = []
    for mention in ENTITY_BRAINS[brain](document["text"]):
        own = len(entities)
        entities.append(_entity(mention))
        for part, category, kind, roles in (
            (mention.side, "Direction", "DirectionOfCondition", ("Direction", "Condition")),
            (mention.dose, "Dosage", "DosageOfMedication", ("Dosage", "Medication")),
        ):
            if part is not None:
                place = {"offset": part.start, "length": part.end - part.start, "text": part.text}
                entities.append(place | {"category": category, "confidenceScore": 0.95})
                ends = zip((len(entities) - 1, own), roles, strict=True)
                relations.append(
                    {
                        "relationType": kind,
                        "confidenceScore": 0.9,
                        "entities": [
                            {"ref": f"#/results/documents/0/entities/{at}", "role": role}
                            for at, role in ends
                        ],
                    }
                )
    who = SOMEBODY_ELSE if somebody_else else document["id"]
    return {"id": who, "entities": entities, "relations": relations, "warnings": []}


def _entity(mention: Mention) -> Json:
    word, at = mention.word, mention.at
    said: Json = {}
    if mention.negated:
        said["certainty"] = "negative"
    elif mention.doubtful:
        said["certainty"] = "positivePossible"
    if mention.family:
        said["association"] = "other"
    if mention.history:
        said["temporality"] = "past"
    links = [
        {"dataSource": source, "id": code}
        for source, code in (
            ("UMLS", word.umls),
            ("ICD10CM", word.icd10cm),
            ("RXNORM", word.rxnorm),
            ("SNOMEDCT_US", word.snomed),
        )
        if code
    ]
    return {
        "offset": at.start,
        "length": at.end - at.start,
        "text": at.text,
        "category": _CATEGORY[word.kind],
        "confidenceScore": mention.score,
        "name": word.name,
        "links": links,
    } | ({"assertion": said} if said else {})


def _error(status: int, code: str) -> SimResponse:
    return json_response(status, {"error": {"code": code, "message": "refused"}})
