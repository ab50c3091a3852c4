"""What goes on the record, how it becomes bytes, and what one reads back.

The stored body of an entry is one JSON object whose keys are sorted: the searchable facts first
and what happened last, under ``what``. The facts also stand in columns of their own so that they
can be searched; ``agrees`` makes the same bytes from the columns, so that a verifier can check
that they agree with the hashed body without decoding it. Four facts (``LIFTED``) are taken out of
``what``; entries from before schema 2 do not have them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple, TypeAlias

import orjson

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"

COLUMNS = (
    "actor", "client", "disclosure", "inference", "outcome", "patient_key", "policy", "purpose",
    "recorded", "site", "token", "tool", "type",
)  # fmt: skip
LIFTED = {"policy": "policy_revision", "purpose": "purpose", "site": "site", "token": "token"}
_OLD_COLUMNS = tuple(name for name in COLUMNS if name not in LIFTED)  # before schema 2
_NEW_PLACES = tuple(COLUMNS.index(name) for name in LIFTED)
_WHAT = b',"what":'
_SHAPES = ({*COLUMNS, "what"}, {*_OLD_COLUMNS, "what"})
Values: TypeAlias = "str | tuple[str, ...] | None"


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
    policy: str | None
    purpose: str | None
    recorded: str
    site: str | None
    token: str | None
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
    policy: str | None
    purpose: str | None
    recorded: str
    site: str | None
    token: str | None
    tool: str | None
    type: str


@dataclass(frozen=True, slots=True)
class Query:
    """Which entries to read; every filter that is given must match.

    A fact matches exactly, or is one of several. ``ended`` asks of an intent that an outcome of
    its disclosure is one of these words, ``ended_not`` that it has one and it is none of these.
    ``since`` is inclusive, ``until`` exclusive, both in UTC. ``after`` is the ``position`` of the
    last entry of the page before. ``newest_first`` turns the order round.

    ``within`` is the reader's own site, whatever else is asked: nothing of another site is found,
    and PostgreSQL itself does not show it (row security), should a condition ever be wrong.
    """

    inference: Values = None
    disclosure: Values = None
    patient_key: Values = None
    actor: Values = None
    client: Values = None
    tool: Values = None
    type: Values = None
    outcome: Values = None
    site: Values = None
    purpose: Values = None
    token: Values = None
    policy: Values = None
    writer: str | None = None
    seq: int | None = None
    type_not: tuple[str, ...] = ()
    outcome_not: tuple[str, ...] = ()
    ended: tuple[str, ...] | None = None
    ended_not: tuple[str, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: int | None = None
    limit: int | None = None
    newest_first: bool = False
    within: str | None = None


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
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def encode(entry: Entry, recorded: str) -> Encoded:
    """Fix an entry as bytes; ValueError if it is not JSON, or no database would take it."""
    lifted = [entry.body.get(name) for name in LIFTED.values()]
    policy, purpose, site, token = (v if isinstance(v, str) else None for v in lifted)
    columns = (
        entry.actor, entry.client, entry.disclosure, entry.inference, entry.outcome,
        entry.patient_key, policy, purpose, recorded, site, token, entry.tool, entry.type,
    )  # fmt: skip
    if any(fact is not None and "\0" in fact for fact in columns):
        # PostgreSQL has no such text, and one such entry would hold up all that come after it.
        raise ValueError(f"an audit entry of type {entry.type} holds a NUL")
    try:
        what = orjson.dumps(entry.body, option=orjson.OPT_SORT_KEYS)
        head = _head(COLUMNS, columns)
    except TypeError:
        raise ValueError(f"an audit entry of type {entry.type} is not JSON") from None
    return Encoded(head + what + b"}", *columns)


def _head(names: Sequence[str], columns: Iterable[str | None]) -> bytes:
    return orjson.dumps(dict(zip(names, columns, strict=True)))[:-1] + _WHAT


def agrees(body: bytes, columns: Sequence[str | None]) -> bool:
    """Does a body begin with exactly these facts (in the order of COLUMNS)?

    TypeError where a column is not text.
    """
    if body.startswith(_head(COLUMNS, columns)):
        return True
    if any(columns[place] is not None for place in _NEW_PLACES):
        return False
    old = [value for place, value in enumerate(columns) if place not in _NEW_PLACES]
    return body.startswith(_head(_OLD_COLUMNS, old))


def columns_of(body: bytes) -> tuple[str | None, ...]:
    """The searchable facts that stand in a body; ValueError if it is not one."""
    facts = orjson.loads(body)
    if not isinstance(facts, dict) or set(facts) not in _SHAPES:
        raise ValueError("not the body of an audit entry")
    columns = tuple(facts.get(name) for name in COLUMNS)
    if any(value is not None and not isinstance(value, str) for value in columns):
        raise ValueError("not the body of an audit entry")
    return columns


def encoded_from_body(body: bytes) -> Encoded:
    """Read the searchable facts back out of a stored body; ValueError if it is not one."""
    return Encoded(body, *columns_of(body))  # type: ignore[arg-type]


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
