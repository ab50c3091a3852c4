"""What the store keeps: one record, found by kind and key or by its tags."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

KIND = re.compile(r"[a-z][a-z0-9-]{0,39}")
KEY_MAX = 200
TAGS_MAX = 16
TAG_VALUE_MAX = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Record:
    """One thing to remember. ``kind`` and ``key`` name it; ``version`` changes at each replace.

    ``body`` lies encrypted. ``tags``, ``site`` and the times lie open, so that they can be
    searched: a tag that could tell who a patient is must be a keyed hash. A version is a number
    that no earlier state of the same key had, not even one that was deleted.
    """

    kind: str
    key: str
    version: int
    created_at: datetime
    body: bytes = field(repr=False)
    expires_at: datetime | None = None
    site: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def cursor(self) -> Cursor:
        """Where this record stands in the order of ``find``."""
        return Cursor(micros(self.created_at), self.key)


class Cursor(NamedTuple):
    """A place between two records of one kind: pages go on after it, whatever is added."""

    created_us: int
    key: str


class Put(NamedTuple):
    """What ``put_new`` did: stored the new record, or found the one that is there."""

    record: Record
    stored: bool


class Row(NamedTuple):
    """A record as a database holds it: sealed body, times in microseconds of the epoch."""

    kind: str
    key: str
    version: int
    site: str | None
    created_us: int
    expires_us: int | None
    sealed: bytes


class Find(NamedTuple):
    """A search of one kind: all tags must match; ``site`` None means every site."""

    kind: str
    tags: tuple[tuple[str, str], ...]
    site: str | None
    after: Cursor | None
    limit: int
    newest_first: bool
    now_us: int


def micros(moment: datetime) -> int:
    """Microseconds of the epoch; the moment must carry its zone."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment_of(us: int) -> datetime:
    """The UTC moment of so many microseconds."""
    return _EPOCH + timedelta(microseconds=us)


def check_names(kind: str, key: str, tags: Mapping[str, str]) -> None:
    """Names are our own: a wrong one is a fault of the program, hence ValueError."""
    if KIND.fullmatch(kind) is None or not 0 < len(key) <= KEY_MAX:
        raise ValueError("a record needs a kind and a key within their limits")
    too_long = any(len(value) > TAG_VALUE_MAX for value in tags.values())
    if len(tags) > TAGS_MAX or too_long or any(KIND.fullmatch(name) is None for name in tags):
        raise ValueError("tags are few and short, and named like kinds")
