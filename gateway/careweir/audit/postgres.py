"""The trail in PostgreSQL: one connection a replica that writes, in a role that can only add.

Rows lie in monthly partitions of ``careweir_audit.entry``. The owner's functions make tables and
partitions; the gateway works as ``careweir_audit_writer``, which may INSERT and SELECT, and
triggers forbid UPDATE, DELETE and TRUNCATE to everybody.

INVARIANT: a writer's connection holds an advisory lock of its own. A replica that lost its
connection in mid-commit takes the lock again before it looks where its chain ends, so that no
commit of the lost connection can come after that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import TypeVar

import asyncpg

from careweir.audit.entry import COLUMNS, Encoded, Query, Row
from careweir.audit.postgres_schema import (
    OWNER_LOCK,
    READER_ROLE,
    WRITER_ROLE,
    migrate,
)
from careweir.audit.store import SEAL_ROWS_MAX, Archived, Head, Run, Seal
from careweir.audit.where import Bound, Terms
from careweir.errors import AuditUnavailable
from careweir.postgres import COMMAND_S, CONNECT_S, see_only

SEALER_LOCK = 0x63727773
SEALS = "SELECT start, size, ranges, note FROM careweir_audit.seal ORDER BY start"

# Every writer by jumps through the primary keys: one step a writer, not one an entry.
_HEADS = """WITH RECURSIVE w AS (SELECT min(writer) AS writer FROM careweir_audit.entry UNION ALL
SELECT (SELECT min(e.writer) FROM careweir_audit.entry AS e WHERE e.writer > w.writer) FROM w
WHERE w.writer IS NOT NULL)
SELECT h.writer, h.seq, h.hash FROM w, LATERAL (SELECT * FROM careweir_audit.entry AS e
WHERE e.writer = w.writer ORDER BY seq DESC LIMIT 1) AS h ORDER BY h.position"""
_T = TypeVar("_T")
_PLACE = ("writer", "seq", "prev_hash", "hash", "mac", "body")
_ROW_COLUMNS = (*_PLACE, *COLUMNS)
ROW_SQL = ", ".join(_ROW_COLUMNS)
_TYPES = ("text", "bigint", "bytea", "bytea", "bytea", "bytea", *["text"] * len(COLUMNS))
_INSERT = (
    f"INSERT INTO careweir_audit.entry ({ROW_SQL}) SELECT * FROM unnest("  # noqa: S608
    + ", ".join(f"${n}::{type_}[]" for n, type_ in enumerate(_TYPES, start=1))
    + ")"
)

ARCHIVED = "SELECT start, size, hashes, file FROM careweir_audit.archive WHERE start = $1"


class PostgresStore:
    """Keeps ``Store`` over one database."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._writer = ""
        self._db: asyncpg.Connection | None = None
        self._reader: asyncpg.Connection | None = None
        self._reading = asyncio.Lock()
        self._sealer: asyncpg.Connection | None = None
        self._sealing = asyncio.Lock()
        self._leading = False
        self._months: set[str] = set()

    async def start(self, writer: str) -> None:
        self._writer = writer
        await self._guard(lambda: migrate(self._url))
        await self._guard(self._connection)

    async def commit(self, rows: Sequence[Row]) -> None:
        await self._guard(lambda: self._commit(rows))

    async def head(self, writer: str) -> Head | None:
        async def ask() -> Head | None:
            db = await self._connection()
            row = await db.fetchrow(
                "SELECT writer, seq, hash FROM careweir_audit.entry WHERE writer = $1"
                " ORDER BY seq DESC LIMIT 1",
                writer,
            )
            return Head(*row) if row else None

        return await self._guard(ask)

    async def heads(self) -> list[Head]:
        return await self._heads_of(self._connection)

    async def _heads_of(
        self, connection: Callable[[], Awaitable[asyncpg.Connection]]
    ) -> list[Head]:
        async def ask() -> list[Head]:
            rows = await (await connection()).fetch(_HEADS)
            return [Head(*row) for row in rows]

        return await self._guard(ask)

    async def living(self, writers: Collection[str]) -> set[str]:
        async def ask() -> set[str]:
            db = await self._connection()
            return {writer for writer in writers if await is_alive(db, writer)}

        return await self._guard(ask)

    async def open_intents(self, writer: str, first: int) -> list[Row]:
        async def ask() -> list[Row]:
            rows = await (await self._connection()).fetch(
                f"SELECT {ROW_SQL} FROM careweir_audit.entry AS i WHERE writer = $1"  # noqa: S608
                " AND seq >= $2 AND type = 'intent' AND NOT EXISTS (SELECT FROM"
                " careweir_audit.entry AS o"
                " WHERE o.disclosure = i.disclosure AND o.type = 'outcome') ORDER BY seq",
                writer,
                first,
            )
            return [Row(*row) for row in rows]

        return await self._guard(ask)

    async def holds(self, entry: Encoded) -> bool:
        async def ask() -> bool:
            found = await (await self._connection()).fetchval(
                "SELECT 1 FROM careweir_audit.entry WHERE recorded = $1 AND body = $2 LIMIT 1",
                entry.recorded,
                entry.body,
            )
            return found is not None

        return await self._guard(ask)

    async def page(self, query: Query, size: int) -> list[tuple[int, Row]]:
        where, values = _where(query)
        order = "DESC" if query.newest_first else "ASC"
        rows = await self._read(
            f"SELECT position, {ROW_SQL} FROM careweir_audit.entry AS entry"  # noqa: S608
            f" WHERE {where} ORDER BY position {order} LIMIT {size:d}",
            values,
            within=query.within,
        )
        return [(position, Row(*row)) for position, *row in rows]

    async def _read(
        self, statement: str, values: Bound, *, within: str | None = None
    ) -> list[asyncpg.Record]:
        async def ask() -> list[asyncpg.Record]:
            async with self._reading:
                if self._reader is None or self._reader.is_closed():
                    self._reader = await connect(self._url)
                return await _fetched(self._reader, statement, values, within)

        return await self._guard(ask)

    async def count(self, query: Query) -> int:
        where, values = _where(query)
        limit = "" if query.limit is None else f"LIMIT {query.limit:d}"
        statement = f"SELECT 1 FROM careweir_audit.entry AS entry WHERE {where} {limit}"  # noqa: S608
        counted = f"SELECT count(*) FROM ({statement}) AS f"  # noqa: S608
        found = await self._read(counted, values, within=query.within)
        return int(found[0][0])

    async def lead(self) -> bool:
        async def ask() -> bool:
            async with self._sealing:
                db = await self._sealer_connection()
                if not self._leading:
                    taken = await db.fetchval("SELECT pg_try_advisory_lock($1)", SEALER_LOCK)
                    self._leading = bool(taken)
            return self._leading

        return await self._guard(ask)

    async def unsealed(self, sealed: Mapping[str, int]) -> list[Head]:
        found: list[Head] = []
        async with self._sealing:
            heads = await self._heads_of(self._sealer_connection)
        for head in heads:
            done = sealed.get(head.writer, 0)
            last = min(head.seq, done + SEAL_ROWS_MAX - len(found))
            if last > done:
                found += await self.hashes(head.writer, done + 1, last)
        return found

    async def hashes(self, writer: str, first: int, last: int) -> list[Head]:
        async def ask() -> list[Head]:
            async with self._sealing:
                rows = await (await self._sealer_connection()).fetch(
                    "SELECT writer, seq, hash FROM careweir_audit.entry WHERE writer = $1"
                    " AND seq BETWEEN $2 AND $3 ORDER BY seq",
                    writer,
                    first,
                    last,
                )
            return [Head(*row) for row in rows]

        return await self._guard(ask)

    async def rows(self, writer: str, first: int, last: int) -> list[Row]:
        found = await self._read(
            f"SELECT {ROW_SQL} FROM careweir_audit.entry WHERE writer = $1"  # noqa: S608
            " AND seq BETWEEN $2 AND $3 ORDER BY seq",
            [writer, first, last],
        )
        return [Row(*row) for row in found]

    async def archived(self, start: int) -> Archived | None:
        found = await self._read(ARCHIVED, [start])
        return Archived(*found[0]) if found else None

    async def put_aside(self, archived: Archived, runs: Sequence[Run]) -> None:
        await self._guard(lambda: put_aside(self._url, archived, runs))

    async def seals(self) -> list[Seal]:
        async def ask() -> list[Seal]:
            async with self._sealing:
                rows = await (await self._sealer_connection()).fetch(SEALS)
            return [Seal(*row) for row in rows]

        return await self._guard(ask)

    async def add_seal(self, seal: Seal) -> bool:
        async def ask() -> bool:
            async with self._sealing:
                db = await self._sealer_connection()
                done = await db.execute(
                    "INSERT INTO careweir_audit.seal VALUES ($1, $2, $3, $4)"
                    " ON CONFLICT DO NOTHING",
                    *seal,
                )
            return bool(done == "INSERT 0 1")

        return await self._guard(ask)

    async def _sealer_connection(self) -> asyncpg.Connection:
        if self._sealer is None or self._sealer.is_closed():
            self._sealer, self._leading = await connect(self._url), False
        return self._sealer

    async def alive(self) -> bool:
        return self._db is not None and not self._db.is_closed()

    async def close(self) -> None:
        for connection in (self._reader, self._sealer, self._db):
            if connection is not None:
                with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                    await connection.close(timeout=CONNECT_S)
        self._db = self._reader = self._sealer = None

    async def _guard(self, work: Callable[[], Awaitable[_T]]) -> _T:
        try:
            return await work()
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            raise AuditUnavailable(_reason(error), retry_after_s=1) from None

    async def _connection(self) -> asyncpg.Connection:
        if self._db is None or self._db.is_closed():
            db = await connect(self._url)
            if not await db.fetchval("SELECT pg_try_advisory_lock($1)", lock_of(self._writer)):
                await db.close()
                raise AuditUnavailable("an earlier connection of this writer still lives")
            self._db = db
        return self._db

    async def _commit(self, rows: Sequence[Row]) -> None:
        db = await self._connection()
        try:
            for month in sorted({row.recorded[:7] for row in rows} - self._months):
                await db.execute(
                    "SELECT careweir_audit.make_partition(to_date($1, 'YYYY-MM'))", month
                )
                self._months.add(month)
            await db.execute(_INSERT, *([row[i] for row in rows] for i in range(len(_TYPES))))
        except BaseException:
            self._months.clear()  # one may have been archived meanwhile
            db.terminate()  # whether it was taken is found out on a new connection
            self._db = None
            raise


async def connect(url: str) -> asyncpg.Connection:
    """A connection that works as the role that can only add, and never without durability."""
    db = await asyncpg.connect(url, timeout=CONNECT_S, command_timeout=COMMAND_S)
    try:
        await db.execute(f"SET ROLE {WRITER_ROLE}; SET synchronous_commit = on")
    except BaseException:
        db.terminate()
        raise
    return db


async def _fetched(
    db: asyncpg.Connection, statement: str, values: Bound, within: str | None
) -> list[asyncpg.Record]:
    """What a statement finds, for a reader of one site or of all (None).

    INVARIANT: a reader's site is known to the database, and not to a condition alone.
    """
    if within is None:
        everything: list[asyncpg.Record] = await db.fetch(statement, *values)
        return everything
    async with db.transaction(readonly=True):
        await see_only(db, READER_ROLE, within)
        found: list[asyncpg.Record] = await db.fetch(statement, *values)
    return found


async def put_aside(url: str, archived: Archived, runs: Sequence[Run]) -> None:
    """Drop runs whose hashes are kept, and the months that are empty then; as the owner."""
    db = await asyncpg.connect(url, timeout=CONNECT_S)
    try:
        async with db.transaction():
            await db.execute("SELECT pg_advisory_xact_lock($1)", OWNER_LOCK)
            await db.execute(
                "INSERT INTO careweir_audit.archive VALUES ($1, $2, $3, $4)", *archived
            )
            months = await db.fetch(
                "SELECT DISTINCT e.tableoid::regclass::text FROM careweir_audit.entry AS e"
                " JOIN unnest($1::text[], $2::bigint[], $3::bigint[]) AS r (writer, first, last)"
                " ON e.writer = r.writer AND e.seq BETWEEN r.first AND r.last",
                *([run[i] for run in runs] for i in range(3)),
            )
            for (month,) in months:
                await db.execute(f"ALTER TABLE {month} DISABLE TRIGGER entry_no_change")
            await db.executemany(
                "DELETE FROM careweir_audit.entry WHERE writer = $1 AND seq BETWEEN $2 AND $3", runs
            )
            for (month,) in months:
                await db.execute(f"ALTER TABLE {month} ENABLE TRIGGER entry_no_change")
                if await db.fetchval(f"SELECT NOT EXISTS (SELECT FROM {month})"):  # noqa: S608
                    await db.execute(f"DROP TABLE {month}")
    finally:
        await db.close()


def lock_of(writer: str) -> int:
    """The advisory lock that a living writer holds."""
    digest = sha256(b"careweir audit writer\n" + writer.encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


async def is_alive(db: asyncpg.Connection, writer: str) -> bool:
    """Does a connection of this writer stand?"""
    if await db.fetchval("SELECT pg_try_advisory_lock_shared($1)", lock_of(writer)):
        await db.execute("SELECT pg_advisory_unlock_shared($1)", lock_of(writer))
        return False
    return True


def _where(query: Query) -> tuple[str, Bound]:
    terms = Terms("careweir_audit.entry", "entry", lambda number: f"${number}", hint=False)
    return terms.all_of(query), terms.values


def _reason(error: Exception) -> str:
    """Why, in our words: the server's could quote what was being written."""
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return "the audit database does not let this role write"
    if isinstance(error, asyncpg.DiskFullError):
        return "the audit database has no room left"
    state = getattr(error, "sqlstate", None)  # asyncpg sets it on each kind of PostgresError
    if isinstance(error, asyncpg.PostgresError) and state and state[:2] != "08":
        return f"the audit database refuses (SQLSTATE {state})"
    return "the audit database does not answer"
