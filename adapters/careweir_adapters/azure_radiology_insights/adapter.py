"""Azure Radiology Insights: one report a job that we name, so that putting it again is safe.

Source: azure-healthinsights-radiologyinsights 1.1.0, api-version 2024-10-01.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from careweir_adapters.azure_radiology_insights.inferences import NoFollowUp, NotRead, read
from careweir_adapters.azure_radiology_insights.mapping import JOBS, answer_of, check, request_of
from careweir_adapters.azure_radiology_insights.wire import (
    Inference,
    Job,
    inferences,
    job_of,
    state_of,
)
from careweir_fhir.model import Coding, Completeness, Finding
from careweir_kit.adapter import Ask, Parsed, VendorAnswer, VendorRequest, Verdict
from careweir_kit.classify import retry_after_s, verdict_of_parsed, verdict_of_status
from careweir_kit.errors import VendorProtocolBroken
from careweir_kit.mapping import marked, version_notes
from careweir_kit.payload import (
    bare_reference,
    codings,
    patient_gender,
    resources,
)
from careweir_kit.reports import ReportText, needed_report, newest_report
from careweir_kit.tool import Tool

_TAKEN: Final = frozenset({200, 201, 202})
_BROKEN: Final = "a part of the inferences could not be read"
_NONE_ARRANGED: Final = "the report says that no follow-up was arranged"


def check_tool(tool: Tool) -> None:
    """Refuse a tool file whose mapping cannot be used. Raises ToolFileInvalid."""
    check(tool)


def build_request(tool: Tool, ask: Ask) -> VendorRequest:
    """One job for the newest report, named by the request id. Raises InputsMissing."""
    mapping = request_of(tool)
    report = needed_report(ask, preliminary=mapping.preliminary)
    gender = patient_gender(ask.payload)
    document = {
        "type": "note",
        "clinicalType": "radiologyReport",
        "specialtyType": "radiology",
        "id": "report",
        "language": mapping.locale[:2],
        "content": {"sourceType": "inline", "value": report.text},
        "administrativeMetadata": {"orderedProcedures": _ordered(ask, report)},
    }
    patient: dict[str, Any] = {"id": ask.subject, "patientDocuments": [document]}
    if gender is not None:
        patient["details"] = {"sex": gender if gender in ("male", "female") else "unspecified"}
    configuration = {
        "verbose": False,
        "includeEvidence": False,
        "inferenceTypes": list(mapping.kinds),
        "locale": mapping.locale,
    }
    body = {"jobData": {"patients": [patient], "configuration": configuration}}
    headers = {"content-type": "application/json", "accept": "application/json"}
    without = () if gender else ("sex: not in the chart",)
    return VendorRequest(
        "PUT", _place(tool, ask.request_id), orjson.dumps(body), headers, without=without
    )


def _ordered(ask: Ask, report: ReportText) -> list[dict[str, Any]]:
    """What was ordered: the codes of the report itself."""
    kind, _, name = report.reference.partition("/")
    for resource in resources(ask.payload, kind):
        if resource.get("id", "") == name:
            listed = [{"system": s, "code": c} for s, c in codings(resource.get("code"))]
            return [{"code": {"coding": listed}}] if listed else []
    return []


def _place(tool: Tool, name: str) -> str:
    return f"{JOBS}/{name}?api-version={request_of(tool).api_version}"


def classify_answer(tool: Tool, answer: VendorAnswer) -> Verdict:
    """Say what kind of answer this is; never raises."""
    taken = answer.status in _TAKEN
    verdict = verdict_of_status(_as_ok(answer) if taken else answer)
    if verdict.answer_class != "ok":
        return verdict
    try:
        job = job_of(answer)
        match state_of(job):
            case "waiting":
                headers = {"accept": "application/json"}
                again = VendorRequest("GET", _place(tool, job.id), headers=headers)
                wait_s = retry_after_s(answer)
                return Verdict("pending", "the job runs", wait_s, follow_up=again)
            case "failed":
                return _of_failure(job)
            case "stopped":
                return Verdict("vendor_fault", "the job was cancelled")
            case "unknown":
                return Verdict("protocol_broken", "a job in a state that is not known")
            case "done":
                parsed = parse_findings(tool, None, answer)
    except VendorProtocolBroken as broken:
        return Verdict("protocol_broken", str(broken))
    return verdict_of_parsed(parsed)


def _as_ok(answer: VendorAnswer) -> VendorAnswer:
    return VendorAnswer(200, answer.headers, answer.body)


def _of_failure(job: Job) -> Verdict:
    if job.error is not None and job.error.code.startswith("Invalid"):
        return Verdict("bad_request", "the job failed on what was sent")
    return Verdict("vendor_fault", "the job failed")


def parse_findings(tool: Tool, ask: Ask | None, answer: VendorAnswer) -> Parsed:
    """Read the inferences of a finished job. Raises VendorProtocolBroken."""
    job, mapping = job_of(answer), answer_of(tool)
    if state_of(job) != "done" or job.result is None:
        raise VendorProtocolBroken("a job that did not come to its end")
    request = request_of(tool)
    report = ask and newest_report(ask.payload, as_of=ask.as_of, preliminary=request.preliminary)
    version = job.result.modelVersion
    base = Finding(
        tool=tool.tool,
        tool_version=version,
        kind="assertion",
        code=Coding(),
        effective=report.effective if report else None,
    )
    findings: list[Finding] = []
    cuts: list[str] = []
    notes: list[str] = []
    for patient in job.result.patientResults:
        listed, broken = inferences(patient)
        cuts += [_BROKEN] * bool(broken)
        for one in listed:
            findings += _read(base, one, mapping.known, cuts, notes)
    completeness: Completeness = "partial" if cuts else "full"
    return Parsed(
        findings=marked(findings, completeness),
        echoes=tuple(bare_reference(one.patientId) for one in job.result.patientResults),
        model_name="Radiology Insights",
        model_version=version,
        completeness=completeness,
        notes=(*dict.fromkeys([*cuts, *notes]), *version_notes(version, mapping.model_versions)),
    )


def _read(
    base: Finding, one: Inference, known: dict[tuple[str, str], str | None],
    cuts: list[str], notes: list[str],
) -> list[Finding]:  # fmt: skip
    """The findings of one inference; what is not carried on is added to cuts or notes."""
    try:
        return list(read(base, one, known))
    except NoFollowUp:
        notes.append(_NONE_ARRANGED)
    except NotRead as reason:
        cuts.append(str(reason))
    return []
