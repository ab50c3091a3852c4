"""What an auditor looks for: read from a form or an address, written back into addresses.

A patient's reference never becomes part of a ``Search``; only its keyed hash does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from careweir.audit import Query

PATH = "/console/audit"
_WORD = re.compile(r"[a-z][a-z_]{0,39}")
_SHAPES = {
    "patient": (re.compile(r"[0-9a-f]{32}"), "is not the keyed hash of a patient"),
    "actor": (re.compile(r"(?!Patient/)[\x21-\x7e][\x20-\x7e]{0,199}"),
              "is not a person or service; look for a patient in the patient field"),
    "tool": (re.compile(r"[a-z][a-z0-9-]{0,79}"), "is not the name of a tool"),
    "type": (_WORD, "is not a type of entry"),
    "outcome": (_WORD, "is not an outcome"),
    "inference": (re.compile(r"[A-Za-z0-9_-]{1,80}"), "is not the id of a question"),
}  # fmt: skip
_PLACE = re.compile(r"[0-9]{1,15}")
_REFERENCE_MAX = 200
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)
QUIET_TYPES = frozenset({"read", "open", "close"})


@dataclass(frozen=True, slots=True)
class Search:
    """The filters; ``after`` and ``before`` are the place on the way through the pages."""

    patient: str | None = None
    actor: str | None = None
    tool: str | None = None
    type: str | None = None
    outcome: str | None = None
    inference: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    everything: bool = False
    after: int | None = None
    before: int | None = None
    site: str | None = None  # of a reader who is bound to one; it comes from the token

    def query(self) -> Query:
        """The filters for the trail, newest first, without the place."""
        return Query(
            patient_key=self.patient, actor=self.actor, tool=self.tool, type=self.type,
            outcome=self.outcome, inference=self.inference, since=self.since, until=self.until,
            newest_first=True, within=self.site,
        )  # fmt: skip

    def hides(self, kind: str) -> bool:
        """Is this type of entry left out unless it is asked for?"""
        return kind in QUIET_TYPES and not self.everything and self.type != kind

    def filters(self) -> dict[str, str]:
        """The filters that are set, as text, without the place."""
        found = {name: getattr(self, name) for name in _SHAPES}
        found |= {"since": _text(self.since), "until": _text(self.until)}
        found |= {"everything": "1" if self.everything else None}
        return {name: value for name, value in found.items() if value}

    def url(self, path: str = PATH, **changes: object) -> str:
        """The address of this search with some filters changed; the place only if given."""
        fresh = {"after": None, "before": None} | changes
        changed = replace(self, **fresh)  # type: ignore[arg-type]
        parameters = changed.filters()
        parameters |= {n: str(v) for n in ("after", "before") if (v := getattr(changed, n))}
        return f"{path}?{urlencode(parameters)}" if parameters else path

    def named(self) -> str:
        """Which filters are set, for the record: names, and of values only the keyed hash."""
        shown = [f"patient_key {v}" if n == "patient" else n for n, v in self.filters().items()]
        return ", ".join(shown) or "no filter"


def read_search(given: Mapping[str, str]) -> tuple[Search, dict[str, str]]:
    """The search in a form or an address, and what is wrong with it by field."""
    wrong: dict[str, str] = {}
    found: dict[str, object] = {}
    for name, (shape, complaint) in _SHAPES.items():
        if value := given.get(name, "").strip():
            found[name] = value
            if not shape.fullmatch(value):
                wrong[name], found[name] = complaint, None
    for name in ("since", "until"):
        if value := given.get(name, "").strip():
            found[name] = _moment(value, end=name == "until")
            if found[name] is None:
                wrong[name] = "is not a time such as 2026-03-02T08:15"
    for name in ("after", "before"):
        value = given.get(name, "")
        found[name] = int(value) if _PLACE.fullmatch(value) else None
    search = Search(everything=given.get("everything") == "1", **found)  # type: ignore[arg-type]
    if search.since and search.until and search.since >= search.until:
        wrong["until"] = "must be later than the beginning"
    return search, wrong


def with_patient(search: Search, reference: str, key: Callable[[str], str]) -> Search:
    """Narrow a search to a patient by reference; a bare id counts as ``Patient/id``.

    Raises ValueError, without the reference, if there is nothing to look for.
    """
    reference = reference.strip()
    if not reference or len(reference) > _REFERENCE_MAX:
        raise ValueError("is too long to be the reference of a patient")
    named = reference if "/" in reference or ":" in reference else f"Patient/{reference}"
    return replace(search, patient=key(named))


def _moment(value: str, *, end: bool) -> datetime | None:
    """A time in UTC; a bare day counts from its beginning, or to its end."""
    try:
        moment = datetime.fromisoformat(value.removesuffix("Z"))
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        if end and _DAY.fullmatch(value):
            moment += timedelta(days=1)
    except (ValueError, OverflowError):
        return None
    return moment if _EARLIEST <= moment <= _LATEST else None


def _text(moment: datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%S") if moment else None
