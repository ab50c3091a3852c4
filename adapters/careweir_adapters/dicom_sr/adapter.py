"""DICOM structured reports: searched by pseudonym, fetched as metadata, or pushed.

Source: DICOM PS3.18 (QIDO-RS, WADO-RS, STOW-RS), PS3.16 TID 1500.
"""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import quote, urlencode

from careweir_adapters.dicom_sr.mapping import answer_of, check, request_of
from careweir_adapters.dicom_sr.model import UID, Dataset, datasets, text_of, time_of, tree
from careweir_adapters.dicom_sr.report import algorithm_of, findings_of
from careweir_fhir.model import Coding, Completeness, Finding
from careweir_kit.adapter import Ask, Parsed, VendorAnswer, VendorRequest, Verdict
from careweir_kit.classify import is_json, verdict_of_parsed, verdict_of_status
from careweir_kit.errors import InputsMissing, VendorProtocolBroken
from careweir_kit.mapping import marked, version_notes
from careweir_kit.payload import bare_reference, resources
from careweir_kit.push import STATUS_OF_RECEIPT, Binding, Push, Pushed, PushReply, Receipt
from careweir_kit.tool import Tool

DICOM_JSON: Final = "application/dicom+json"
_STUDY, _SERIES, _INSTANCE, _CLASS = "0020000D", "0020000E", "00080018", "00080016"
_PATIENT, _ACCESSION = "00100020", "00080050"
_SR_CLASSES: Final = "1.2.840.10008.5.1.4.1.1.88."
_CUT: Final = "the report says that it is not complete"
# Failure reasons of PS3.4 (C000H cannot understand, 0110H processing failure).
_FAILURE: Final[dict[Receipt, int]] = {"broken": 0xC000, "rejected": 0xC000, "failed": 0x0110}


def check_tool(tool: Tool) -> None:
    """Refuse a tool file whose mapping cannot be used. Raises ToolFileInvalid."""
    check(tool)


def build_request(tool: Tool, ask: Ask) -> VendorRequest:
    """Search for this patient's reports, if there is a study at all. Raises InputsMissing."""
    if next(resources(ask.payload, "ImagingStudy"), None) is None:
        raise InputsMissing(("imaging study: not in the chart",))
    query = {"PatientID": ask.subject, "Modality": "SR", **request_of(tool).filters}
    headers = {"accept": DICOM_JSON}
    return VendorRequest(
        "GET",
        f"instances?{urlencode(query, quote_via=quote)}",
        headers=headers,
        accept=(DICOM_JSON,),
    )


def classify_answer(tool: Tool, answer: VendorAnswer) -> Verdict:
    """Say what kind of answer this is; never raises."""
    if answer.status == 204:
        return Verdict("pending", "there is no structured report yet")
    verdict = verdict_of_status(answer)
    if verdict.answer_class != "ok":
        return verdict
    try:
        found = datasets(answer)
        if not found:
            return Verdict("pending", "there is no structured report yet")
        if all(_is_hit(one) for one in found):
            return _of_search(found)
        parsed = parse_findings(tool, None, answer)
    except VendorProtocolBroken as broken:
        return Verdict("protocol_broken", str(broken))
    return verdict_of_parsed(parsed)


def _is_hit(dataset: Dataset) -> bool:
    """A result of a search: it names an instance and has no content."""
    return _INSTANCE in dataset and "0040A730" not in dataset and "0040A040" not in dataset


def _of_search(hits: list[Dataset]) -> Verdict:
    if len(hits) > 1:
        note = "more than one report matches: narrow the search by filters"
        return Verdict("bad_request", note)
    study, series, instance = (text_of(hits[0], tag) for tag in (_STUDY, _SERIES, _INSTANCE))
    if not all(UID.fullmatch(uid) for uid in (study, series, instance)):
        return Verdict("protocol_broken", "a report without its place")
    path = f"studies/{study}/series/{series}/instances/{instance}/metadata"
    again = VendorRequest("GET", path, headers={"accept": DICOM_JSON}, accept=(DICOM_JSON,))
    return Verdict("pending", "the report was found", 0.0, follow_up=again)


def parse_findings(tool: Tool, ask: Ask | None, answer: VendorAnswer) -> Parsed:
    """Read one structured report. Raises VendorProtocolBroken."""
    found = datasets(answer)
    if len(found) != 1:
        raise VendorProtocolBroken("not exactly one structured report")
    return _parsed(tool, found[0])


def _parsed(tool: Tool, report: Dataset) -> Parsed:
    sop_class = text_of(report, _CLASS)
    if sop_class and not sop_class.startswith(_SR_CLASSES):
        raise VendorProtocolBroken("an object that is no structured report")
    mapping = answer_of(tool)
    root = tree(report, local=f"urn:careweir:local:{tool.tool}")
    name, version = algorithm_of(root)
    base = Finding(
        tool=tool.tool,
        tool_version=version or tool.version,
        kind="assertion",
        code=Coding(),
        effective=time_of(report),
        status="preliminary" if text_of(report, "0040A493") == "UNVERIFIED" else None,
    )
    held: list[str] = []
    findings = list(findings_of(base, mapping, root, held))
    if not findings and not held:
        raise VendorProtocolBroken("a report without results that are read")
    held += [_CUT] * (text_of(report, "0040A491") == "PARTIAL")
    completeness: Completeness = "partial" if held else "full"
    patient = text_of(report, _PATIENT)
    return Parsed(
        findings=marked(findings, completeness),
        echoes=(bare_reference(patient),) if patient else (),
        model_name=name,
        model_version=version,
        completeness=completeness,
        notes=(*dict.fromkeys(held), *version_notes(version, mapping.model_versions)),
    )


def parse_push(tool: Tool, push: Push) -> Pushed:
    """Read a report that is sent by itself. Raises VendorProtocolBroken."""
    if not is_json(push.as_answer):
        raise VendorProtocolBroken("the content type is not DICOM JSON")
    found = datasets(push.as_answer)
    if len(found) != 1:
        raise VendorProtocolBroken("not exactly one structured report")
    name = text_of(found[0], _INSTANCE)
    if not UID.fullmatch(name):
        raise VendorProtocolBroken("a report without its instance UID")
    binding = Binding(
        message_id=name,
        request_id=text_of(found[0], _ACCESSION) or None,
        sender=text_of(found[0], "00080070") or None,
        sent_at=time_of(found[0]),
    )
    return Pushed(_parsed(tool, found[0]), binding)


def acknowledge(tool: Tool, push: Push, receipt: Receipt) -> PushReply:
    """The reply of a DICOMweb store; it repeats the UIDs of what was sent; never raises."""
    item: dict[str, Any] = {}
    try:
        sent = datasets(push.as_answer)
        for tag, own in ((_CLASS, "00081150"), (_INSTANCE, "00081155")):
            uid = text_of(sent[0], tag) if len(sent) == 1 else ""
            if UID.fullmatch(uid):
                item[own] = {"vr": "UI", "Value": [uid]}
    except VendorProtocolBroken:
        receipt = "broken"
    if receipt == "accepted":
        body = {"00081199": {"vr": "SQ", "Value": [item]}}
    else:
        item["00081197"] = {"vr": "US", "Value": [_FAILURE[receipt]]}
        body = {"00081198": {"vr": "SQ", "Value": [item]}}
    return PushReply(STATUS_OF_RECEIPT[receipt], json.dumps(body).encode(), DICOM_JSON)
