"""Where a verification reads from: a PostgreSQL database, in one snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import asyncpg
from asyncpg.cursor import Cursor

from careweir.audit.entry import Row, agrees
from careweir.audit.postgres import ARCHIVED, ROW_SQL, SEALS, connect, is_alive
from careweir.audit.postgres_schema import POLICIES
from careweir.audit.report import Findings, Problem
from careweir.audit.seal import Begun
from careweir.audit.source import feed_archived
from careweir.audit.store import SCHEMA_VERSION, Archived, Seal
from careweir.audit.walk import Full, Walk
from careweir.audit.walked import RawRow

BATCH_ROWS = 2_000
_TRIGGERS = """
SELECT c.relname,
  bool_or(t.tgname LIKE '%no_change' AND t.tgenabled IN ('O', 'A')) AS guarded,
  bool_or(t.tgname LIKE '%no_truncate' AND t.tgenabled IN ('O', 'A')) AS kept
FROM pg_class AS c LEFT JOIN pg_trigger AS t ON t.tgrelid = c.oid
WHERE c.relnamespace = to_regnamespace('careweir_audit') AND c.relkind IN ('r', 'p')
  AND (c.relname LIKE 'entry%' OR c.relname = 'seal')
GROUP BY c.relname ORDER BY c.relname
"""
_POLICIES = """
SELECT array(SELECT p.polname::text FROM pg_policy AS p WHERE p.polrelid = c.oid ORDER BY p.polname)
  || CASE WHEN c.relrowsecurity THEN '{}'::text[] ELSE '{off}' END
FROM pg_class AS c WHERE c.oid = 'careweir_audit.entry'::regclass
"""


class PostgresSource:
    """Runs an event loop of its own: call ``verify`` from a thread that has none."""

    contiguous = False

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._alive: set[str] = set()
        self.total: int | None = None
        self.seals: Sequence[Seal] = ()
        self.begun: Begun | None = None
        self.archived = 0

    def alive(self, writer: str) -> bool:
        return writer in self._alive

    def feed(self, walk: Walk, findings: Findings) -> Iterator[None]:
        try:
            with asyncio.Runner() as runner:
                try:
                    db = runner.run(connect(self._url))
                except (OSError, TimeoutError):
                    findings.add(Problem("no_trail", detail="the database does not answer"))
                    return
                try:
                    yield from self._feed(runner, db, walk, findings)
                finally:
                    runner.run(db.close())
        except asyncpg.UndefinedObjectError:
            findings.add(Problem("no_trail", detail="no audit schema in this database"))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            findings.add(Problem("unreadable", detail=type(error).__name__))

    def _feed(
        self, runner: asyncio.Runner, db: asyncpg.Connection, walk: Walk, findings: Findings
    ) -> Iterator[None]:
        if not runner.run(_schema_known(db, findings)):
            return
        snapshot = db.transaction(isolation="repeatable_read", readonly=True)
        runner.run(snapshot.start())
        self.total = runner.run(db.fetchval("SELECT count(*) FROM careweir_audit.entry"))
        self.seals = [Seal(*row) for row in runner.run(db.fetch(SEALS))]
        while found := runner.run(db.fetchrow(ARCHIVED, self.archived)):
            kept = Archived(*found)
            feed_archived(walk, self.seals, kept, findings)
            self.archived = max(kept.size, self.archived + 1)
            yield
        cursor = runner.run(_cursor(db))
        while rows := runner.run(cursor.fetch(BATCH_ROWS)):
            walk.take([_raw(row) for row in rows], _full(rows))
            yield
        runner.run(snapshot.rollback())
        self._alive = runner.run(_living(db, list(walk.chains)))


async def _cursor(db: asyncpg.Connection) -> Cursor:
    return await db.cursor(
        f"SELECT position, {ROW_SQL} FROM careweir_audit.entry ORDER BY position"  # noqa: S608
    )


async def _living(db: asyncpg.Connection, writers: list[str]) -> set[str]:
    return {writer for writer in writers if await is_alive(db, writer)}


async def _schema_known(db: asyncpg.Connection, findings: Findings) -> bool:
    if await db.fetchval("SELECT to_regclass('careweir_audit.entry')") is None:
        findings.add(Problem("no_trail", detail="no audit schema in this database"))
        return False
    version = await db.fetchval("SELECT max(version) FROM careweir_audit.schema_version")
    if version is not None and version != SCHEMA_VERSION:
        findings.add(Problem("schema_unknown", detail=f"schema {version}"))
        return False
    for name, guarded, kept in await db.fetch(_TRIGGERS):
        if not (guarded and kept):
            findings.add(Problem("schema_changed", detail=f"a trigger of {name} is off"))
    policies = await db.fetchval(_POLICIES)
    if policies is None or tuple(policies) != POLICIES:
        findings.add(
            Problem("schema_changed", detail="row security of entry is not as it was made")
        )
    return True


def _raw(record: asyncpg.Record) -> RawRow:
    """For the walk; what it is told of the columns is in walk.py."""
    position, *columns = record
    row = Row(*columns)
    told = agrees(row.body, row[6:])
    return (position, *row[:6], row.recorded, row.disclosure, row.type, told)


def _full(records: list[asyncpg.Record]) -> Full:
    return lambda raw: next(Row(*row) for position, *row in records if position == raw[0])
