"""What every adapter must keep, as plain functions: ``careweir adapter check`` and the tests.

A recording in ``cassettes/NAME.json`` is ``{"status", "headers", "body"}`` (``body`` as text), or
for an adapter in process ``{"ask": {"subject", "payload", "as_of"}}``; what must come out of it
stands in ``golden/NAME.json``. The adapter's own ``example_tool.yaml`` is the tool.
"""

from __future__ import annotations

import contextlib
import json
import traceback
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final, get_args

from careweir_kit.adapter import AnswerClass, Ask, VendorAnswer
from careweir_kit.errors import InputsMissing, ToolFileInvalid, VendorProtocolBroken
from careweir_kit.registry import LoadedAdapter, replay
from careweir_kit.tool import Tool

CANARY: Final = "CANARY-7f3a-vendor-words"
CLASSES: Final = frozenset(get_args(AnswerClass))
_JSON: Final = {"content-type": "application/json"}
_SPOILERS: Final[tuple[Any, ...]] = (
    None,
    CANARY,
    -1,
    1e308,
    True,
    [],
    {},
    [CANARY],
    {CANARY: CANARY},
)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; ``detail`` says what was seen."""

    name: str
    passed: bool
    detail: str = ""


def check_adapter(adapter: LoadedAdapter) -> list[Check]:
    """Run every check that applies to this adapter; never raises."""
    checks = [_manifest(adapter), _example_tool(adapter)]
    tool = adapter.example_tool
    if tool is None or not checks[-1].passed:
        return checks
    checks.append(_golden(adapter, tool))
    if adapter.manifest.transport == "in_process":
        return [*checks, _missing_inputs_are_named(adapter, tool)]
    answers = [answer for _, answer in recordings(adapter) if answer.status == 200]
    return [
        *checks,
        _broken_bodies(adapter, tool, answers),
        _every_status(adapter, tool, answers),
        _spoiled_fields(adapter, tool, answers),
        _no_vendor_words(adapter, tool, answers),
        _echo(adapter, tool, answers),
    ]


def recordings(adapter: LoadedAdapter) -> Iterator[tuple[str, VendorAnswer]]:
    """The recorded HTTP answers of an adapter, by name."""
    for name, text in _texts(adapter, "cassettes"):
        value = json.loads(text)
        if "body" in value:
            body = str(value["body"]).encode()
            yield name, VendorAnswer(value["status"], value.get("headers", _JSON), body)


def recorded_asks(adapter: LoadedAdapter) -> Iterator[tuple[str, Ask]]:
    """The recorded questions of an adapter that computes in process, by name."""
    for name, text in _texts(adapter, "cassettes"):
        value = json.loads(text)
        if "ask" in value:
            asked = value["ask"]
            yield name, Ask(asked["subject"], "replay", asked["payload"], asked["as_of"])


def computed(adapter: LoadedAdapter, tool: Tool, ask: Ask) -> dict[str, Any]:
    """What an adapter in process makes of a recorded question, as JSON."""
    try:
        parsed = adapter.in_process.compute(tool, ask)
    except InputsMissing as missing:
        return {"missing": list(missing.names)}
    return {"findings": [finding.model_dump(mode="json") for finding in parsed.findings]}


def _texts(adapter: LoadedAdapter, part: str) -> Iterator[tuple[str, str]]:
    folder = adapter.folder.joinpath(part)
    if not folder.is_dir():
        return
    for file in sorted(folder.iterdir(), key=lambda item: item.name):
        if file.name.endswith(".json"):
            yield file.name.removesuffix(".json"), file.read_text(encoding="utf-8")


def _manifest(adapter: LoadedAdapter) -> Check:
    agrees = adapter.folder.name == adapter.manifest.adapter == adapter.name
    return Check("manifest names its folder", agrees, adapter.manifest.adapter)


def _example_tool(adapter: LoadedAdapter) -> Check:
    name = "example tool can be used"
    if adapter.example_tool is None:
        return Check(name, False, "there is no example_tool.yaml")
    try:
        adapter.http.check_tool(adapter.example_tool)
    except ToolFileInvalid as invalid:
        return Check(name, False, str(invalid))
    except Exception as error:
        return Check(name, False, f"check_tool raised {type(error).__name__}")
    return Check(name, True, adapter.example_tool.tool)


def _golden(adapter: LoadedAdapter, tool: Tool) -> Check:
    """Recordings give exactly the findings that stand in ``golden``."""
    name = "recordings give their golden findings"
    golden = dict(_texts(adapter, "golden"))
    seen: dict[str, Any] = {n: replay(adapter, tool, a) for n, a in recordings(adapter)}
    if adapter.manifest.transport == "in_process":
        seen |= {n: computed(adapter, tool, ask) for n, ask in recorded_asks(adapter)}
    differs = [n for n in seen if n not in golden or json.loads(golden[n]) != seen[n]]
    unused = sorted(set(golden) - set(seen))
    if not seen:
        return Check(name, False, "there is no recording")
    return Check(name, not differs and not unused, ", ".join(differs + unused) or f"{len(seen)}")


def broken_bodies(good: bytes) -> dict[str, bytes]:
    """Bodies that no adapter may read, made from one that it can."""
    value = json.loads(good)
    key = next(iter(value))
    twice = f"{{{json.dumps(key)}: {json.dumps(value[key])}, ".encode() + good.lstrip()[1:]
    return {
        "empty": b"",
        "white space": b" \n ",
        "garbage": b"\x00\xff\x13{]\x9f",
        "html": b"<!doctype html><title>Sign in</title>",
        "null": b"null",
        "list": b"[]",
        "empty object": b"{}",
        "text": b'"' + CANARY.encode() + b'"',
        "cut short": good[: len(good) // 2],
        "a key twice": twice,
        "NaN": b'{"a": NaN, ' + good.lstrip()[1:],
        "infinity": b'{"a": 1e999, ' + good.lstrip()[1:],
        "too deep": b'{"a": ' + b"[" * 200 + b"]" * 200 + b"," + good.lstrip()[1:],
        "not UTF-8": b'{"a": "\xff\xfe", ' + good.lstrip()[1:],
    }


def _broken_bodies(adapter: LoadedAdapter, tool: Tool, answers: list[VendorAnswer]) -> Check:
    name = "broken bodies are protocol_broken"
    good = next((a.body for a in answers), b"{}") if answers else b""
    if not good:
        return Check(name, False, "there is no recording with status 200")
    bad = [
        what
        for what, body in broken_bodies(good).items()
        if not _is_broken(replay(adapter, tool, VendorAnswer(200, _JSON, body)))
    ]
    page = VendorAnswer(200, {"content-type": "text/html"}, good)
    if not _is_broken(replay(adapter, tool, page)):
        bad.append("a page as content type")
    return Check(name, not bad, ", ".join(bad))


def _is_broken(result: dict[str, Any]) -> bool:
    """Refused by the adapter itself, not caught as its crash."""
    error = result["error"] or {}
    return bool(result["outcome"] == error.get("code") == "protocol_broken")


def _every_status(adapter: LoadedAdapter, tool: Tool, answers: list[VendorAnswer]) -> Check:
    """Each status has a class, for a good body and a foreign one; only 2xx may be ok."""
    bad = []
    bodies = [*(a.body for a in answers[:1]), b"", CANARY.encode(), b'{"error": {"code": 7}}']
    for status in range(100, 600):
        for body in bodies:
            try:
                found = adapter.http.classify_answer(tool, VendorAnswer(status, _JSON, body))
            except Exception:
                bad.append(f"{status} raised")
                break
            usable = found.answer_class in ("ok", "partial", "pending")
            if found.answer_class not in CLASSES or (usable and not 200 <= status < 300):
                bad.append(f"{status} is {found.answer_class}")
    return Check("every HTTP status has a class", not bad, ", ".join(bad[:5]))


def spoiled(value: Any) -> Iterator[Any]:
    """Copies of a JSON value with one place spoiled each: another type, a canary, or left out."""
    for path in _paths(value):
        for spoiler in _SPOILERS:
            copy = deepcopy(value)
            _at(copy, path[:-1])[path[-1]] = spoiler
            yield copy
        copy = deepcopy(value)
        del _at(copy, path[:-1])[path[-1]]
        yield copy


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield (*path, key)
        yield from _paths(item, (*path, key))


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _spoiled_fields(adapter: LoadedAdapter, tool: Tool, answers: list[VendorAnswer]) -> Check:
    """Whatever one field turns into, the answer is classed and read, or refused as broken."""
    count, crashed = 0, 0
    for answer in answers:
        for value in spoiled(json.loads(answer.body)):
            count += 1
            body = json.dumps(value).encode()
            result = replay(adapter, tool, VendorAnswer(200, _JSON, body))
            error = result["error"] or {}
            crashed += error.get("code") == "adapter_crashed"
    detail = f"{count} spoiled answers, {crashed} crashes"
    return Check("spoiled fields never crash", count > 0 and not crashed, detail)


def _no_vendor_words(adapter: LoadedAdapter, tool: Tool, answers: list[VendorAnswer]) -> Check:
    """Nothing that a vendor wrote stands in a note, an error or a traceback."""
    leaks = 0
    bodies = [CANARY.encode(), json.dumps({"error": {"message": CANARY, "code": CANARY}}).encode()]
    for answer in answers:
        bodies += [json.dumps(v).encode() for v in spoiled(json.loads(answer.body))]
    for body in bodies:
        for status in (200, 400, 500):
            leaks += CANARY in _said(adapter, tool, VendorAnswer(status, _JSON, body))
    return Check("no vendor words in notes and tracebacks", not leaks, f"{leaks} leaks")


def _said(adapter: LoadedAdapter, tool: Tool, answer: VendorAnswer) -> str:
    """Everything that would be logged or shown about an answer, but for its findings."""
    try:
        verdict = adapter.http.classify_answer(tool, answer)
        parsed = adapter.http.parse_findings(tool, None, answer)
        return " ".join((verdict.note, *parsed.notes))
    except VendorProtocolBroken as broken:
        return "".join(traceback.format_exception(broken))
    except Exception as error:
        return "".join(traceback.format_exception(error))


def _echo(adapter: LoadedAdapter, tool: Tool, answers: list[VendorAnswer]) -> Check:
    """Where a tool must echo the patient, an answer with findings reports an echo."""
    name = "the echo of the patient is reported"
    if tool.subject_echo != "required":
        return Check(name, True, "this tool promises no echo")
    silent = 0
    for answer in answers:
        with contextlib.suppress(Exception):  # what is raised is counted by the other checks
            parsed = adapter.http.parse_findings(tool, None, answer)
            silent += bool(parsed.findings) and not parsed.echoes
    return Check(name, not silent, f"{silent} of {len(answers)} answers without")


def _missing_inputs_are_named(adapter: LoadedAdapter, tool: Tool) -> Check:
    """An empty chart gives no score but the names of what is missing."""
    empty = Ask("nobody", "check", {"resourceType": "Bundle", "entry": []}, "2026-01-01T00:00:00Z")
    try:
        result = computed(adapter, tool, empty)
    except Exception as error:
        return Check("an empty chart is refused", False, type(error).__name__)
    return Check("an empty chart is refused", bool(result.get("missing")))
