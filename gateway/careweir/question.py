"""The nouns of one request: the question, what each tool replied, the answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from careweir.audit import Receipt
from careweir.errors import QuestionInvalid
from careweir_fhir.bundle import ResultContext
from careweir_fhir.model import Conflict, Finding
from careweir_kit.strict_json import JsonRefused, decode

Strategy = Literal["all", "first", "primary", "quorum"]
Status = Literal[
    "answered", "partial", "late", "timed_out", "unavailable", "throttled", "refused",
    "protocol_error", "wrong_patient", "circuit_open", "overloaded", "withheld_by_policy",
    "not_in_rollout", "unknown",
]  # fmt: skip
Outcome = Literal["complete", "degraded", "failed"]

DEADLINE_MS_MAX = 60_000
_SUBJECT = re.compile(r"^(Patient/[A-Za-z0-9\-.]{1,64}|urn:uuid:[0-9a-fA-F-]{36})$")
_REFERENCE = re.compile(r"^([A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}|urn:uuid:[0-9a-fA-F-]{36})$")
_TOKEN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")


_NO_CHART = msgspec.Raw(b"null")


class _Context(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    encounter: str | None = None
    site: str | None = None
    study: str | None = None
    as_of: str | None = None


class _Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    fhir_server: str


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    capability: str
    subject: str
    purpose: str
    inputs: msgspec.Raw = _NO_CHART
    source: _Source | None = None
    context: _Context | None = None
    tools: list[str] | None = None
    strategy: Strategy = "all"
    deadline_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """``POST /v1/inferences`` after its shape was checked; ``inputs`` is still undecoded bytes.

    ``source`` names a configured FHIR server instead: then ``inputs`` is empty.
    """

    capability: str
    subject: str
    purpose: str
    inputs: bytes
    encounter: str | None
    site: str | None
    study: str | None
    as_of: datetime | None
    tools: tuple[str, ...] | None
    strategy: Strategy
    deadline_ms: int
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of one tool: the ``tools[]`` row of the answer, and its findings."""

    tool: str
    version: str | None
    mode: str
    status: Status
    reason: str | None = None
    latency_ms: int = 0
    attempts: int = 0
    disclosure: str | None = None
    without: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    retry_after_s: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The row as CONTRACT §3 shows it; ``without`` and ``notes`` only where there are any."""
        row: dict[str, Any] = {
            "tool": self.tool,
            "version": self.version,
            "mode": self.mode,
            "status": self.status,
            "reason": self.reason,
            "latency_ms": self.latency_ms,
            "attempts": self.attempts,
            "disclosure": self.disclosure,
        }
        if self.without:
            row["without"] = list(self.without)
        if self.notes:
            row["notes"] = list(self.notes)
        return row


@dataclass(frozen=True, slots=True)
class Answer:
    """The whole answer; ``status`` is its HTTP status (200, or 502/503/504 when failed)."""

    id: str
    question: Question
    as_of: datetime
    outcome: Outcome
    status: int
    findings: tuple[Finding, ...]
    conflicts: tuple[Conflict, ...]
    replies: tuple[Reply, ...]
    revision: str
    because: tuple[str, ...]
    break_glass: bool
    receipt: Receipt
    context: ResultContext  # what the same answer as a Bundle needs besides
    retry_after_s: int | None = None
    earlier: tuple[dict[str, Any], ...] = ()  # findings of earlier answers that conflicts name
    earlier_compared: bool = True  # False: earlier answers could not be read
    compared_as: dict[str, Any] | None = None  # what a late result is compared by, without findings
    previous: tuple[dict[str, Any], ...] = ()  # stale answers of tools that are out
    ladder: tuple[dict[str, Any], ...] = ()  # which steps down were taken; none when complete

    def tools_of(self, conflict: Conflict) -> list[str]:
        """Who a conflict is between; some of it may have been said in an earlier answer."""
        said = [finding.tool for finding in self.findings]
        said += [str(one["finding"]["tool"]) for one in self.earlier]
        return [said[at] for at in conflict.between]

    def as_json(self) -> dict[str, Any]:
        """The body of CONTRACT §3."""
        body: dict[str, Any] = {
            "id": self.id,
            "capability": self.question.capability,
            "subject": self.question.subject,
            "outcome": self.outcome,
            "findings": [finding.model_dump(mode="json") for finding in self.findings],
            "conflicts": [conflict.model_dump(mode="json") for conflict in self.conflicts],
            "tools": [reply.as_json() for reply in self.replies],
            "policy": {"revision": self.revision, "because": list(self.because)},
            "audit": {
                "writer": self.receipt.writer,
                "seq": self.receipt.seq,
                "hash": self.receipt.hash,
            },
        }
        if self.earlier:
            body["earlier"] = list(self.earlier)
        if not self.earlier_compared:
            body["earlier_compared"] = False
        if self.previous:
            body["previous"] = list(self.previous)
        if self.ladder:
            body["ladder"] = list(self.ladder)
        if self.break_glass:
            body["policy"]["break_glass"] = True
        if self.question.as_of is not None:
            body["as_of"] = rfc3339(self.as_of)
        return body


def rfc3339(moment: datetime) -> str:
    """UTC with ``Z``, to the second or finer as given."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_moment(text: str, *, path: str) -> datetime:
    """A moment with its time zone, or QuestionInvalid."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise QuestionInvalid("must be a date and time with a time zone (RFC 3339)", path=path)
    return moment


def read_question(body: bytes, *, deadline_ms_default: int) -> Question:
    """Check the shape of a question without decoding its chart; raises QuestionInvalid."""
    parsed = _decode(body)
    chart = bytes(parsed.inputs)
    if chart != b"null" and parsed.source is not None:
        raise QuestionInvalid("give either inputs or source, not both", path="source")
    if parsed.source is not None:
        _matches(_TOKEN, parsed.source.fhir_server, "source.fhir_server", "must be a source's name")
        chart = b""
    elif chart == b"null":
        raise QuestionInvalid("an R4 Bundle is required", path="inputs")
    context = parsed.context or _Context()
    deadline_ms = deadline_ms_default if parsed.deadline_ms is None else parsed.deadline_ms
    if not 0 < deadline_ms <= DEADLINE_MS_MAX:
        raise QuestionInvalid(f"must be from 1 to {DEADLINE_MS_MAX}", path="deadline_ms")
    _matches(_SUBJECT, parsed.subject, "subject", "must be a Patient reference")
    _matches(_TOKEN, parsed.capability, "capability", "must be a capability's name")
    _matches(_TOKEN, parsed.purpose, "purpose", "must be a PurposeOfUse code")
    for name, value in (("encounter", context.encounter), ("study", context.study)):
        if value is not None:
            _matches(_REFERENCE, value, f"context.{name}", "must be a FHIR reference")
    if context.site is not None:
        _matches(_TOKEN, context.site, "context.site", "must be a site's name")
    return Question(
        capability=parsed.capability,
        subject=parsed.subject,
        purpose=parsed.purpose,
        inputs=chart,
        encounter=context.encounter,
        site=context.site,
        study=context.study,
        as_of=parse_moment(context.as_of, path="context.as_of") if context.as_of else None,
        tools=_tools(parsed.tools),
        strategy=parsed.strategy,
        deadline_ms=deadline_ms,
        source=None if parsed.source is None else parsed.source.fhir_server,
    )


def _decode(body: bytes) -> _Body:
    try:
        parsed = msgspec.json.decode(body, type=_Body)
    except msgspec.ValidationError as error:
        raise QuestionInvalid(_shape(str(error)), path=_path(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise QuestionInvalid("the body is not valid JSON") from None
    try:
        decode(
            cut_out(body, bytes(parsed.inputs))
        )  # msgspec takes the last of two equal keys; this refuses them
    except JsonRefused as error:
        raise QuestionInvalid(str(error)) from None
    return parsed


def cut_out(body: bytes, inner: bytes) -> bytes:
    """The body with the chart cut out (``bytes.replace`` would prepare a search for megabytes)."""
    at = body.find(inner[:64])
    while at >= 0 and not body.startswith(inner, at):
        at = body.find(inner[:64], at + 1)
    return body if at < 0 else body[:at] + b"null" + body[at + len(inner) :]


def _shape(message: str) -> str:
    """The kind of a msgspec message, without the key that an unknown field carries."""
    if "unknown field" in message:
        return "holds a field that this request does not know"
    if "missing required field" in message:
        return "lacks a required field: capability, subject and purpose must be given"
    if "Invalid enum value" in message:
        return "is not one of the values allowed here"
    return "has the wrong type"


def _path(message: str) -> str | None:
    found = re.search(r"at `\$\.?([A-Za-z_.\[\]0-9]*)`", message)
    return (found.group(1) or None) if found else None


def _matches(pattern: re.Pattern[str], value: str, path: str, complaint: str) -> None:
    if pattern.fullmatch(value) is None:
        raise QuestionInvalid(complaint, path=path)


def _tools(names: list[str] | None) -> tuple[str, ...] | None:
    if names is None:
        return None
    if not names or len(names) > 32:
        raise QuestionInvalid("must name 1 to 32 tools", path="tools")
    for name in names:
        _matches(_TOKEN, name, "tools", "must be tool ids")
    return tuple(dict.fromkeys(names))
