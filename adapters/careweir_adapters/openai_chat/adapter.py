"""Chat completions with a JSON schema: a report's text goes out, labelled quotes come in.

The order of checks follows what a reader of the answer may trust: a cut answer is not read, a
filtered or refused one has no findings, and only then is the content decoded and checked.

Source: openai/openai-openapi, openapi.json.
"""

from __future__ import annotations

from typing import Final

import orjson

from careweir_adapters.openai_chat.mapping import answer_of, check, request_of
from careweir_adapters.openai_chat.wire import (
    Item,
    completion_of,
    content_of,
    error_code,
    findings_schema,
)
from careweir_fhir.model import Coding, Completeness, Finding, Laterality, Span
from careweir_kit.adapter import Ask, Parsed, VendorAnswer, VendorRequest, Verdict
from careweir_kit.classify import verdict_of_status
from careweir_kit.errors import InputsMissing, VendorProtocolBroken
from careweir_kit.mapping import marked, version_notes
from careweir_kit.payload import bare_reference, newest_report
from careweir_kit.tool import Tool

# The last two are what TGI writes where others write ``stop``.
_FINISHED: Final = frozenset({"stop", "eos_token", "stop_sequence"})
_SIDES: Final[dict[str, Laterality]] = {"left": "left", "right": "right", "both": "bilateral"}


def check_tool(tool: Tool) -> None:
    """Refuse a tool file whose mapping cannot be used. Raises ToolFileInvalid."""
    check(tool)


def build_request(tool: Tool, ask: Ask) -> VendorRequest:
    """One completion over the newest report. Raises InputsMissing when there is no text."""
    mapping = request_of(tool)
    report = newest_report(ask.payload, as_of=ask.as_of, preliminary=mapping.preliminary)
    if report is None:
        raise InputsMissing(("report text: not in the chart",))
    echo = ask.subject if tool.subject_echo == "required" else None
    question = {"report": report.text} if echo is None else {"subject": echo, "report": report.text}
    schema = {"name": "findings", "strict": True, "schema": findings_schema(echo)}
    body = {
        "model": mapping.model,
        "temperature": 0,
        mapping.tokens_key: mapping.tokens_max,
        "messages": [
            {"role": "system", "content": mapping.system_prompt},
            {"role": "user", "content": orjson.dumps(question).decode()},
        ],
        "response_format": {"type": "json_schema", "json_schema": schema},
    }
    if mapping.send_store:
        body["store"] = False
    headers = {"content-type": "application/json", "accept": "application/json"}
    return VendorRequest("POST", mapping.path, orjson.dumps(body), headers)


def classify_answer(tool: Tool, answer: VendorAnswer) -> Verdict:
    """Say what kind of answer this is; never raises."""
    verdict = verdict_of_status(answer)
    if verdict.answer_class == "ok":
        return _of_body(answer)
    code = error_code(answer)
    if code == "insufficient_quota":
        return Verdict("unauthorised", "the quota of our account is used up")
    if code in ("content_filter", "content_policy_violation"):
        return Verdict("refused", "the service declined the text")
    return verdict


def _of_body(answer: VendorAnswer) -> Verdict:
    try:
        completion = completion_of(answer)
        choice = completion.choices[0]
        if choice.finish_reason == "length":
            return Verdict("partial", "the answer was cut at its length limit")
        if choice.finish_reason == "content_filter":
            return Verdict("refused", "the service filtered the answer")
        if choice.message.refusal:
            return Verdict("refused", "the model declined")
        if choice.finish_reason not in _FINISHED:
            return Verdict("protocol_broken", "the answer did not come to its end")
        content_of(completion)
    except VendorProtocolBroken as broken:
        return Verdict("protocol_broken", str(broken))
    return Verdict("ok")


def parse_findings(tool: Tool, ask: Ask | None, answer: VendorAnswer) -> Parsed:
    """Read findings and check each quote against the text. Raises VendorProtocolBroken."""
    completion = completion_of(answer)
    if completion.choices[0].finish_reason == "length":
        note = "the answer was cut at its length limit and was not read"
        return Parsed((), model_version=completion.model, completeness="partial", notes=(note,))

    content = content_of(completion)
    mapping = request_of(tool)
    report = ask and newest_report(ask.payload, as_of=ask.as_of, preliminary=mapping.preliminary)
    text = report.text if report else None
    effective = report.effective if report else None
    notes = [*version_notes(completion.model, answer_of(tool).model_versions)]
    notes += [] if report else ["no source text: quotes could not be checked"]
    findings = []
    for item in content.findings:
        span, note = _ground(item, text)
        if note:
            notes.append(note)
        if text is None or span is not None or note == _AMBIGUOUS:
            findings.append(_finding(tool, item, span, completion.model, effective))
    held = len(content.findings) - len(findings)
    completeness: Completeness = "partial" if held else "full"
    return Parsed(
        findings=marked(findings, completeness),
        echoes=(bare_reference(content.subject),) if content.subject is not None else (),
        model_name=mapping.model,
        model_version=completion.model,
        completeness=completeness,
        notes=tuple(notes),
    )


_AMBIGUOUS: Final = "a quote occurs more than once in the text; its place is not given"
_UNGROUNDED: Final = "a finding was held back: its quote is not in the text"


def _ground(item: Item, text: str | None) -> tuple[Span | None, str]:
    """Where the quote stands, exactly and once, in code points; else a note."""
    if text is None:
        return None, ""
    start = text.find(item.quote) if item.quote.strip() else -1
    if start < 0:
        return None, _UNGROUNDED
    if text.find(item.quote, start + 1) >= 0:
        return None, _AMBIGUOUS
    return Span(start=start, end=start + len(item.quote), text=item.quote), ""


def _finding(
    tool: Tool, item: Item, span: Span | None, version: str, effective: str | None
) -> Finding:
    code = answer_of(tool).labels.get(item.label.strip().lower())
    return Finding(
        tool=tool.tool,
        tool_version=version,
        kind="assertion",
        code=code or Coding(display=item.label),
        polarity="present" if item.present else "absent",
        laterality=_SIDES.get(item.side),
        span=span,
        effective=effective,
        verified=code is not None,
    )
