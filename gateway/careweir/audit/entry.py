"""What goes on the record, how it becomes bytes, and what one reads back.

The stored body of an entry is one JSON object whose keys are sorted: the searchable facts first
and what happened last, under ``what``. The facts also stand in columns of their own so that they
can be searched; ``head_of`` makes the same bytes from the columns, so that a verifier can check
that they agree with the hashed body without decoding it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple, TypeAlias

import orjson

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"

COLUMNS = (
    "actor", "client", "disclosure", "inference", "outcome", "patient_key", "recorded", "tool",
    "type",
)  # fmt: skip
WHAT = b',"what":'


@dataclass(frozen=True, slots=True)
class Entry:
    """One fact for the trail; the trail adds when, and its place in the chain.

    ``type`` is ``open``, ``close``, ``decision``, ``refusal``, ``intent``, ``outcome``,
    ``answer``, ``read`` and so on. Every ``intent`` has a ``disclosure`` of its own, and the
    ``outcome`` that closes it has the same. ``patient_key`` is what ``AuditKeys.patient_key``
    returns, never a reference; ``body`` holds no patient values.
    """

    type: str
    body: Mapping[str, JSON] = field(default_factory=dict)
    inference: str | None = None
    disclosure: str | None = None
    patient_key: str | None = None
    actor: str | None = None
    client: str | None = None
    tool: str | None = None
    outcome: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where an entry stands: proof that it is durable. ``hash`` is hex."""

    writer: str
    seq: int
    hash: str


class Encoded(NamedTuple):
    """An entry as bytes, before it has a place: its stored body and its searchable facts."""

    body: bytes
    actor: str | None
    client: str | None
    disclosure: str | None
    inference: str | None
    outcome: str | None
    patient_key: str | None
    recorded: str
    tool: str | None
    type: str


class Row(NamedTuple):
    """One stored row, as every backend and every export holds it."""

    writer: str
    seq: int
    prev_hash: bytes
    hash: bytes
    mac: bytes
    body: bytes
    actor: str | None
    client: str | None
    disclosure: str | None
    inference: str | None
    outcome: str | None
    patient_key: str | None
    recorded: str
    tool: str | None
    type: str


@dataclass(frozen=True, slots=True)
class Query:
    """Which entries to read; every filter that is given must match exactly.

    ``since`` is inclusive, ``until`` exclusive, both in UTC. ``after`` is the ``position`` of the
    last entry of the page before. ``newest_first`` turns the order round.
    """

    inference: str | None = None
    disclosure: str | None = None
    patient_key: str | None = None
    actor: str | None = None
    tool: str | None = None
    type: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: int | None = None
    limit: int | None = None
    newest_first: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """One entry as read back: its place, when it was recorded, and what was said."""

    position: int
    receipt: Receipt
    recorded: str
    entry: Entry


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds; ``moment`` must know its zone."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone cannot be recorded")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def encode(entry: Entry, recorded: str) -> Encoded:
    """Fix an entry as bytes; ValueError if it is not JSON."""
    facts = {
        "actor": entry.actor,
        "client": entry.client,
        "disclosure": entry.disclosure,
        "inference": entry.inference,
        "outcome": entry.outcome,
        "patient_key": entry.patient_key,
        "recorded": recorded,
        "tool": entry.tool,
        "type": entry.type,
        "what": entry.body,
    }
    try:
        body = orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        raise ValueError(f"an audit entry of type {entry.type} is not JSON") from None
    return Encoded(
        body,
        entry.actor,
        entry.client,
        entry.disclosure,
        entry.inference,
        entry.outcome,
        entry.patient_key,
        recorded,
        entry.tool,
        entry.type,
    )


def head_of(columns: Sequence[str | None]) -> bytes:
    """The first bytes that a body must have for these columns (in the order of COLUMNS)."""
    return orjson.dumps(dict(zip(COLUMNS, columns, strict=True)))[:-1] + WHAT


def encoded_from_body(body: bytes) -> Encoded:
    """Read the searchable facts back out of a stored body; ValueError if it is not one."""
    facts = orjson.loads(body)
    if not isinstance(facts, dict) or set(facts) != {*COLUMNS, "what"}:
        raise ValueError("not the body of an audit entry")
    columns = [facts[name] for name in COLUMNS]
    if any(value is not None and not isinstance(value, str) for value in columns):
        raise ValueError("not the body of an audit entry")
    return Encoded(body, *columns)


def stored(position: int, row: Row) -> Stored:
    """One row as its reader wants it."""
    entry = Entry(
        type=row.type,
        body=orjson.loads(row.body)["what"],
        inference=row.inference,
        disclosure=row.disclosure,
        patient_key=row.patient_key,
        actor=row.actor,
        client=row.client,
        tool=row.tool,
        outcome=row.outcome,
    )
    return Stored(position, Receipt(row.writer, row.seq, row.hash.hex()), row.recorded, entry)
