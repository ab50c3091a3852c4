"""A model server that speaks the Open Inference Protocol, as MLServer does.

An input that it does not understand gives a 422 that repeats it, or a 500 without a word: both are
what the real server does, and what the gateway must not pass on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from careweir_kit.simulation.brains import NUMBER_BRAINS, TEXT_BRAINS
from careweir_kit.simulation.model import (
    OLD_MODEL,
    SOMEBODY_ELSE,
    SimRequest,
    SimResponse,
    json_response,
)


def answer(tool: Mapping[str, Any], brain: str, request: SimRequest) -> SimResponse:
    """Answer one infer call from its tensors."""
    model = tool["request"]["model"]
    if request.path.partition("/infer")[0].split("/versions/")[0] != f"/v2/models/{model}":
        return json_response(404, {"error": "Model not found"})
    body = request.json()
    tensors = {tensor["name"]: tensor for tensor in body.get("inputs", [])}
    problem = _problem(tool, tensors)
    if problem == "shape":
        return SimResponse(500, b"Internal Server Error", "text/plain; charset=utf-8")
    if problem:
        return json_response(422, {"detail": [{"type": problem, "loc": ["body"], "input": body}]})

    outputs = _text(tool, brain, tensors) if brain in TEXT_BRAINS else _risk(tool, brain, tensors)
    patient, _, rest = str(body.get("id", "generated-by-the-server")).partition("~")
    if request.twist == "wrong_patient":
        patient = SOMEBODY_ELSE
    version = OLD_MODEL if request.twist == "old_model" else str(tool["version"])
    return json_response(
        200,
        {
            "model_name": model,
            "model_version": version,
            "id": f"{patient}~{rest}" if rest else patient,
            "parameters": {"content_type": "np"},
            "outputs": outputs,
        },
    )


def _problem(tool: Mapping[str, Any], tensors: Mapping[str, Any]) -> str:
    for wanted in tool["request"]["tensors"]:
        tensor = tensors.get(wanted["name"])
        if tensor is None:
            return "missing"
        size = 1
        for extent in tensor["shape"]:
            size *= extent
        if size != len(tensor["data"]):
            return "shape"
        if "elements" in wanted and size != len(wanted["elements"]):
            return "shape"
    return ""


def _risk(tool: Mapping[str, Any], brain: str, tensors: Mapping[str, Any]) -> list[Any]:
    """Two columns, as ``predict_proba`` has them: without and with the event."""
    values: dict[str, float] = {}
    masks = {t["mask_of"]: tensors[t["name"]]["data"] for t in _tensors(tool, "mask_of")}
    for wanted in _tensors(tool, "elements"):
        data = tensors[wanted["name"]]["data"]
        present = masks.get(wanted["name"], [True] * len(data))
        for element, value, there in zip(wanted["elements"], data, present, strict=True):
            if there:
                values[element["name"]] = float(value)
    risk = NUMBER_BRAINS[brain](values)
    name = tool["answer"]["findings"][0]["output"]
    columns = [round(1 - risk, 4), risk]
    return [{"name": name, "shape": [1, 2], "datatype": "FP64", "data": columns}]


def _text(tool: Mapping[str, Any], brain: str, tensors: Mapping[str, Any]) -> list[Any]:
    name = next(_tensors(tool, "text"))["name"]
    said = {one.label: one for one in TEXT_BRAINS[brain](str(tensors[name]["data"][0]))}
    mapping = tool["answer"]["findings"][0]
    labels = [said[label["name"]] for label in mapping["labels"]]
    count = len(labels)
    sides = ["" if one.side == "none" else one.side for one in labels]
    return [
        {
            "name": mapping["output"],
            "shape": [1, count],
            "datatype": "FP32",
            "data": [one.probability for one in labels],
        },
        {"name": mapping["side_output"], "shape": [1, count], "datatype": "BYTES", "data": sides},
    ]


def _tensors(tool: Mapping[str, Any], key: str) -> Any:
    return (tensor for tensor in tool["request"]["tensors"] if key in tensor)
