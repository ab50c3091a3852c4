"""Three vendors with JSON APIs of their own: a triage service, a polled reader, a text reader.

Which one is told by ``brain``. Each answers from what it was sent.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

from careweir_kit.simulation.brains import TEXT_BRAINS
from careweir_kit.simulation.model import (
    OLD_MODEL,
    SOMEBODY_ELSE,
    SimRequest,
    SimResponse,
    json_response,
)

_STUDIES_MAX: Final = 256
_studies: OrderedDict[str, dict[str, Any]] = OrderedDict()  # what was taken in and not read yet

# Which reported symptoms are an emergency, which are serious; made up.
_EMERGENCY: Final = frozenset({"s_50"})
_SERIOUS: Final = frozenset({"s_88"})

# UMLS concept, words, codes. verified: false, from general knowledge.
_CONCEPTS: Final[Mapping[str, tuple[str, str, list[str]]]] = {
    "pneumothorax": ("UMLS/C0032326", "Pneumothorax", ["SNOMEDCT_US/36118008", "ICD10CM/J93.9"]),
    "pleural effusion": ("UMLS/C0032227", "Pleural effusion", ["SNOMEDCT_US/60046008"]),
    "pneumonia": ("UMLS/C0032285", "Pneumonia", ["SNOMEDCT_US/233604007", "ICD10CM/J18.9"]),
    "cardiomegaly": ("UMLS/C0018800", "Cardiomegaly", ["SNOMEDCT_US/8186001", "ICD10CM/I51.7"]),
}


def answer(tool: Mapping[str, Any], brain: str, request: SimRequest) -> SimResponse:
    """Answer one call in the shape of the vendor that ``brain`` names."""
    return _VENDORS[brain](tool, request)


def _triage(tool: Mapping[str, Any], request: SimRequest) -> SimResponse:
    if request.path != f"/{tool['request']['path']}":
        return json_response(404, {"message": "not found"})
    body = request.json()
    if body["sex"] not in ("female", "male") or not body["evidence"]:
        return json_response(400, {"message": f"invalid: {body}"})
    present = {e["id"] for e in body["evidence"] if e["choice_id"] == "present"}
    if present & _EMERGENCY:
        level, cause = "emergency", "emergency_evidence_present"
    elif present & _SERIOUS:
        level, cause = "consultation_24", "serious_evidence_present"
    else:
        level, cause = "self_care", "self_care_sufficient"
    serious = [
        {"id": one, "name": one, "common_name": one, "seriousness": "serious"}
        for one in sorted(present & (_EMERGENCY | _SERIOUS))
    ]
    return json_response(200, {"triage_level": level, "serious": serious, "root_cause": cause})


def _study(tool: Mapping[str, Any], request: SimRequest) -> SimResponse:
    """``studies/`` takes in; ``results/…`` says once that it works, and then what it found."""
    if request.method == "POST":
        body = request.json()
        name = str(body["series_instance_uid"])
        _studies[name] = {"patient": body["patient"]["id"], "text": body["clinical_text"]}
        _studies[name]["twist"] = request.twist  # a fault of one call is one of the whole job
        while len(_studies) > _STUDIES_MAX:
            _studies.popitem(last=False)
        return json_response(200, {"success": True, "series_instance_uid": name})
    study = _studies.get(request.path.rpartition("/")[2])
    if study is None:
        return json_response(404, {"success": False, "message": "no such series"})
    if not study.get("asked"):
        study["asked"] = True
        return json_response(200, {"success": False, "message": "still processing"})
    said = TEXT_BRAINS["chest_words"](study["text"])
    tags = [
        {"tag": s.label, "presence": int(s.probability >= 0.5), "score": round(s.probability * 100)}
        | ({"side": s.side} if s.side != "none" and s.probability >= 0.5 else {})
        for s in said
        if s.quote
    ]
    twists = (request.twist, study["twist"])
    version = OLD_MODEL if "old_model" in twists else str(tool["version"])
    whose = SOMEBODY_ELSE if "wrong_patient" in twists else study["patient"]
    result = {
        "success": True,
        "triage_status": "Critical" if any(tag["presence"] for tag in tags) else "Routine",
        "usecase": "qxr",
        "result": {"report": "", "files": {}},
        "tags": tags,
        "patient": {"id": whose},
        "metadata": {"model_version": version},
    }
    return json_response(200, result)


def _entities(tool: Mapping[str, Any], request: SimRequest) -> SimResponse:
    if request.path != f"/{tool['request']['path']}":
        return _google_error(404, "NOT_FOUND")
    text = request.json()["documentContent"]
    mentions, entities = [], {}
    for number, said in enumerate(TEXT_BRAINS["chest_sentences"](text), 1):
        start = text.lower().find(said.label)
        if start < 0 or said.label not in _CONCEPTS:
            continue
        name, words, codes = _CONCEPTS[said.label]
        entities[name] = {"entityId": name, "preferredTerm": words, "vocabularyCodes": codes}
        certainty = "LIKELY" if said.probability >= 0.5 else "UNLIKELY"
        place: dict[str, Any] = {"content": text[start : start + len(said.label)]}
        if start:
            place["beginOffset"] = start
        mentions.append(
            {
                "mentionId": str(number),
                "type": "PROBLEM",
                "text": place,
                "linkedEntities": [{"entityId": name}],
                "temporalAssessment": {"value": "CURRENT", "confidence": 0.97},
                "certaintyAssessment": {"value": certainty, "confidence": 0.98},
                "subject": {"value": "PATIENT", "confidence": 0.99},
                "confidence": 0.96,
            }
        )
    return json_response(200, {"entityMentions": mentions, "entities": list(entities.values())})


def _google_error(status: int, name: str) -> SimResponse:
    return json_response(status, {"error": {"code": status, "message": "refused", "status": name}})


_VENDORS: Final[Mapping[str, Callable[[Mapping[str, Any], SimRequest], SimResponse]]] = {
    "symptom_triage": _triage,
    "study_results": _study,
    "document_entities": _entities,
}
