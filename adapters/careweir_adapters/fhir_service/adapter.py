"""FHIR services: declared resources go out as Parameters, RiskAssessments and guidance come in.

A service that wants more data has declined (``data-required``), or answered in part
(``data-requested``); neither is an error and neither is an empty answer.

Source: FHIR R4, GuidanceResponse, RiskAssessment, asynchronous request pattern.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from careweir_adapters.fhir_service.findings import findings_of
from careweir_adapters.fhir_service.mapping import answer_of, check, request_of
from careweir_adapters.fhir_service.wire import (
    device_version,
    guidance,
    issue_class,
    resources_of,
    risk_assessment,
    typed,
)
from careweir_fhir.model import Completeness
from careweir_kit.adapter import Ask, Parsed, VendorAnswer, VendorRequest, Verdict
from careweir_kit.classify import json_object, retry_after_s, verdict_of_status
from careweir_kit.declared import declared
from careweir_kit.errors import InputsMissing, VendorProtocolBroken
from careweir_kit.mapping import marked, version_notes
from careweir_kit.payload import bare_reference
from careweir_kit.references import patient_references
from careweir_kit.tool import Tool

_MEDIA: Final = "application/fhir+json"
_GUIDED: Final[dict[str, Verdict]] = {
    "data-required": Verdict("refused", "the service lacks inputs that it needs"),
    "data-requested": Verdict("partial", "the service asks for more data"),
    "in-progress": Verdict("pending", "the service is still evaluating"),
    "failure": Verdict("vendor_fault", "the service could not evaluate"),
    "entered-in-error": Verdict("protocol_broken", "the service withdrew its answer"),
}


def check_tool(tool: Tool) -> None:
    """Refuse a tool file whose mapping cannot be used. Raises ToolFileInvalid."""
    check(tool)


def build_request(tool: Tool, ask: Ask) -> VendorRequest:
    """One operation on the declared part of the chart. Raises InputsMissing."""
    mapping = request_of(tool)
    entries = ask.payload.get("entry")
    listed = entries if isinstance(entries, list) else []
    given = [one.get("resource") for one in listed if isinstance(one, dict)]
    sent = [kept for one in given if isinstance(one, dict) and (kept := declared(one, tool))]
    counted = sum(one.get("resourceType") != "Patient" for one in sent)
    if counted < mapping.inputs_min:
        raise InputsMissing((f"resources: {counted} of at least {mapping.inputs_min}",))

    chart = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": resource} for resource in sent],
    }
    parameters: list[dict[str, Any]] = [
        {"name": mapping.subject, "valueString": f"Patient/{ask.subject}"},
        *({"name": name, "valueString": value} for name, value in mapping.fixed.items()),
        {"name": mapping.data, "resource": chart},
    ]
    headers = {"content-type": _MEDIA, "accept": f"{_MEDIA}; fhirVersion=4.0"}
    if mapping.wait:
        headers["prefer"] = "respond-async"
    body = orjson.dumps({"resourceType": "Parameters", "parameter": parameters})
    return VendorRequest(
        "POST", mapping.operation, body, headers, accept=(_MEDIA, "application/json")
    )


def classify_answer(tool: Tool, answer: VendorAnswer) -> Verdict:
    """Say what kind of answer this is; never raises."""
    if answer.status == 202:
        return _pending(tool, answer)
    verdict = verdict_of_status(answer)
    if verdict.answer_class == "protocol_broken":
        return verdict
    try:
        resources = resources_of(json_object(answer))
    except VendorProtocolBroken as broken:
        return verdict if answer.status != 200 else Verdict("protocol_broken", str(broken))
    if answer.status != 200:
        return _of_error(answer, verdict, resources)
    try:
        return _of_resources(resources)
    except VendorProtocolBroken as broken:
        return Verdict("protocol_broken", str(broken))


def _pending(tool: Tool, answer: VendorAnswer) -> Verdict:
    """Where to ask again: below the endpoint of the tool file, and nowhere else."""
    location = answer.headers.get("content-location", "")
    path = "" if urlsplit(location).scheme or location.startswith("//") else location
    for base in (url.rstrip("/") for urls in tool.endpoints.values() for url in urls):
        if location.startswith(f"{base}/"):
            path = location.removeprefix(base)
    path = path.lstrip("/")
    if not path or ".." in path.split("/"):
        return Verdict("protocol_broken", "accepted, with no place of its own to ask again")
    headers = {"accept": f"{_MEDIA}; fhirVersion=4.0"}
    follow_up = VendorRequest("GET", path, b"", headers, accept=(_MEDIA, "application/json"))
    return Verdict("pending", "accepted", retry_after_s(answer), follow_up)


def _of_error(answer: VendorAnswer, verdict: Verdict, resources: list[dict[str, Any]]) -> Verdict:
    """By the issue where the body says more than the status; a 5xx stays the vendor's fault."""
    found = issue_class(resources)
    if found is None or found == verdict.answer_class or answer.status < 400:
        return verdict
    if answer.status >= 500 and found in ("bad_request", "refused"):
        return verdict
    if answer.status in (401, 403, 429):
        return verdict
    wait_s = retry_after_s(answer) if found in ("throttled", "vendor_fault") else None
    return Verdict(found, verdict.note, retry_after_s=wait_s)


def _of_resources(resources: list[dict[str, Any]]) -> Verdict:
    guided = [guidance(one).status for one in typed(resources, "GuidanceResponse")]
    for status, verdict in _GUIDED.items():
        if status in guided:
            return verdict
    assessed = [risk_assessment(one) for one in typed(resources, "RiskAssessment")]
    if guided or assessed:
        unready = any(one.status in ("registered", "unknown") for one in assessed)
        return Verdict("partial", "an assessment is not ready") if unready else Verdict("ok")
    found = issue_class(resources)
    if found is not None:
        return Verdict(found, "an outcome with status 200")
    return Verdict("protocol_broken", "neither an assessment nor guidance")


def parse_findings(tool: Tool, ask: Ask | None, answer: VendorAnswer) -> Parsed:
    """Read risks and recommendations. Raises VendorProtocolBroken."""
    resources = resources_of(json_object(answer))
    mapping, version = answer_of(tool), device_version(resources)
    if mapping.pin and version not in mapping.model_versions:
        raise VendorProtocolBroken("another model version answered than the pinned one")
    verdict = _of_resources(resources)
    if verdict.answer_class not in ("ok", "partial"):
        raise VendorProtocolBroken(verdict.note)
    found = list(findings_of(tool, mapping, resources, version, ask.as_of if ask else None))
    notes = [*version_notes(version, mapping.model_versions)]
    if not found:
        notes.append("the service had nothing to say, which is not an absent finding")
    completeness: Completeness = "partial" if verdict.answer_class == "partial" else "full"
    return Parsed(
        findings=marked(found, completeness),
        echoes=tuple(bare_reference(one) for one in patient_references(resources[0])),
        model_version=version,
        completeness=completeness,
        notes=tuple(notes),
    )
