"""One conflict as somebody has to settle it: the findings, what each tool saw, and the history.

Pairs that share a finding and a type are one dispute: three tools against one are settled once.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b32encode
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec
import orjson

from careweir_fhir.model import Conflict, Finding, Severity

_STEPS: tuple[Severity, ...] = ("low", "moderate", "high")
State = Literal["open", "claimed", "settled"]


class Side(msgspec.Struct, frozen=True):
    """A finding of a dispute; ``without``: path and reason of what only other tools of it saw."""

    finding: dict[str, Any]
    inference: str
    capability: str
    without: tuple[tuple[str, str], ...] = ()

    @property
    def tool(self) -> str:
        """Who says it."""
        return str(self.finding.get("tool"))


class Event(msgspec.Struct, frozen=True):
    """Something that happened to a dispute; nothing is ever taken out of a history."""

    at: str
    action: str
    actor: str | None = None  # None: the gateway itself
    role: str | None = None
    verdict: str | None = None
    preferred_finding: int | None = None
    rationale: str | None = None


class Dispute(msgspec.Struct, frozen=True):
    """One conflict on its way to a verdict; times are RFC 3339."""

    id: str
    type: str
    severity: Severity
    rule: str
    reasons: tuple[str, ...]
    subject: str
    patient_key: str
    site: str | None
    encounter: str | None
    study: str | None
    sides: tuple[Side, ...]
    askers: tuple[str, ...]
    override: bool
    opened: str
    due: str
    queue: str
    first_queue: str
    state: State = "open"
    claimed_by: str | None = None
    escalated: bool = False
    history: tuple[Event, ...] = ()

    @property
    def tools(self) -> tuple[str, ...]:
        """The tools that disagree, each once."""
        return tuple(dict.fromkeys(side.tool for side in self.sides))

    @property
    def capabilities(self) -> frozenset[str]:
        """The questions that the findings answered."""
        return frozenset(side.capability for side in self.sides)

    @property
    def ruling(self) -> Event | None:
        """The verdict in force."""
        if self.state != "settled":
            return None
        return next(event for event in reversed(self.history) if event.action == "settled")

    @property
    def mark(self) -> str:
        """Changes with the findings and the verdict: what was read must be what is settled."""
        verdicts = sum(event.verdict is not None for event in self.history)
        return hashlib.sha256(orjson.dumps([verdicts, *map(bytes.hex, self.says())])).hexdigest()[
            :16
        ]

    def with_event(self, event: Event, **changes: Any) -> Dispute:
        """The dispute after something happened.

        Found again and again in a row is one event, of the last time: the history stays readable.
        """
        again = event.action == "seen_again" and self.history[-1].action == "seen_again"
        before = self.history[:-1] if again else self.history
        return msgspec.structs.replace(self, history=(*before, event), **changes)

    def says(self) -> list[bytes]:
        """What the findings claim, so that the same dispute seen again is known as such."""
        return sorted(_claim(side.finding) for side in self.sides)


def _claim(finding: dict[str, Any]) -> bytes:
    code = finding.get("code") or {}
    said = [finding.get(name) for name in ("tool", "value", "polarity", "laterality", "action")]
    return orjson.dumps([*said, code.get("code"), code.get("display")])


def grouped(conflicts: Sequence[Conflict]) -> list[list[Conflict]]:
    """Conflicts of one type that are joined by a finding, together; in order of appearance."""
    groups: list[tuple[str, set[int], list[Conflict]]] = []
    for conflict in conflicts:
        own = set(conflict.between)
        mine = [g for g in groups if g[0] == conflict.type and not g[1].isdisjoint(own)]
        joined = (conflict.type, own.union(*(g[1] for g in mine)),
                  [*(c for g in mine for c in g[2]), conflict])  # fmt: skip
        groups = [g for g in groups if g not in mine]
        groups.append(joined)
    return [group for _, _, group in groups]


def gravest(severities: Iterable[Severity]) -> Severity:
    """The highest of several severities."""
    return max(severities, key=_STEPS.index)


def dispute_id(
    key: bytes, *, patient_key: str, site: str | None, kind: str, findings: Sequence[Finding]
) -> str:
    """The name of a dispute: the same whenever the same tools disagree again about the same thing.

    It is a keyed hash, so that it says nothing of the patient; study and encounter count, values do
    not.
    """
    tools = sorted({finding.tool for finding in findings})
    about = sorted({(f.target or f.code).display or f.code.code or "" for f in findings})
    occasion = sorted({f.study or f.encounter or "" for f in findings})
    named = orjson.dumps([patient_key, site, kind, tools, about, occasion])
    return "cfl_" + b32encode(hmac.digest(key, named, "sha256"))[:26].decode("ascii")
