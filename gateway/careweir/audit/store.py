"""What a database must do for the trail. Two backends keep this, and one contract test asks both.

A store moves rows; it knows nothing of hashes, keys or what an entry means. Every method raises
``AuditUnavailable`` when the database cannot do it now, and may be called again later.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from careweir.audit.entry import Encoded, Query, Row

SCHEMA_VERSION = 4
SEAL_ROWS_MAX = 50_000


class Head(NamedTuple):
    """The last row of one writer's chain."""

    writer: str
    seq: int
    hash: bytes


class Seal(NamedTuple):
    """One step of the tree: from ``start`` leaves to ``size``, what it added, and its note."""

    start: int
    size: int
    ranges: str
    note: str


class Archived(NamedTuple):
    """A run of whole seals whose entries lie in an archive: leaves ``start`` … ``size``.

    ``hashes`` are those of the entries, 32 bytes each, in the order of the leaves.
    """

    start: int
    size: int
    hashes: bytes
    file: str


Run = tuple[str, int, int]  # a writer, and the first and last seq of some of its entries


class Store(Protocol):
    """One connection that writes, and readers beside it."""

    async def start(self, writer: str) -> None:
        """Connect, bring the schema up to date, and show that this writer lives.

        Raises ConfigInvalid when the schema is newer than this program knows.
        """
        ...

    async def commit(self, rows: Sequence[Row]) -> None:
        """Make the rows durable, all or none. After an error neither is certain: ask ``head``."""
        ...

    async def head(self, writer: str) -> Head | None:
        """Where a writer's chain ends."""
        ...

    async def heads(self) -> list[Head]:
        """Where every writer's chain ends."""
        ...

    async def living(self, writers: Collection[str]) -> set[str]:
        """Which of these writers still run."""
        ...

    async def open_intents(self, writer: str, first: int) -> list[Row]:
        """The intents of a writer, from seq ``first`` on, that have no outcome."""
        ...

    async def holds(self, entry: Encoded) -> bool:
        """Is exactly this entry on the record already?"""
        ...

    async def page(self, query: Query, size: int) -> list[tuple[int, Row]]:
        """At most ``size`` rows with their positions, in the query's order, past its ``after``."""
        ...

    async def count(self, query: Query) -> int:
        """How many rows match, at most the query's ``limit``."""
        ...

    async def lead(self) -> bool:
        """Is this process the one that seals? Takes the lead where nobody has it."""
        ...

    async def unsealed(self, sealed: Mapping[str, int]) -> list[Head]:
        """Entries past what is sealed of each writer, by writer and seq, at most a batch."""
        ...

    async def hashes(self, writer: str, first: int, last: int) -> list[Head]:
        """The hashes of a run of one chain, in order."""
        ...

    async def rows(self, writer: str, first: int, last: int) -> list[Row]:
        """The whole rows of a run of one chain, in order."""
        ...

    async def archived(self, start: int) -> Archived | None:
        """The archived leaves that begin at ``start``."""
        ...

    async def put_aside(self, archived: Archived, runs: Sequence[Run]) -> None:
        """Keep the hashes of these runs and drop their entries, in one transaction.

        Only the database's owner can. The triggers that forbid it are back when it is done.
        """
        ...

    async def seals(self) -> list[Seal]:
        """Every seal, in order."""
        ...

    async def add_seal(self, seal: Seal) -> bool:
        """Make a seal durable. False if there is another that starts where this one does."""
        ...

    async def alive(self) -> bool:
        """Is the database where it was?"""
        ...

    async def close(self) -> None:
        """Let go of everything; never raises."""
        ...
