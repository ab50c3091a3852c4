"""What an adapter makes of questions: only what is declared leaves, and it is a pure function."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, Final
from urllib.parse import unquote

from careweir_kit.adapter import Ask, VendorAnswer, VendorRequest
from careweir_kit.conformance.model import CANARY, Check, Subject
from careweir_kit.conformance.recordings import JSON
from careweir_kit.conformance.spoil import any_answers, json_of
from careweir_kit.errors import InputsMissing

CHARTS_COUNT: Final = 300
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/=_-]{16,}")
_WORDS: Final = [{"text": CANARY, "div": CANARY, "value": CANARY, "display": CANARY}]
_UNDECLARED: Final[Mapping[str, Any]] = {
    "identifier": [{"system": "urn:other", "value": CANARY}],
    "name": [{"family": CANARY, "given": [CANARY], "text": CANARY}],
    "telecom": [{"system": "phone", "value": CANARY}],
    "address": [{"line": [CANARY], "city": CANARY}],
    "text": {"status": "generated", "div": CANARY},
    "note": [{"text": CANARY}],
    "performer": _WORDS,
    "contact": _WORDS,
    "photo": [{"data": CANARY}],
    "extension": [{"url": "urn:other", "valueString": CANARY}],
    "contained": [{"resourceType": "Basic", "id": CANARY}],
}
_STRANGERS: Final = ("RelatedPerson", "Coverage", "FamilyMemberHistory", "Communication")


def check_questions(subject: Subject, asks: Sequence[Ask]) -> list[Check]:
    """The bronze checks of questions; ``asks`` are the recorded ones that can be asked."""
    if not asks:
        return [Check("there is a recorded question that can be asked", False,
                      "no cassette with an ask becomes a request")]  # fmt: skip
    return [_only_declared(subject, asks), _pure(subject, asks), _missing(subject)]


def can_be_asked(subject: Subject, ask: Ask) -> bool:
    """Whether a recorded question becomes a request."""
    try:
        subject.adapter.http.build_request(subject.tool, ask)
    except Exception:
        return False
    return True


def _only_declared(subject: Subject, asks: Sequence[Ask]) -> Check:
    """Canaries in everything that the tool file does not name; none may stand in the request."""
    sent, planted = [], 0
    for ask in asks:
        payload, count = _with_canaries(subject, ask.payload)
        planted += count
        full = Ask(ask.subject, ask.request_id, payload, ask.as_of, ask.deadline_ms)
        try:
            request = subject.adapter.http.build_request(subject.tool, full)
        except Exception as error:
            return Check("only declared inputs leave", False, f"raised {type(error).__name__}")
        sent += sorted({where for where, found in _wire(request) if CANARY.encode() in found})
    seen = f"in the {', '.join(sent)}" if sent else f"{planted} canaries planted, none left"
    return Check("only declared inputs leave", not sent, seen)


def _with_canaries(subject: Subject, payload: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """The chart with a canary in each undeclared element, and with resources of other types."""
    value, count = deepcopy(dict(payload)), 0
    needed = {need.resource: set[str]() for need in subject.tool.needs}
    for need in subject.tool.needs:
        needed[need.resource] |= {path.partition(".")[0] for path in need.paths}
    resources = [entry["resource"] for entry in value.get("entry", ()) if "resource" in entry]
    for resource in resources:
        for name, planted in _UNDECLARED.items():
            if name not in needed.get(resource["resourceType"], ()) and name not in resource:
                resource[name] = deepcopy(planted)
                count += 1
            elif name == "extension" and isinstance(resource.get(name), list):
                resource[name] = [*resource[name], *deepcopy(planted)]
                count += 1
    strangers = [kind for kind in _STRANGERS if kind not in needed]
    value["entry"] = [
        *value.get("entry", ()),
        *({"resource": {"resourceType": kind, "id": "1", "note": _WORDS}} for kind in strangers),
    ]
    return value, count + len(strangers)


def _wire(request: VendorRequest) -> Iterator[tuple[str, bytes]]:
    """Everything that would leave, decoded from what it may be wrapped in."""
    yield "path", (request.path + unquote(request.path)).encode()
    yield "headers", json.dumps(dict(request.headers)).encode()
    yield "body", request.body + unquote(request.body.decode("utf-8", "replace")).encode()
    for run in _BASE64.findall(request.body):
        try:
            yield "body", base64.b64decode(run + b"=" * (-len(run) % 4), altchars=None)
        except (binascii.Error, ValueError):
            continue


def _pure(subject: Subject, asks: Sequence[Ask]) -> Check:
    """The same question gives the same request, and the chart is not touched."""
    name = "asking is a pure function"
    for ask in asks:
        before = deepcopy(ask.payload)
        first = subject.adapter.http.build_request(subject.tool, ask)
        if before != ask.payload:
            return Check(name, False, "the chart was changed")
        if first != subject.adapter.http.build_request(subject.tool, ask):
            return Check(name, False, "the same question gave two requests")
        if "://" in first.path.partition("?")[0] or ".." in first.path.split("/"):
            return Check(name, False, "the path leads out of the configured endpoint")
    return Check(name, True, f"{len(asks)} questions asked twice")


def check_any_questions(subject: Subject, asks: Sequence[Ask]) -> list[Check]:
    """The gold check of questions: charts with many elements spoiled at once."""
    count, crashes, refused = 0, 0, 0
    for ask in asks:
        for payload in spoiled_charts(ask.payload):
            count += 1
            spoiled = Ask(ask.subject, ask.request_id, payload, ask.as_of, ask.deadline_ms)
            try:
                subject.adapter.http.build_request(subject.tool, spoiled)
            except InputsMissing:
                refused += 1
            except Exception:
                crashes += 1
    detail = f"{count} charts: {refused} refused, {crashes} crashes"
    name = "charts spoiled at random: asked or refused, never a crash"
    return [Check(name, count > 0 and not crashes, detail)]


def spoiled_charts(payload: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Charts with many elements spoiled at once, always the same ones."""
    chart = VendorAnswer(200, JSON, json.dumps(payload).encode())
    for one in any_answers(chart, count=CHARTS_COUNT, seed=1):
        value = json_of(one.answer)
        if isinstance(value, dict):
            yield value


def _missing(subject: Subject) -> Check:
    """An empty chart is refused by name, or asked without any value; it never crashes."""
    name = "an empty chart is refused or asked without values"
    empty: dict[str, Any] = {"resourceType": "Bundle", "type": "collection", "entry": []}
    try:
        request = subject.adapter.http.build_request(
            subject.tool, Ask("nobody", "check", empty, "2026-01-01T00:00:00Z", 1000)
        )
    except InputsMissing as missing:
        return Check(name, bool(missing.names), f"{len(missing.names)} inputs named")
    except Exception as error:
        return Check(name, False, f"raised {type(error).__name__}")
    return Check(name, True, f"asked with {len(request.without)} inputs named as missing")
