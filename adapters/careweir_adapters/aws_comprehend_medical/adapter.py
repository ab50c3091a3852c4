"""AWS Comprehend Medical over JSON 1.1: one text a call, signed by the transport.

Source: boto/botocore, comprehendmedical 2018-10-30 service-2.json.
"""

from __future__ import annotations

from typing import Final

import orjson

from careweir_adapters.aws_comprehend_medical.entities import findings_of
from careweir_adapters.aws_comprehend_medical.mapping import answer_of, check, request_of
from careweir_adapters.aws_comprehend_medical.wire import (
    CLASS_OF_ERROR,
    detected,
    error_name,
    readable,
)
from careweir_fhir.model import Coding, Completeness, Finding
from careweir_kit.adapter import Ask, Parsed, VendorAnswer, VendorRequest, Verdict
from careweir_kit.classify import class_of_status, is_json, retry_after_s
from careweir_kit.errors import VendorProtocolBroken
from careweir_kit.mapping import marked, version_notes
from careweir_kit.reports import needed_report, newest_report
from careweir_kit.tool import Tool

AMZ_JSON: Final = "application/x-amz-json-1.1"
_MORE: Final = "the answer names a next page that is not asked for"
_BROKEN: Final = "a part of the entities could not be read"
_CUTS: Final = frozenset({_MORE, _BROKEN})


def check_tool(tool: Tool) -> None:
    """Refuse a tool file whose mapping cannot be used. Raises ToolFileInvalid."""
    check(tool)


def build_request(tool: Tool, ask: Ask) -> VendorRequest:
    """One operation over the newest report. Raises InputsMissing."""
    mapping = request_of(tool)
    report = needed_report(
        ask, preliminary=mapping.preliminary, characters_max=mapping.facts.characters_max
    )
    headers = {
        "content-type": AMZ_JSON,
        "x-amz-target": f"ComprehendMedical_20181030.{mapping.operation}",
    }
    return VendorRequest("POST", "", orjson.dumps({"Text": report.text}), headers)


def classify_answer(tool: Tool, answer: VendorAnswer) -> Verdict:
    """Say what kind of answer this is; never raises. An error's name goes before its status."""
    found = class_of_status(answer.status)
    if answer.status >= 400:
        found = CLASS_OF_ERROR.get(error_name(answer), found)
    if found != "ok":
        wait_s = _wait_s(answer) if found in ("throttled", "vendor_fault") else None
        return Verdict(found, f"HTTP status {answer.status}", retry_after_s=wait_s)
    if not is_json(answer) and answer.content_type != AMZ_JSON:
        return Verdict("protocol_broken", "the content type is not JSON")
    try:
        parsed = parse_findings(tool, None, answer)
    except VendorProtocolBroken as broken:
        return Verdict("protocol_broken", str(broken))
    cuts = [note for note in parsed.notes if note in _CUTS]
    return Verdict("partial", "; ".join(cuts)) if cuts else Verdict("ok")


def _wait_s(answer: VendorAnswer) -> float | None:
    """The standard forms, else ``x-amz-retry-after`` in milliseconds."""
    standard = retry_after_s(answer)
    raw = answer.headers.get("x-amz-retry-after", "")
    return int(raw) / 1000 if standard is None and raw.isdecimal() and len(raw) < 9 else standard


def parse_findings(tool: Tool, ask: Ask | None, answer: VendorAnswer) -> Parsed:
    """Read the entities of an answer. Raises VendorProtocolBroken."""
    found, mapping, request = detected(answer), answer_of(tool), request_of(tool)
    entities, broken = readable(found)
    report = ask and newest_report(ask.payload, as_of=ask.as_of, preliminary=request.preliminary)
    base = Finding(
        tool=tool.tool,
        tool_version=found.ModelVersion,
        kind="assertion",
        code=Coding(),
        effective=report.effective if report else None,
    )
    text = report.text if report else None
    if text is not None and entities and not any(entity.Text in text for entity in entities):
        raise VendorProtocolBroken("no entity of the answer stands in the text that was sent")
    placed = list(findings_of(base, mapping, request.facts, entities, text))
    cuts = [_MORE] * bool(found.PaginationToken) + [_BROKEN] * bool(broken)
    lost = any(not stands for _, stands in placed)
    notes = ["a place in the text was dropped: its words stand elsewhere"] * lost
    notes += [] if report else ["no source text: places could not be checked"]
    completeness: Completeness = "partial" if cuts else "full"
    return Parsed(
        findings=marked((finding for finding, _ in placed), completeness),
        model_name=request.operation,
        model_version=found.ModelVersion,
        completeness=completeness,
        notes=(*cuts, *notes, *version_notes(found.ModelVersion, mapping.model_versions)),
    )
