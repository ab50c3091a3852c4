"""One question from its asking to its answer, put together from its entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from careweir.audit import Entry, Stored
from careweir.console import words
from careweir.console.body import Body, mapping, mappings, number, text, texts

_UNCERTAIN = frozenset({"unknown", "unavailable", "timed_out"})


@dataclass(frozen=True, slots=True)
class Kept:
    """What was withheld for one reason: path, count and rule of each."""

    reason: str
    rows: tuple[tuple[str, int, str], ...]


@dataclass(frozen=True, slots=True)
class Told:
    """A field manifest: what left, in which form, and what stayed here."""

    fields: tuple[tuple[str, tuple[str, ...]], ...]  # resource type -> elements
    count: int
    transformed: tuple[tuple[str, str], ...]
    kept: tuple[Kept, ...]
    kept_count: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One disclosure and what became of it; ``outcome`` is None while nothing is on the record."""

    number: int
    disclosure: str
    sent_at: str
    outcome: str | None
    after_ms: int | None
    answer_sha256: str


@dataclass(frozen=True, slots=True)
class Share:
    """One tool's part of the question. ``how`` is ``sent``, ``withheld`` or ``computed``."""

    tool: str
    how: str
    vendor: str
    version: str
    region: str
    told: Told
    outcome: str | None = None
    attempts: tuple[Attempt, ...] = field(default=())

    @property
    def is_certain(self) -> bool:
        """Did the tool show that it had received the request, or was it certainly not sent?"""
        return (self.outcome or "unknown").removeprefix("vendor_") not in _UNCERTAIN


@dataclass(frozen=True, slots=True)
class Story:
    """Question, decision, what left and what stayed, answer."""

    inference: str
    asked: Stored  # the first entry: who, why, about whom
    decision: Entry | None
    refusal: Entry | None
    shares: tuple[Share, ...]
    answer: Entry | None
    is_override: bool
    rows: tuple[Stored, ...]

    @property
    def compared(self) -> int:
        """How many tools answered, in full or in part; a missing answer is no agreement."""
        tools = mappings(self.answer.body, "tools") if self.answer else []
        return sum(text(tool, "status") in ("answered", "partial") for tool in tools)


def story_of(rows: Sequence[Stored]) -> Story:
    """Put the entries of one question together; ``rows`` is oldest first and not empty."""
    asked = rows[0]
    return Story(
        inference=asked.entry.inference or "",
        asked=asked,
        decision=_first(rows, "decision"),
        refusal=_first(rows, "refusal"),
        shares=tuple([*_sent(rows), *_whole(rows, "withheld"), *_whole(rows, "computed")]),
        answer=_first(rows, "answer"),
        is_override=words.is_override(asked.entry),
        rows=tuple(rows),
    )


def _first(rows: Sequence[Stored], kind: str) -> Entry | None:
    return next((row.entry for row in rows if row.entry.type == kind), None)


def _sent(rows: Sequence[Stored]) -> list[Share]:
    """A share for each tool that was sent something, with all attempts."""
    outcomes = {row.entry.disclosure: row for row in rows if row.entry.type == "outcome"}
    intents: dict[str, list[Stored]] = {}
    for row in rows:
        if row.entry.type == "intent":
            intents.setdefault(row.entry.tool or "", []).append(row)
    shares = []
    for tool, mine in intents.items():
        body = mine[-1].entry.body
        attempts = tuple(_attempt(row, outcomes.get(row.entry.disclosure)) for row in mine)
        shares.append(
            Share(
                tool=tool, how="sent", vendor=text(body, "vendor"),
                version=text(body, "tool_version"), region=text(body, "region"),
                told=told(mapping(body, "manifest")), outcome=attempts[-1].outcome,
                attempts=attempts,
            )
        )  # fmt: skip
    return shares


def _attempt(intent: Stored, outcome: Stored | None) -> Attempt:
    return Attempt(
        number=number(intent.entry.body, "attempt"),
        disclosure=intent.entry.disclosure or "",
        sent_at=intent.recorded,
        outcome=outcome.entry.outcome if outcome else None,
        after_ms=_between_ms(intent.recorded, outcome.recorded) if outcome else None,
        answer_sha256=text(outcome.entry.body, "answer_sha256") if outcome else "",
    )


def _whole(rows: Sequence[Stored], kind: str) -> list[Share]:
    """Shares that left nothing: withheld from a tool, or computed here."""
    shares = []
    for entry in (row.entry for row in rows if row.entry.type == kind):
        manifest = mapping(entry.body, "manifest") or mapping(entry.body, "inputs")
        shares.append(
            Share(
                tool=entry.tool or "", how=kind, vendor="", version=text(manifest, "tool_version"),
                region="", told=told(manifest), outcome=entry.outcome,
            )
        )  # fmt: skip
    return shares


def told(manifest: Body) -> Told:
    """A field manifest, grouped for reading."""
    sent = texts(manifest, "sent")
    fields: dict[str, list[str]] = {}
    for path in sent:
        kind, _, element = path.partition(".")
        fields.setdefault(kind, []).append(element or "all")
    kept: dict[str, list[tuple[str, int, str]]] = {}
    for row in mappings(manifest, "withheld"):
        place = text(row, "path"), number(row, "count"), text(row, "rule")
        kept.setdefault(text(row, "reason"), []).append(place)
    return Told(
        fields=tuple((kind, tuple(elements)) for kind, elements in fields.items()),
        count=len(sent),
        transformed=tuple(
            (text(row, "path"), text(row, "transform")) for row in mappings(manifest, "transformed")
        ),
        kept=tuple(Kept(words.reason(reason), tuple(rows)) for reason, rows in kept.items()),
        kept_count=sum(len(rows) for rows in kept.values()),
        bytes=number(manifest, "bytes"),
        sha256=text(manifest, "payload_sha256"),
    )


def _between_ms(earlier: str, later: str) -> int:
    span = datetime.fromisoformat(later) - datetime.fromisoformat(earlier)
    return round(span.total_seconds() * 1000)
