"""Azure Text Analytics for Health: one document a job; the job is polled on our own endpoint.

Source: Azure/azure-rest-api-specs, AnalyzeText 2023-04-01 and TextAnalytics v3.1 (health).
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import orjson

from careweir_adapters.azure_ta4h.entities import findings_of
from careweir_adapters.azure_ta4h.mapping import answer_of, check, request_of
from careweir_adapters.azure_ta4h.wire import JOB_ID, Job, job_of, readable
from careweir_fhir.model import Coding, Completeness, Finding
from careweir_kit.adapter import Ask, Parsed, VendorAnswer, VendorRequest, Verdict
from careweir_kit.classify import is_json, retry_after_s, verdict_of_status
from careweir_kit.errors import VendorProtocolBroken
from careweir_kit.mapping import marked, version_notes
from careweir_kit.payload import bare_reference
from careweir_kit.reports import needed_report, newest_report
from careweir_kit.tool import Tool

_WAITING: Final = frozenset({"notstarted", "running", "cancelling"})
_WHOLE: Final = frozenset({"succeeded"})
_IN_PART: Final = frozenset({"partiallycompleted", "partiallysucceeded"})
_OUR_FAULT: Final = frozenset({"InvalidRequest", "InvalidArgument", "InvalidDocument"})


def check_tool(tool: Tool) -> None:
    """Refuse a tool file whose mapping cannot be used. Raises ToolFileInvalid."""
    check(tool)


def build_request(tool: Tool, ask: Ask) -> VendorRequest:
    """One job for the newest report, named by the pseudonym. Raises InputsMissing."""
    mapping = request_of(tool)
    report = needed_report(
        ask, preliminary=mapping.preliminary, characters_max=mapping.characters_max
    )
    documents = [{"id": ask.subject, "language": mapping.language, "text": report.text}]
    body: dict[str, Any] = {"documents": documents}
    query = {"api-version": mapping.api_version}
    if mapping.dialect == "language":
        parameters = {
            "modelVersion": mapping.model_version,
            "stringIndexType": "UnicodeCodePoint",
            "loggingOptOut": True,  # the service would keep the text otherwise
        }
        task = {"kind": "Healthcare", "taskName": ask.request_id, "parameters": parameters}
        body = {"analysisInput": body, "tasks": [task]}
    else:
        query = {
            "model-version": mapping.model_version,
            "stringIndexType": "UnicodeCodePoint",
            "loggingOptOut": "true",
        }
    headers = {"content-type": "application/json", "accept": "application/json"}
    path = f"{mapping.path}?{urlencode(query)}"
    return VendorRequest("POST", path, orjson.dumps(body), headers)


def classify_answer(tool: Tool, answer: VendorAnswer) -> Verdict:
    """Say what kind of answer this is; never raises."""
    if answer.status == 202:
        return _of_submission(tool, answer)
    verdict = verdict_of_status(answer)
    if verdict.answer_class != "ok":
        return verdict
    try:
        job = job_of(answer)
        status = job.status.lower()
        if status in _WAITING:
            return _ask_again(tool, job.jobId, answer)
        if status not in _WHOLE | _IN_PART:
            return _of_failure(job, status)
        parsed = parse_findings(tool, None, answer)
    except VendorProtocolBroken as broken:
        return Verdict("protocol_broken", str(broken))
    if parsed.completeness == "partial":
        return Verdict("partial", "; ".join(note for note in parsed.notes if note in _CUTS))
    return Verdict("ok")


def _of_submission(tool: Tool, answer: VendorAnswer) -> Verdict:
    """The job's name is all that is taken from the announced address.

    The key goes with every request, so a job is only ever asked for at the configured endpoint; an
    address on a host that the tool file does not name is refused, since that job is not there.
    """
    if answer.body.strip() and not is_json(answer):
        return Verdict("protocol_broken", "the content type is not JSON")
    try:
        place = urlsplit(answer.headers.get("operation-location", ""))
        host = place.hostname
    except ValueError:
        return Verdict("protocol_broken", "the job has no readable address")
    known = {urlsplit(url).hostname for urls in tool.endpoints.values() for url in urls}
    if host is not None and host not in known | set(answer_of(tool).operation_hosts):
        return Verdict("protocol_broken", "the job is announced on another host")
    above, _, name = place.path.rstrip("/").rpartition("/")
    if not above.endswith("/" + request_of(tool).path) or not JOB_ID.fullmatch(name):
        return Verdict("protocol_broken", "taken, without the address of a job")
    return _ask_again(tool, name, answer)


def _ask_again(tool: Tool, name: str, answer: VendorAnswer) -> Verdict:
    mapping = request_of(tool)
    query = "" if mapping.dialect == "v3.1" else f"?api-version={mapping.api_version}"
    again = VendorRequest(
        "GET", f"{mapping.path}/{name}{query}", headers={"accept": "application/json"}
    )
    return Verdict("pending", "the job runs", retry_after_s(answer), follow_up=again)


def _of_failure(job: Job, status: str) -> Verdict:
    if status == "failed":
        if job.errors and all(error.code in _OUR_FAULT for error in job.errors):
            return Verdict("bad_request", "the job failed on what was sent")
        return Verdict("vendor_fault", "the job failed")
    if status in ("cancelled", "canceled"):
        return Verdict("vendor_fault", "the job was cancelled")
    return Verdict("protocol_broken", "a job in a state that is not known")


def parse_findings(tool: Tool, ask: Ask | None, answer: VendorAnswer) -> Parsed:
    """Read the entities of a finished job. Raises VendorProtocolBroken."""
    job, mapping = job_of(answer), answer_of(tool)
    if job.status.lower() not in _WHOLE | _IN_PART:
        raise VendorProtocolBroken("a job that did not come to its end")
    if not job.parts:
        raise VendorProtocolBroken("a job without results")
    request = request_of(tool)
    report = ask and newest_report(ask.payload, as_of=ask.as_of, preliminary=request.preliminary)
    versions = {part.modelVersion for part in job.parts}
    version = versions.pop() if len(versions) == 1 else None
    base = Finding(
        tool=tool.tool,
        tool_version=version or tool.version,
        kind="assertion",
        code=Coding(),
        effective=report.effective if report else None,
    )
    notes, findings = _cuts(job), list[Finding]()
    echoes: list[str] = []
    for part in job.parts:
        echoes += [document.id for document in part.documents]
        echoes += [failed.id for failed in part.errors]
        for at, document in enumerate(part.documents):
            found = readable(document)
            notes += [_BROKEN] * bool(found.broken)
            placed = list(findings_of(base, mapping, found, at, report.text if report else None))
            findings += [finding for finding, _ in placed]
            lost = sum(not stands for _, stands in placed)
            notes += ["a place in the text was dropped: its words stand elsewhere"] * bool(lost)
    completeness: Completeness = "partial" if any(note in _CUTS for note in notes) else "full"
    checks = [] if report else ["no source text: places could not be checked"]
    return Parsed(
        findings=marked(findings, completeness),
        echoes=tuple(map(bare_reference, echoes)),
        model_name="Text Analytics for Health",
        model_version=version,
        completeness=completeness,
        notes=(*dict.fromkeys(notes), *checks, *version_notes(version, mapping.model_versions)),
    )


_FAILED: Final = "the service could not read a document"
_WARNED: Final = "the service warns about a document, as when it cuts one"
_MORE: Final = "the job came in part"
_BROKEN: Final = "a part of the document's entities could not be read"
_CUTS: Final = frozenset({_FAILED, _WARNED, _MORE, _BROKEN})


def _cuts(job: Job) -> list[str]:
    """Why this answer is not whole, in our words; nothing when it is."""
    said = []
    if job.cut or job.status.lower() in _IN_PART:
        said.append(_MORE)
    if any(part.errors for part in job.parts):
        said.append(_FAILED)
    if any(document.warnings for part in job.parts for document in part.documents):
        said.append(_WARNED)
    return said
