"""HL7 v2 over HTTP: a report's text goes out as ORU^R01; results come back at once or are pushed.

Source: HL7 v2.5.1 chapters 2 and 7; HL7/v2-to-fhir, ORU_R01; HAPI "HL7 over HTTP" for the
transport (``application/hl7-v2``).
"""

from __future__ import annotations

from typing import Final

from careweir_adapters.hl7v2_oru.er7 import Message, escaped, read, sender_of, written
from careweir_adapters.hl7v2_oru.mapping import Answer, answer_of, check, request_of
from careweir_adapters.hl7v2_oru.results import read_results
from careweir_adapters.hl7v2_oru.times import moment_of, stamp_of
from careweir_adapters.hl7v2_oru.values import model_of
from careweir_fhir.model import Completeness
from careweir_kit.adapter import Ask, Parsed, VendorAnswer, VendorRequest, Verdict
from careweir_kit.classify import class_of_status, retry_after_s, verdict_of_parsed
from careweir_kit.errors import VendorProtocolBroken
from careweir_kit.mapping import marked, version_notes
from careweir_kit.payload import bare_reference
from careweir_kit.push import STATUS_OF_RECEIPT, Binding, Push, Pushed, PushReply, Receipt
from careweir_kit.reports import needed_report
from careweir_kit.tool import Tool

HL7: Final = "application/hl7-v2"
_READABLE: Final = frozenset({"", HL7, "x-application/hl7-v2+er7", "text/plain"})
# MSA-1 of what we reply: accepted, our error (send it again), rejected.
_ACKNOWLEDGED: Final[dict[Receipt, str]] = {
    "accepted": "AA",
    "failed": "AE",
    "rejected": "AR",
    "broken": "AR",
}


def check_tool(tool: Tool) -> None:
    """Refuse a tool file whose mapping cannot be used. Raises ToolFileInvalid."""
    check(tool)


def build_request(tool: Tool, ask: Ask) -> VendorRequest:
    """One ORU^R01 with the text of the newest report. Raises InputsMissing."""
    mapping = request_of(tool)
    report = needed_report(ask, preliminary=mapping.preliminary)
    stamp = stamp_of(ask.as_of)
    ends = [*map(escaped, mapping.sending), *map(escaped, mapping.receiving)]
    segments = [
        ["MSH", "^~\\&", *ends, stamp, "", "ORU^R01^ORU_R01", escaped(ask.request_id), "P", "2.7"]
        + [""] * 5 + ["UNICODE UTF-8"],
        ["PID", "1", "", f"{escaped(ask.subject)}^^^CAREWEIR^PI"],
        ["OBR", "1", escaped(ask.request_id), "", "18748-4^Diagnostic imaging study^LN"]
        + [""] * 2 + [stamp_of(report.effective or "")],
    ]  # fmt: skip
    code = "18748-4^Diagnostic imaging study^LN"
    segments += [
        ["OBX", str(at), "TX", code, "1", escaped(line)] + [""] * 5 + ["F"]
        for at, line in enumerate(report.text.splitlines() or [report.text], start=1)
    ]
    headers = {"content-type": f"{HL7}; charset=utf-8", "accept": HL7}
    return VendorRequest("POST", mapping.path, written(segments), headers, accept=(HL7,))


def classify_answer(tool: Tool, answer: VendorAnswer) -> Verdict:
    """Say what kind of answer this is; never raises."""
    found = class_of_status(answer.status)
    if found != "ok" and answer.status != 202:
        wait_s = retry_after_s(answer) if found in ("throttled", "vendor_fault") else None
        return Verdict(found, f"HTTP status {answer.status}", retry_after_s=wait_s)
    if answer.content_type not in _READABLE:
        return Verdict("protocol_broken", "the content type is not HL7 v2")
    try:
        message = _message(tool, answer.body)
        if message.kind.partition("^")[0] == "ACK":
            return _of_acknowledgement(message)
        parsed = _parsed(tool, message)
    except VendorProtocolBroken as broken:
        return Verdict("protocol_broken", str(broken))
    return verdict_of_parsed(parsed)


def _of_acknowledgement(message: Message) -> Verdict:
    """MSA-1: accepted means that the results are pushed later; ERR-3 is of HL7 table 0357."""
    msa = next(message.named("MSA"), None)
    said = msa.part(1) if msa else ""
    if said in ("AA", "CA"):
        return Verdict("pending", "taken; the results come later by themselves")
    error = next((segment.part(3) for segment in message.named("ERR")), "")
    if said in ("AE", "CE", "AR", "CR"):
        if error == "207":
            return Verdict("vendor_fault", "the receiver reports an internal error")
        if said in ("AR", "CR") and not error:
            return Verdict("refused", "the receiver rejects the message")
        return Verdict("bad_request", "the receiver reports an error in the message")
    return Verdict("protocol_broken", "an acknowledgement that says nothing known")


def parse_findings(tool: Tool, ask: Ask | None, answer: VendorAnswer) -> Parsed:
    """Read the results of one ORU^R01. Raises VendorProtocolBroken."""
    return _parsed(tool, _message(tool, answer.body))


def parse_push(tool: Tool, push: Push) -> Pushed:
    """Read results that the sender delivers by itself. Raises VendorProtocolBroken."""
    if push.as_answer.content_type not in _READABLE:
        raise VendorProtocolBroken("the content type is not HL7 v2")
    message = _message(tool, push.body)
    control = message.header.part(10)
    if not control:
        raise VendorProtocolBroken("the message has no control id")
    placed = {obr.part(2) for obr in message.named("OBR")} - {""}
    sender = sender_of(message)
    binding = Binding(
        message_id=f"{sender or ''}/{control}",
        request_id=placed.pop() if len(placed) == 1 else None,
        sender=sender,
        sent_at=moment_of(message.header.part(7), answer_of(tool).utc_offset),
    )
    return Pushed(_parsed(tool, message), binding)


def acknowledge(tool: Tool, push: Push, receipt: Receipt) -> PushReply:
    """ACK with the sender's control id, as far as the message could be read; never raises."""
    control, version, back = "", "2.5.1", ["", ""]
    try:
        header = read(push.body).header
        control, version = header.part(10), header.part(12) or version
        back = [header.part(3), header.part(4)]
    except VendorProtocolBroken:
        receipt = "broken"
    ends = [*request_of(tool).sending, *back]
    said = [f"ACK{control}"[:20], "P", version]
    segments = [
        ["MSH", "^~\\&", *map(escaped, ends), *("", "", "ACK^R01^ACK"), *map(escaped, said)],
        ["MSA", _ACKNOWLEDGED[receipt], escaped(control)],
    ]
    return PushReply(STATUS_OF_RECEIPT[receipt], written(segments), HL7)


def _message(tool: Tool, body: bytes) -> Message:
    """A message of the right sender, for the right use. Raises VendorProtocolBroken."""
    message, mapping = read(body), answer_of(tool)
    kind = message.kind
    if kind.partition("^")[0] == "ACK":
        return message
    if kind != "ORU^R01":
        raise VendorProtocolBroken("a message that is no observation result")
    if message.header.part(11) != mapping.processing:
        raise VendorProtocolBroken("a message for another use than this (MSH-11)")
    if mapping.sender is not None and message.header.part(3) != mapping.sender:
        raise VendorProtocolBroken("a message of another sender")
    return message


def _parsed(tool: Tool, message: Message) -> Parsed:
    if message.kind != "ORU^R01":
        raise VendorProtocolBroken("a message that is no observation result")
    mapping = answer_of(tool)
    found = read_results(tool, mapping, message)
    models = {model_of(obx) for obx in message.named("OBX")} - {(None, None)}
    name, version = models.pop() if len(models) == 1 else (None, None)
    completeness: Completeness = "partial" if found.held else "full"
    return Parsed(
        findings=marked(found.findings, completeness),
        echoes=tuple(_echoes(mapping, message)),
        model_name=name,
        model_version=version,
        completeness=completeness,
        notes=(*found.held, *version_notes(version, mapping.model_versions)),
    )


def _echoes(mapping: Answer, message: Message) -> list[str]:
    """Every patient that a PID-3 names: of the configured authority, where there is one."""
    found = []
    for pid in message.named("PID"):
        for repetition in pid.repetitions(3):
            parts = [*pid.parts(repetition), "", "", ""]
            wanted = mapping.patient_authority
            if parts[0].strip() and wanted in (None, parts[3].strip()):
                found.append(bare_reference(parts[0].strip()))
    return found
