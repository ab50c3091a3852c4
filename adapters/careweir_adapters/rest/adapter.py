"""A vendor's own JSON API by a tool file alone: templates out, JMESPath in.

Source: JMESPath specification, https://jmespath.org; the vendor's document is named in each tool
file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from careweir_adapters.rest.expression import find, holds
from careweir_adapters.rest.extract import Reader
from careweir_adapters.rest.inputs import values_of
from careweir_adapters.rest.mapping import (
    Answer,
    Poll,
    Rule,
    TextInput,
    answer_of,
    check,
    request_of,
)
from careweir_adapters.rest.template import filled, path_of
from careweir_fhir.model import Finding
from careweir_kit.adapter import Ask, Parsed, VendorAnswer, VendorRequest, Verdict
from careweir_kit.classify import is_json, verdict_of_status
from careweir_kit.errors import InputsMissing, VendorProtocolBroken
from careweir_kit.mapping import marked, version_notes
from careweir_kit.payload import bare_reference
from careweir_kit.reports import newest_report
from careweir_kit.strict_json import JsonRefused, decode
from careweir_kit.tool import Tool

_USABLE: Final = frozenset({"ok", "partial", "pending"})
_SECONDS: Final = re.compile(r"(\d{1,6}(?:\.\d{1,9})?)s?")
_TAKEN: Final = re.compile(r"[A-Za-z0-9._:~-]{1,200}")
_JSON_HEADERS: Final = {"content-type": "application/json", "accept": "application/json"}


def check_tool(tool: Tool) -> None:
    """Refuse a tool file whose mapping cannot be used. Raises ToolFileInvalid."""
    check(tool)


def build_request(tool: Tool, ask: Ask) -> VendorRequest:
    """Fill the templates from the minimised chart. Raises InputsMissing."""
    request = request_of(tool)
    values, missing = values_of(request, ask)
    headers = filled(dict(request.headers), values)
    if not all(str(value).isprintable() for value in headers.values()):
        raise InputsMissing(("a header cannot carry its value",))
    body = b"" if request.body is None else orjson.dumps(filled(request.body, values))
    own = _JSON_HEADERS if body else {"accept": "application/json"}
    return VendorRequest(
        request.method,
        path_of(request.path, values),
        body,
        {**own, **{name: str(value) for name, value in headers.items()}},
        without=missing,
    )


def classify_answer(tool: Tool, answer: VendorAnswer) -> Verdict:
    """By the tool file's rules first, then by status and by what can be read; never raises."""
    verdict = verdict_of_status(answer)
    if 200 <= answer.status < 300 and (not answer.body.strip() or not is_json(answer)):
        return verdict
    root, refused = _decoded(answer)
    if refused is None:
        ruled = _by_rule(tool, answer, root, verdict)
        if ruled is not None:
            return ruled
    if verdict.answer_class != "ok":
        return verdict
    try:
        parsed = _parsed(tool, None, answer)
    except VendorProtocolBroken as broken:
        return Verdict("protocol_broken", str(broken))
    return Verdict("partial", "more would follow") if parsed.completeness == "partial" else verdict


def _decoded(answer: VendorAnswer) -> tuple[Any, str | None]:
    try:
        return decode(answer.body), None
    except JsonRefused as refusal:
        return None, str(refusal)


def _by_rule(tool: Tool, answer: VendorAnswer, root: Any, verdict: Verdict) -> Verdict | None:
    """The verdict of the first rule that matches; no rule makes an error status usable."""
    for rule in answer_of(tool).rules:
        if rule.answer in _USABLE and not 200 <= answer.status < 300:
            continue
        if rule.status and answer.status not in rule.status:
            continue
        if rule.when is not None and not holds(rule.when, root):
            continue
        if rule.answer in ("ok", "partial"):
            return None  # what is read decides whether it is whole
        return _verdict(tool, rule, root, verdict)
    return None


def _verdict(tool: Tool, rule: Rule, root: Any, verdict: Verdict) -> Verdict:
    after_s = _seconds(rule, root)
    wait_s = verdict.retry_after_s if after_s is None else after_s
    note = rule.note or f"the answer is classed {rule.answer} by the tool file"
    poll = request_of(tool).poll
    if rule.answer != "pending" or poll is None:
        return Verdict(rule.answer, note, retry_after_s=wait_s)
    return Verdict("pending", note, wait_s or poll.every_s, _follow_up(poll, root))


def _seconds(rule: Rule, root: Any) -> float | None:
    if rule.after is None or not holds(rule.after, root):
        return None
    found = find(rule.after, root)
    if isinstance(found, str) and (stated := _SECONDS.fullmatch(found)):
        return float(stated[1])
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return float(found) if math.isfinite(found) and found >= 0 else None


def _follow_up(poll: Poll, root: Any) -> VendorRequest | None:
    """Where to ask again; None where this answer does not say, and the last place still holds."""
    taken: dict[str, Any] = {}
    for name, expression in poll.take.items():
        try:
            value = find(expression, root)
        except VendorProtocolBroken:
            return None
        if not isinstance(value, str | int) or not _TAKEN.fullmatch(str(value)):
            return None
        taken[name] = value
    return VendorRequest("GET", path_of(poll.path, taken), headers={"accept": "application/json"})


def parse_findings(tool: Tool, ask: Ask | None, answer: VendorAnswer) -> Parsed:
    """Read findings as the tool file says. Raises VendorProtocolBroken."""
    return _parsed(tool, ask, answer)


def _parsed(tool: Tool, ask: Ask | None, answer: VendorAnswer) -> Parsed:
    root, refused = _decoded(answer)
    if refused is not None or not isinstance(root, dict | list):
        raise VendorProtocolBroken(refused or "not a JSON object or list")
    mapping = answer_of(tool)
    if mapping.whole is not None and not holds(mapping.whole, root):
        raise VendorProtocolBroken("the answer does not say that it succeeded")
    version = _string(mapping.version, root)
    text, effective = _source(tool, ask)
    reader = Reader(tool, root, version=version, effective=effective, text=text)
    findings: list[Finding] = []
    for wanted in mapping.findings:
        findings += reader.findings(wanted)
    notes = [*_version_notes(mapping, version), *dict.fromkeys(reader.notes)]
    cut = mapping.partial is not None and holds(mapping.partial, root)
    subject = _string(mapping.subject, root)
    return Parsed(
        findings=marked(findings, "partial" if cut else "full"),
        echoes=(bare_reference(subject),) if subject is not None else (),
        model_name=_string(mapping.model, root),
        model_version=version,
        completeness="partial" if cut else "full",
        notes=tuple(notes),
    )


def _version_notes(mapping: Answer, version: str | None) -> tuple[str, ...]:
    return version_notes(version, mapping.model_versions)


def _source(tool: Tool, ask: Ask | None) -> tuple[str | None, str | None]:
    """The text that was sent, if one was, and the time that the findings are for."""
    if ask is None:
        return None, None
    if any(isinstance(wanted, TextInput) for wanted in request_of(tool).inputs.values()):
        report = newest_report(ask.payload, as_of=ask.as_of)
        if report is not None:
            return report.text, report.effective or ask.as_of
    return None, ask.as_of


def _string(expression: str | None, root: Mapping[str, Any] | list[Any]) -> str | None:
    found = find(expression, root) if expression is not None else None
    if found is not None and not isinstance(found, str):
        raise VendorProtocolBroken("a name in the answer is not a string")
    return found
