"""The state in one SQLite file: WAL, synchronous=FULL, one thread that writes in groups."""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from careweir.errors import ConfigInvalid, StateUnavailable
from careweir.state.record import Find, Row
from careweir.state.sql import ROW_SQL, find_sql
from careweir.state.store import SCHEMA_VERSION, Held, Tags

DATABASE_FILE = "state.sqlite"
APPLICATION_ID = 0x63727773  # "crws"
BUSY_MS = 5_000
BATCH_MAX = 256

SCHEMA = (
    "CREATE TABLE state_schema (version INTEGER PRIMARY KEY)",
    """CREATE TABLE state_record (
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  version INTEGER NOT NULL,
  site TEXT,
  created_us INTEGER NOT NULL,
  expires_us INTEGER,
  sealed BLOB NOT NULL,
  PRIMARY KEY (kind, key)
)""",
    """CREATE TABLE state_tag (
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  created_us INTEGER NOT NULL,
  key TEXT NOT NULL,
  PRIMARY KEY (kind, key, name),
  FOREIGN KEY (kind, key) REFERENCES state_record (kind, key) ON DELETE CASCADE
) WITHOUT ROWID""",
    "CREATE INDEX state_order ON state_record (kind, created_us, key)",
    "CREATE INDEX state_expiry ON state_record (expires_us) WHERE expires_us IS NOT NULL",
    "CREATE INDEX state_search ON state_tag (kind, name, value, created_us, key)",
)
_INSERT = (
    "INSERT INTO state_record VALUES (?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (kind, key) DO UPDATE SET version = excluded.version, site = excluded.site,"
    " created_us = excluded.created_us, expires_us = excluded.expires_us, sealed = excluded.sealed"
    " WHERE state_record.expires_us <= ?"
)
# What is wrong with one write, and not with the database.
ITS_OWN = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError, ValueError,
           TypeError, OverflowError)  # fmt: skip
_T = TypeVar("_T")


class _Write(NamedTuple):
    work: Callable[[sqlite3.Connection], Any]
    done: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


_Ended = tuple[_Write, Any, Exception | None]  # what came of it, or why nothing did


class SqliteBackend:
    """Keeps ``Backend`` over ``data_dir/state.sqlite``."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / DATABASE_FILE
        self._db: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="state-read")
        self._writes: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._writing = threading.Thread(target=self._run, name="state-write", daemon=True)
        self._writing.start()

    async def start(self) -> None:
        await self._write(lambda _db: None)

    async def insert(self, row: Row, tags: Tags, *, now_us: int) -> bool:
        def work(db: sqlite3.Connection) -> bool:
            if db.execute(_INSERT, (*row, now_us)).rowcount != 1:
                return False
            _tag(db, row, tags)
            return True

        return await self._write(work)

    async def replace(self, row: Row, tags: Tags, *, expected: int) -> bool:
        def work(db: sqlite3.Connection) -> bool:
            done = db.execute(
                "UPDATE state_record SET version = ?, expires_us = ?, sealed = ?"
                " WHERE kind = ? AND key = ? AND version = ?",
                (row.version, row.expires_us, row.sealed, row.kind, row.key, expected),
            )
            if done.rowcount != 1:
                return False
            _tag(db, row, tags)
            return True

        return await self._write(work)

    async def get(self, kind: str, key: str) -> Held | None:
        sql = f"SELECT {ROW_SQL} FROM state_record AS r WHERE r.kind = ? AND r.key = ?"  # noqa: S608
        held = await self._read(lambda: self._fetch(sql, [kind, key]))
        return held[0] if held else None

    async def find(self, find: Find) -> list[Held]:
        sql, values = find_sql(find, record="state_record", tag="state_tag")
        return await self._read(lambda: self._fetch(sql, values))

    async def delete(self, kind: str, key: str) -> bool:
        sql = "DELETE FROM state_record WHERE kind = ? AND key = ?"
        return await self._write(lambda db: db.execute(sql, (kind, key)).rowcount == 1)

    async def purge(self, now_us: int) -> int:
        sql = "DELETE FROM state_record WHERE expires_us <= ?"
        return await self._write(lambda db: db.execute(sql, (now_us,)).rowcount)

    async def now_us(self) -> int:
        return time.time_ns() // 1000  # one machine: its clock is the database's

    async def close(self) -> None:
        self._writes.put(None)
        await asyncio.to_thread(self._writing.join)
        await asyncio.get_running_loop().run_in_executor(self._reading, self._drop_reader)
        self._reading.shutdown(wait=False)

    # --- on the threads -----------------------------------------------------------------------

    async def _write(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        if not self._writing.is_alive():
            raise StateUnavailable("the state database is closed")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[_T] = loop.create_future()
        self._writes.put(_Write(work, done, loop))
        try:
            return await done
        except (sqlite3.Error, OSError):
            raise StateUnavailable("the state database does not work", retry_after_s=1) from None

    async def _read(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._reading, work)
        except (sqlite3.Error, OSError):
            raise StateUnavailable("the state database does not work", retry_after_s=1) from None

    def _run(self) -> None:
        """Take what has gathered, commit it as one transaction, tell each caller."""
        while (first := self._writes.get()) is not None:
            batch, last = [first], False
            with suppress(queue.Empty):
                while len(batch) < BATCH_MAX and not last:
                    more = self._writes.get_nowait()
                    last = more is None
                    batch += [more] if more is not None else []
            _tell(self._commit([one for one in batch if not one.done.cancelled()]))
            if last:
                break
        self._drop_writer()

    def _commit(self, batch: list[_Write]) -> list[_Ended]:
        """All of them in one transaction; one that cannot be stored leaves the others alone."""
        try:
            db = self._connection()
            db.execute("BEGIN IMMEDIATE")
            results = [one.work(db) for one in batch]
            db.execute("COMMIT")
        except Exception as error:
            self._drop_writer()  # rolls back; the next batch connects anew
            if isinstance(error, ITS_OWN) and len(batch) > 1:
                return [ended for one in batch for ended in self._commit([one])]
            return [(one, None, error) for one in batch]
        return [(one, result, None) for one, result in zip(batch, results, strict=True)]

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            db = _connect(self._path, "rw")
            try:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = FULL")
                db.execute("PRAGMA foreign_keys = ON")
                _migrate(db)
            except BaseException:
                db.close()
                raise
            self._db = db
        return self._db

    def _fetch(self, sql: str, values: list[Any]) -> list[Held]:
        if self._reader is None:
            self._reader = _connect(self._path, "ro")
        try:
            rows = [Row(*row) for row in self._reader.execute(sql, values)]
            return [Held(row, _tags(self._reader, row)) for row in rows]
        except sqlite3.Error:
            self._drop_reader()
            raise

    def _drop_writer(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _drop_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _tell(ended: list[_Ended]) -> None:
    """Wake an event loop once for all that it waits for."""
    for loop in {one.loop for one, _, _ in ended}:
        with suppress(RuntimeError):  # it has ended, and nobody waits
            loop.call_soon_threadsafe(_settle, [each for each in ended if each[0].loop is loop])


def _settle(ended: list[_Ended]) -> None:
    for one, result, error in ended:
        if one.done.done():
            continue  # its caller was cancelled
        if error is None:
            one.done.set_result(result)
        else:
            one.done.set_exception(error)


def _tag(db: sqlite3.Connection, row: Row, tags: Tags) -> None:
    db.execute("DELETE FROM state_tag WHERE kind = ? AND key = ?", (row.kind, row.key))
    db.executemany(
        "INSERT INTO state_tag VALUES (?, ?, ?, ?, ?)",
        [(row.kind, name, value, row.created_us, row.key) for name, value in tags.items()],
    )


def _tags(db: sqlite3.Connection, row: Row) -> Tags:
    sql = "SELECT name, value FROM state_tag WHERE kind = ? AND key = ? ORDER BY name"
    return dict(db.execute(sql, (row.kind, row.key)).fetchall())


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.resolve().as_uri()}?mode={mode}"
    db = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1000
    )
    db.execute("PRAGMA trusted_schema = OFF")
    return db


def _migrate(db: sqlite3.Connection) -> None:
    """Make the schema, bring it up to date, or refuse one that is newer.

    Schema 2 is row security, which SQLite does not have: nothing but its number changes.
    """
    db.execute("BEGIN IMMEDIATE")
    known = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'state_schema'").fetchone()
    if known is None:
        for statement in SCHEMA:
            db.execute(statement)
        db.execute("INSERT INTO state_schema VALUES (?)", (SCHEMA_VERSION,))
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    (version,) = db.execute("SELECT max(version) FROM state_schema").fetchone()
    if version < SCHEMA_VERSION:
        db.execute("INSERT INTO state_schema VALUES (?)", (SCHEMA_VERSION,))
    db.execute("COMMIT")
    if version > SCHEMA_VERSION:
        raise ConfigInvalid(
            f"the state database has schema {version}; this careweir knows {SCHEMA_VERSION}"
        )
