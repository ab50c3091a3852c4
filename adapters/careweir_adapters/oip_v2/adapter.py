"""Open Inference Protocol v2: tensors out, tensors in.

Source: kserve/open-inference-protocol, specification/protocol/inference_rest.md.
"""

from __future__ import annotations

from typing import Any

import orjson

from careweir_adapters.oip_v2.findings import findings_of
from careweir_adapters.oip_v2.mapping import (
    Mask,
    Numbers,
    Request,
    answer_of,
    check,
    request_of,
)
from careweir_adapters.oip_v2.wire import InferAnswer, infer_answer
from careweir_kit.adapter import Ask, Parsed, VendorAnswer, VendorRequest, Verdict
from careweir_kit.classify import json_object, verdict_of_status
from careweir_kit.errors import InputsMissing, VendorProtocolBroken
from careweir_kit.features import look
from careweir_kit.mapping import version_notes
from careweir_kit.payload import standing
from careweir_kit.push import (
    Binding,
    Push,
    Pushed,
    PushReply,
    Receipt,
    json_reply,
    message_id_of,
)
from careweir_kit.reports import needed_report, newest_report
from careweir_kit.tool import Tool

_JOIN = "~"  # stands in no pseudonym; what precedes it in ``id`` is the patient


def check_tool(tool: Tool) -> None:
    """Refuse a tool file whose mapping cannot be used. Raises ToolFileInvalid."""
    check(tool)


def build_request(tool: Tool, ask: Ask) -> VendorRequest:
    """One infer call for one patient. Raises InputsMissing."""
    mapping = request_of(tool)
    chart = standing(ask.payload, as_of=ask.as_of, preliminary=mapping.preliminary)
    looked = {
        tensor.name: [(element, look(element, chart, ask)) for element in tensor.elements]
        for tensor in mapping.tensors
        if isinstance(tensor, Numbers)
    }
    pairs = [pair for found in looked.values() for pair in found]
    without = tuple(f"{e.name}: {found.missing}" for e, found in pairs if found.missing)
    present = sum(found.missing is None for _, found in pairs)
    lacking = any(e.required and found.missing for e, found in pairs)
    if lacking or present < mapping.inputs_min:
        raise InputsMissing(without)

    body: dict[str, Any] = {
        "id": f"{ask.subject}{_JOIN}{ask.request_id}",
        "inputs": [_tensor(tensor, looked, mapping, ask) for tensor in mapping.tensors],
    }
    if mapping.outputs:
        body["outputs"] = [{"name": name} for name in mapping.outputs]
    version = f"/versions/{mapping.version}" if mapping.version else ""
    path = f"v2/models/{mapping.model}{version}/infer"
    return VendorRequest(
        "POST",
        path,
        orjson.dumps(body),
        {"content-type": "application/json", "accept": "application/json"},
        without=without,
    )


def _tensor(tensor: Any, looked: dict[str, Any], mapping: Request, ask: Ask) -> dict[str, Any]:
    if isinstance(tensor, Numbers):
        absent = tensor.absent
        data = [absent if found.missing else found.value for _, found in looked[tensor.name]]
        return _wire(tensor.name, tensor.datatype, data)
    if isinstance(tensor, Mask):
        flags = [found.missing is None for _, found in looked[tensor.mask_of]]
        return _wire(tensor.name, "BOOL", flags)
    report = needed_report(ask, preliminary=mapping.preliminary)
    return _wire(tensor.name, "BYTES", [report.text])


def _wire(name: str, datatype: str, data: list[Any]) -> dict[str, Any]:
    return {"name": name, "shape": [1, len(data)], "datatype": datatype, "data": data}


def classify_answer(tool: Tool, answer: VendorAnswer) -> Verdict:
    """Say what kind of answer this is; never raises."""
    verdict = verdict_of_status(answer)
    if verdict.answer_class != "ok":
        return verdict
    try:
        infer_answer(json_object(answer))
    except VendorProtocolBroken as broken:
        return Verdict("protocol_broken", str(broken))
    return verdict


def parse_findings(tool: Tool, ask: Ask | None, answer: VendorAnswer) -> Parsed:
    """Read findings by the tool file's outputs. Raises VendorProtocolBroken."""
    mapping, found = answer_of(tool), infer_answer(json_object(answer))
    known = () if mapping.model_version is None else (mapping.model_version,)
    return Parsed(
        findings=findings_of(tool, mapping, found, effective=_effective(tool, ask)),
        echoes=_echoes(found, ask),
        model_name=found.model_name,
        model_version=found.model_version,
        notes=version_notes(found.model_version, known),
    )


def _effective(tool: Tool, ask: Ask | None) -> str | None:
    """The time of the report where one was read, else the moment that the answer is for."""
    if ask is None:
        return None
    preliminary = request_of(tool).preliminary
    report = newest_report(ask.payload, as_of=ask.as_of, preliminary=preliminary)
    return report.effective if report and report.effective else ask.as_of


def _echoes(found: InferAnswer, ask: Ask | None) -> tuple[str, ...]:
    """The patient in ``id``. The pseudonym counts as echoed only when the whole id came back."""
    if found.id is None:
        return ()
    if ask is None:
        return (found.id.partition(_JOIN)[0],)
    whole = found.id == f"{ask.subject}{_JOIN}{ask.request_id}"
    return (ask.subject,) if whole else (found.id,)


def parse_push(tool: Tool, push: Push) -> Pushed:
    """An inference that comes late is the answer itself. Raises VendorProtocolBroken."""
    verdict = classify_answer(tool, push.as_answer)
    if verdict.answer_class != "ok":
        raise VendorProtocolBroken(verdict.note)
    name = infer_answer(json_object(push.as_answer)).id or ""
    request_id = name.partition(_JOIN)[2] or None
    parsed = parse_findings(tool, None, push.as_answer)
    return Pushed(parsed, Binding(message_id_of(push), request_id))


def acknowledge(tool: Tool, push: Push, receipt: Receipt) -> PushReply:
    """The protocol has no receipt of its own."""
    return json_reply(receipt)
