"""A service that reads one text a call and gives its entities, with codes if asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from careweir_kit.simulation.entities import ENTITY_BRAINS, Mention
from careweir_kit.simulation.model import OLD_MODEL, SimRequest, SimResponse, json_response

_TARGET = "ComprehendMedical_20181030."
_CONCEPTS = {
    "InferICD10CM": ("ICD10CMConcepts", "icd10cm", ("symptom", "diagnosis")),
    "InferRxNorm": ("RxNormConcepts", "rxnorm", ("medication",)),
    "InferSNOMEDCT": ("SNOMEDCTConcepts", "snomed", ("symptom", "diagnosis")),
    "DetectEntitiesV2": (None, "", ("symptom", "diagnosis", "medication")),
}
_LONGEST = {"DetectEntitiesV2": 20_000}
Json = dict[str, Any]


def answer(tool: Mapping[str, Any], brain: str, request: SimRequest) -> SimResponse:
    """Answer one operation from the text that was sent."""
    operation = request.headers.get("x-amz-target", "").removeprefix(_TARGET)
    if operation not in _CONCEPTS or request.path != "/":
        return _error("UnknownOperationException")
    text = request.json()["Text"]
    if not 0 < len(text) <= _LONGEST.get(operation, 10_000):
        return _error("TextSizeLimitExceededException")
    name, source, kinds = _CONCEPTS[operation]
    mentions = [one for one in ENTITY_BRAINS[brain](text) if one.word.kind in kinds]
    entities = [_entity(at, one, name, source) for at, one in enumerate(mentions)]
    version = OLD_MODEL if request.twist == "old_model" else str(tool["version"])
    body = json_response(200, {"Entities": entities, "ModelVersion": version}).body
    return SimResponse(200, body, "application/x-amz-json-1.1")


def _entity(at: int, mention: Mention, concepts: str | None, source: str) -> Json:
    word, place = mention.word, mention.at
    medication = word.kind == "medication"
    traits = ["SYMPTOM" if word.kind == "symptom" else "DIAGNOSIS"] * (not medication)
    traits += ["NEGATION"] * mention.negated + ["PERTAINS_TO_FAMILY"] * mention.family
    traits += ["PAST_HISTORY"] * mention.history + ["HYPOTHETICAL"] * mention.doubtful
    attributes = []
    for part, kind in ((mention.side, "DIRECTION"), (mention.dose, "DOSAGE")):
        if part is not None:
            where = {"BeginOffset": part.start, "EndOffset": part.end, "Text": part.text}
            attributes.append({"Type": kind, "Score": 0.95, "RelationshipScore": 0.9} | where)
    entity: Json = {
        "Id": at,
        "BeginOffset": place.start,
        "EndOffset": place.end,
        "Score": mention.score,
        "Text": place.text,
        "Category": "MEDICATION" if medication else "MEDICAL_CONDITION",
        "Type": "GENERIC_NAME" if medication else "DX_NAME",
        "Traits": [{"Name": trait, "Score": 0.9} for trait in traits],
        "Attributes": attributes,
    }
    code = getattr(word, source) if source else ""
    if concepts is not None:
        entity[concepts] = [{"Code": code, "Score": 0.8}] if code else []
    return entity


def _error(name: str) -> SimResponse:
    value = {"__type": f"com.amazonaws.comprehendmedical#{name}", "Message": "refused"}
    return json_response(400, value, **{"x-amzn-ErrorType": name})
