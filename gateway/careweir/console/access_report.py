"""A patient's own report: who saw what of mine, for what purpose. Plain words; no clinical values.

It is made from the entries about one patient: each question with who asked and why, which kinds of
data were sent to which tool and what stayed here, what was refused; and who read this record.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from careweir.audit import Entry, Stored
from careweir.audit.formats import harmless
from careweir.console import words
from careweir.console.body import mapping, mappings, text, texts
from careweir.console.words import Names

ENTRIES_MAX = 20_000
COLUMNS = (
    "when", "who", "role", "application", "site", "purpose", "question", "happened", "recipient",
    "vendor", "region", "sent", "stayed", "result", "reference",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Share:
    """One attempt: which kinds of data were sent to a tool, how many stayed, what came of it."""

    tool: str
    vendor: str
    region: str
    when: str
    sent: tuple[str, ...]
    stayed: int
    result: str


@dataclass(frozen=True, slots=True)
class Access:
    """One question about the patient, or one reading of the record about them."""

    when: str
    who: str
    role: str
    application: str
    site: str
    purpose: str
    question: str
    happened: str
    emergency: str | None
    reference: str
    shares: tuple[Share, ...] = ()


@dataclass(frozen=True, slots=True)
class AccessReport:
    """All of it, newest first. ``cut`` says that there are older entries that are not in it."""

    made: str
    questions: tuple[Access, ...]
    readings: tuple[Access, ...]
    cut: bool

    def as_json(self) -> dict[str, object]:
        """The report as data."""
        return asdict(self)

    def as_csv(self) -> str:
        """One line an access, or one each tool that received data by it."""
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        for one in (*self.questions, *self.readings):
            for got in one.shares or (None,):
                writer.writerow([harmless(cell) for cell in _cells(one, got)])
        return out.getvalue()


def _cells(one: Access, got: Share | None) -> list[str]:
    told = ["", "", "", "", "", ""]
    if got is not None:
        told = [got.tool, got.vendor, got.region, "; ".join(got.sent), str(got.stayed),
                got.result]  # fmt: skip
    head = [one.when, one.who, one.role, one.application, one.site, one.purpose, one.question]
    return [*head, one.happened, *told, one.reference]


def report_of(rows: Sequence[Stored], names: Names, *, made: datetime, cut: bool) -> AccessReport:
    """The report from the entries about one patient, in any order."""
    ordered = sorted(rows, key=lambda row: row.position)
    stories: dict[str, list[Stored]] = {}
    readings = []
    for row in ordered:
        if row.entry.type == "read":
            readings.append(_access([row], names, "read what is on the record about you"))
        elif row.entry.inference is not None:
            stories.setdefault(row.entry.inference, []).append(row)
    questions = [_question(story, names) for story in stories.values()]
    return AccessReport(
        made=made.isoformat(timespec="seconds"),
        questions=tuple(reversed(questions)),
        readings=tuple(reversed(readings)),
        cut=cut,
    )


def _question(story: Sequence[Stored], names: Names) -> Access:
    kinds = {row.entry.type for row in story}
    if "refusal" in kinds:
        happened = "was refused; no tool received anything"
    elif "intent" in kinds:
        happened = "was allowed; data about you was sent to the tools below"
    else:
        happened = "was allowed; no tool received anything"
    return _access(story, names, happened)


def _access(story: Sequence[Stored], names: Names, happened: str) -> Access:
    first = story[0]
    body = first.entry.body
    emergency = text(body, "break_glass_reason") or "no reason given"
    return Access(
        when=first.recorded,
        who=first.entry.actor or "",
        role=names.role(text(body, "role")),
        application=first.entry.client or "",
        site=text(body, "site"),
        purpose=words.purpose(text(body, "purpose")),
        question=names.capability(text(body, "capability")) if text(body, "capability") else "",
        happened=happened,
        emergency=emergency if words.is_override(first.entry) else None,
        reference=first.entry.inference or f"{first.receipt.writer}-{first.receipt.seq}",
        shares=tuple(_shares(story)),
    )


def _shares(story: Sequence[Stored]) -> list[Share]:
    ended = {
        row.entry.disclosure: row.entry.outcome for row in story if row.entry.type == "outcome"
    }
    return [
        _part(row, row.entry, ended.get(row.entry.disclosure))
        for row in story
        if row.entry.type == "intent"
    ]


def _part(row: Stored, entry: Entry, ended: str | None) -> Share:
    manifest = mapping(entry.body, "manifest")
    sent = texts(manifest, "sent") or texts(entry.body, "sent")
    return Share(
        tool=entry.tool or "",
        vendor=text(entry.body, "vendor"),
        region=text(entry.body, "region"),
        when=row.recorded,
        sent=tuple(sent),
        stayed=len(mappings(manifest, "withheld")),
        result=words.outcome(ended) if ended else "has not answered yet, as far as is known",
    )
