"""What an adapter makes of answers: the right class, nothing invented, no vendor words."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, get_args

from careweir_fhir.model import Finding
from careweir_kit.adapter import AnswerClass, Parsed, VendorAnswer, Verdict
from careweir_kit.conformance.model import CANARY, Check, Subject
from careweir_kit.conformance.spoil import (
    Spoiled,
    any_answers,
    broken_bodies,
    json_of,
    spoiled_answers,
    with_body,
)
from careweir_kit.errors import VendorProtocolBroken
from careweir_kit.registry import replay

CLASSES: Final = frozenset(get_args(AnswerClass))
ANY_COUNT: Final = 300
_USABLE: Final = frozenset({"ok", "partial", "pending"})
_CLASSES_OF: Final[Mapping[str, frozenset[str]]] = {
    "401": frozenset({"unauthorised"}),
    "403": frozenset({"unauthorised", "refused"}),
    "429": frozenset({"throttled"}),
    "2xx": frozenset({"protocol_broken", "pending"}),
    "4xx": frozenset({"bad_request", "refused", "unauthorised", "vendor_fault"}),
    "5xx": frozenset({"vendor_fault", "throttled"}),
}
_ELSE: Final = frozenset({"protocol_broken"})


def check_answers(subject: Subject, answers: Sequence[VendorAnswer]) -> list[Check]:
    """The bronze checks of answers; ``answers`` are the recorded usable ones."""
    if not answers:
        return [Check("there is a recorded usable answer", False, "none is classed ok or partial")]
    seen = _Seen()
    for answer in answers:
        before = _outcome(subject, answer)
        seen.without_echo += bool(before.parsed and before.parsed.findings and not before.echoes)
        seen.look_at(subject, before.parsed, spoiled_answers(answer))
    return [
        _broken_bodies(subject, answers),
        _every_status(subject, answers),
        *seen.checks(subject, "one spoiled field"),
        _no_vendor_words_on_errors(subject, answers),
        _echo(subject, seen, len(answers)),
    ]


def check_any_answers(subject: Subject, answers: Sequence[VendorAnswer]) -> list[Check]:
    """The gold checks of answers: many places spoiled at once, by a seed."""
    seen = _Seen()
    for seed, answer in enumerate(answers):
        before = _outcome(subject, answer).parsed
        seen.look_at(subject, before, any_answers(answer, count=ANY_COUNT, seed=seed))
    return seen.checks(subject, "answers spoiled at random")


@dataclass(frozen=True, slots=True)
class _Outcome:
    verdict: Verdict | None
    parsed: Parsed | None
    crashed: bool
    said: str  # whatever would be logged or shown, but for the findings

    @property
    def echoes(self) -> tuple[str, ...]:
        return self.parsed.echoes if self.parsed else ()


def _outcome(subject: Subject, answer: VendorAnswer) -> _Outcome:
    """Class and read one answer, and overhear what is printed, logged or raised meanwhile."""
    http, tool = subject.adapter.http, subject.tool
    verdict: Verdict | None = None
    parsed: Parsed | None = None
    crashed, raised = False, ""
    with _overheard() as heard:
        try:
            verdict = http.classify_answer(tool, answer)
            if verdict.answer_class in ("ok", "partial"):
                parsed = http.parse_findings(tool, None, answer)
        except VendorProtocolBroken as broken:
            raised = "".join(traceback.format_exception(broken))
        except Exception as error:
            crashed, raised = True, "".join(traceback.format_exception(error))
    notes = (verdict.note if verdict else "", *(parsed.notes if parsed else ()))
    return _Outcome(verdict, parsed, crashed, " ".join((*notes, raised, heard.getvalue())))


@contextlib.contextmanager
def _overheard() -> Iterator[io.StringIO]:
    heard = io.StringIO()
    handler, root = logging.StreamHandler(heard), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(heard):
            yield heard
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


@dataclass(slots=True)
class _Seen:
    """What was seen while answers were spoiled."""

    count: int = 0
    crashes: int = 0
    leaks: int = 0
    invented: int = 0
    without_echo: int = 0
    example: str = ""
    classes: dict[str, int] = field(default_factory=dict)

    def look_at(self, subject: Subject, before: Parsed | None, answers: Iterable[Spoiled]) -> None:
        known = _numbers(before.findings) if before else frozenset[float]()
        for one in answers:
            self.count += 1
            after = _outcome(subject, one.answer)
            self.crashes += after.crashed
            self.leaks += CANARY in after.said
            name = after.verdict.answer_class if after.verdict else "crashed"
            self.classes[name] = self.classes.get(name, 0) + 1
            if after.parsed is None:
                continue
            problem = _invented(after.parsed.findings, known, one)
            self.invented += bool(problem)
            self.example = self.example or problem

    def checks(self, subject: Subject, what: str) -> list[Check]:
        classes = ", ".join(f"{n} {name}" for name, n in sorted(self.classes.items()))
        good = self.count > 0
        return [
            Check(f"{what}: never a crash", good and not self.crashes,
                  f"{self.count} answers, {self.crashes} crashes; {classes}"),
            Check(f"{what}: nothing is invented", good and not self.invented,
                  self.example or f"{self.count} answers, no number from nowhere or out of range"),
            Check(f"{what}: no vendor words in notes, errors, logs", good and not self.leaks,
                  f"{self.count} answers, {self.leaks} leaks"),
        ]  # fmt: skip


def _numbers(findings: Iterable[Finding]) -> frozenset[float]:
    """Every number of findings, with what it lacks to 1: the probability of the other class."""
    found = set()
    for finding in findings:
        for value in (finding.value, finding.confidence, *(finding.interval or ())):
            if isinstance(value, int | float):
                found |= {round(float(value), 6), round(1 - float(value), 6)}
    return frozenset(found)


def _invented(findings: Sequence[Finding], known: frozenset[float], one: Spoiled) -> str:
    """Why findings cannot come from this answer, or nothing."""
    for finding in findings:
        if isinstance(finding.value, bool):
            return "a truth value became a number"
        probability = finding.kind == "risk" and isinstance(finding.value, int | float)
        if probability and not 0 <= float(finding.value or 0) <= 1:
            return "a probability lies outside 0 to 1"
        if (finding.confidence is None) != (finding.confidence_kind == "none"):
            return "a confidence without its kind, or a kind without its confidence"
    new = _numbers(findings) - known
    if not new:
        return ""
    stated = _stated(one.answer) | {round(number, 6) for number in one.put}
    foreign = [number for number in new if not stated & {number, round(1 - number, 6)}]
    return "a number that the answer does not state" if foreign else ""


def _stated(answer: VendorAnswer) -> set[float]:
    """Every number that stands in an answer, as a number or in a string of its JSON."""
    found: set[float] = set()
    for token in _tokens(json_of(answer), answer.body):
        with contextlib.suppress(ValueError, OverflowError):
            found.add(round(float(token), 6))
    return found | {round(number / 100, 6) for number in found}


def _tokens(value: Any, body: bytes) -> Iterator[str]:
    if value is None:
        yield from body.decode("utf-8", "replace").replace("|", " ").replace("^", " ").split()
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _tokens(item, b"") if item is not None else ()
    elif not isinstance(value, bool):
        yield from _inner(value) if isinstance(value, str) else (str(value),)


def _inner(text: str) -> Iterator[str]:
    """A string that is JSON itself, as chat models and FHIR bundles in strings have it."""
    if text[:1] in "{[":
        with contextlib.suppress(ValueError):
            yield from _tokens(json.loads(text), b"")
            return
    yield from text.split()


def _broken_bodies(subject: Subject, answers: Sequence[VendorAnswer]) -> Check:
    bodies = broken_bodies(answers[0])
    bad = [
        what
        for what, body in bodies.items()
        if not _is_broken(subject, with_body(answers[0], body))
    ]
    page = VendorAnswer(answers[0].status, {"content-type": "text/html"}, answers[0].body)
    if not _is_broken(subject, page):
        bad.append("a page as content type")
    seen = ", ".join(bad) or f"{len(bodies) + 1} broken bodies"
    return Check("broken bodies are protocol_broken", not bad, seen)


def _is_broken(subject: Subject, answer: VendorAnswer) -> bool:
    """Refused by the adapter itself, not caught as its crash."""
    result = replay(subject.adapter, subject.tool, answer)
    error = result["error"] or {}
    return bool(result["outcome"] == error.get("code") == "protocol_broken")


def _every_status(subject: Subject, answers: Sequence[VendorAnswer]) -> Check:
    """Each status has the right class without a body; with any body, only 2xx may be usable."""
    bad: list[str] = []
    bodies = [*(a.body for a in answers[:1]), CANARY.encode(), b'{"error": {"code": 7}}']
    for status in range(100, 600):
        found = _class(subject, VendorAnswer(status, answers[0].headers, b""))
        if found not in _classes_of(status):
            bad.append(f"{status} is {found}")
        for body in bodies:
            found = _class(subject, VendorAnswer(status, answers[0].headers, body))
            if found not in CLASSES or (found in _USABLE and not 200 <= status < 300):
                bad.append(f"{status} with a body is {found}")
    detail = ", ".join(bad[:5]) or f"500 statuses, {len(bodies) + 1} bodies each"
    return Check("every HTTP status has its class", not bad, detail)


def _class(subject: Subject, answer: VendorAnswer) -> str:
    try:
        return subject.adapter.http.classify_answer(subject.tool, answer).answer_class
    except Exception as error:
        return f"a crash ({type(error).__name__})"


def _classes_of(status: int) -> frozenset[str]:
    return _CLASSES_OF.get(str(status)) or _CLASSES_OF.get(f"{status // 100}xx") or _ELSE


def _no_vendor_words_on_errors(subject: Subject, answers: Sequence[VendorAnswer]) -> Check:
    """A vendor's error text, in the forms that error bodies have, is repeated nowhere."""
    leaks, count = 0, 0
    words = {"message": CANARY, "code": CANARY, "status": CANARY, "detail": CANARY}
    bodies = [CANARY.encode(), json.dumps({"error": words, **words, "input": [CANARY]}).encode()]
    for status in (200, 202, 400, 401, 404, 409, 422, 429, 500, 503):
        for body in bodies:
            count += 1
            leaks += (
                CANARY in _outcome(subject, VendorAnswer(status, answers[0].headers, body)).said
            )
    return Check("no vendor words of an error body", not leaks, f"{count} bodies, {leaks} leaks")


def _echo(subject: Subject, seen: _Seen, count: int) -> Check:
    """Where a tool must echo the patient, an answer with findings reports an echo."""
    name = "the echo of the patient is reported"
    if subject.tool.subject_echo != "required":
        return Check(name, True, "this tool promises no echo")
    return Check(name, not seen.without_echo, f"{seen.without_echo} of {count} answers without")
