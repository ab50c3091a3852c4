"""The trail in one SQLite file: WAL, synchronous=FULL, one thread that writes."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from careweir.audit.entry import COLUMNS, Encoded, Query, Row
from careweir.audit.filecheck import seal_file, seal_path
from careweir.audit.living import is_alive, is_any_alive, show_life
from careweir.audit.sqlite_schema import NO_DELETE, migrate
from careweir.audit.sqlite_search import where_of
from careweir.audit.store import SEAL_ROWS_MAX, Archived, Head, Run, Seal
from careweir.errors import AuditUnavailable

DATABASE_FILE = "audit.db"
WRITERS_DIR = "audit-writers"
BUSY_MS = 2_000

SEALER_LOCK = "sealer"
# Every writer by jumps through the index of places: one step a writer, not one an entry.
_WRITERS = """WITH RECURSIVE w(writer) AS (SELECT min(writer) FROM audit_entry UNION ALL
SELECT (SELECT min(writer) FROM audit_entry WHERE writer > w.writer) FROM w
WHERE w.writer IS NOT NULL) SELECT writer FROM w WHERE writer IS NOT NULL"""
SEALS = "SELECT start, size, ranges, note FROM audit_seal ORDER BY start"
_T = TypeVar("_T")
_ROW_COLUMNS = ("writer", "seq", "prev_hash", "hash", "mac", "body", *COLUMNS)
ROW_SQL = ", ".join(_ROW_COLUMNS)
_INSERT = f"INSERT INTO audit_entry ({ROW_SQL}) VALUES ({', '.join('?' * len(_ROW_COLUMNS))})"  # noqa: S608


class SqliteStore:
    """Keeps ``Store`` over ``data_dir/audit.db``."""

    def __init__(self, data_dir: Path, mac_key: bytes) -> None:
        self._mac_key = mac_key
        self._path = data_dir / DATABASE_FILE
        self._writers = data_dir / WRITERS_DIR
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="audit-write")
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="audit-read")
        self._db: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._leading: int | None = None
        self._life: tuple[Path, int] | None = None

    async def start(self, writer: str) -> None:
        await self._write(lambda: self._start(writer))

    async def commit(self, rows: Sequence[Row]) -> None:
        await self._write(lambda: self._commit(rows))

    async def head(self, writer: str) -> Head | None:
        return await self._write(lambda: self._head(writer))

    async def heads(self) -> list[Head]:
        return await self._write(self._heads)

    async def living(self, writers: Collection[str]) -> set[str]:
        return await self._write(lambda: {w for w in writers if is_alive(self._writers, w)})

    async def open_intents(self, writer: str, first: int) -> list[Row]:
        return await self._write(lambda: self._open_intents(writer, first))

    async def holds(self, entry: Encoded) -> bool:
        return await self._write(lambda: self._holds(entry))

    async def page(self, query: Query, size: int) -> list[tuple[int, Row]]:
        return await self._call(self._reading, lambda: self._page(query, size))

    async def count(self, query: Query) -> int:
        return await self._call(self._reading, lambda: self._count(query))

    async def lead(self) -> bool:
        return await self._write(self._lead)

    async def unsealed(self, sealed: Mapping[str, int]) -> list[Head]:
        return await self._write(lambda: self._unsealed(sealed))

    async def hashes(self, writer: str, first: int, last: int) -> list[Head]:
        return await self._write(lambda: self._hashes(writer, first, last))

    async def rows(self, writer: str, first: int, last: int) -> list[Row]:
        return await self._call(self._reading, lambda: self._rows(writer, first, last))

    async def archived(self, start: int) -> Archived | None:
        return await self._write(lambda: archived(self._connection(), start))

    async def put_aside(self, archived: Archived, runs: Sequence[Run]) -> None:
        await self._write(lambda: self._put_aside(archived, runs))

    async def seals(self) -> list[Seal]:
        return await self._write(lambda: [Seal(*row) for row in self._connection().execute(SEALS)])

    async def add_seal(self, seal: Seal) -> bool:
        return await self._write(lambda: self._add_seal(seal))

    async def alive(self) -> bool:
        try:
            return self._identity() == self._file
        except OSError:
            return False

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._writing, self._close)
        self._writing.shutdown(wait=False)
        self._reading.shutdown(wait=False)

    # --- on the threads -----------------------------------------------------------------------

    async def _write(self, work: Callable[[], _T]) -> _T:
        return await self._call(self._writing, work)

    async def _call(self, thread: ThreadPoolExecutor, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, work)
        except (sqlite3.Error, OSError) as error:
            raise AuditUnavailable(_reason(error), retry_after_s=1) from None

    def _start(self, writer: str) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._writers.mkdir(mode=0o700, exist_ok=True)
        seal_path(self._path).unlink(missing_ok=True)
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        migrate(self._connection())
        self._life = show_life(self._writers, writer)

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            db = _connect(self._path, "rw")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            self._db, self._file = db, self._identity()
        elif self._identity() != self._file:
            self._drop()
            raise FileNotFoundError
        return self._db

    def _identity(self) -> tuple[int, int]:
        found = self._path.stat()
        return found.st_dev, found.st_ino

    def _drop(self) -> None:
        # The one that may write goes last: the last to go empties the write-ahead log.
        for connection in (self._reader, self._db):
            if connection is not None:
                connection.close()
        self._db = self._reader = None

    def _commit(self, rows: Sequence[Row]) -> None:
        try:
            db = self._connection()
            db.execute("BEGIN IMMEDIATE")
            db.executemany(_INSERT, rows)
            db.execute("COMMIT")
        except (sqlite3.Error, OSError):
            self._drop()  # rolls back; the next call connects anew
            raise

    def _head(self, writer: str) -> Head | None:
        row = (
            self._connection()
            .execute(
                "SELECT writer, seq, hash FROM audit_entry WHERE writer = ?"
                " ORDER BY seq DESC LIMIT 1",
                (writer,),
            )
            .fetchone()
        )
        return Head(*row) if row else None

    def _heads(self) -> list[Head]:
        writers = self._connection().execute(_WRITERS).fetchall()
        heads = (self._head(writer) for (writer,) in writers)
        return [head for head in heads if head]

    def _open_intents(self, writer: str, first: int) -> list[Row]:
        rows = self._connection().execute(
            f"SELECT {ROW_SQL} FROM audit_entry AS i WHERE writer = ? AND seq >= ?"  # noqa: S608
            " AND +type = 'intent'"
            " AND NOT EXISTS (SELECT 1 FROM audit_entry AS o"
            " WHERE o.disclosure = i.disclosure AND o.type = 'outcome') ORDER BY seq",
            (writer, first),
        )
        return [Row(*row) for row in rows]

    def _lead(self) -> bool:
        if self._leading is None:
            path = self._writers / SEALER_LOCK
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            self._leading = descriptor
        return True

    def _unsealed(self, sealed: Mapping[str, int]) -> list[Head]:
        found: list[Head] = []
        for head in self._heads():
            done = sealed.get(head.writer, 0)
            last = min(head.seq, done + SEAL_ROWS_MAX - len(found))
            if last > done:
                found += self._hashes(head.writer, done + 1, last)
        return found

    def _hashes(self, writer: str, first: int, last: int) -> list[Head]:
        rows = self._connection().execute(
            "SELECT writer, seq, hash FROM audit_entry WHERE writer = ?"
            " AND seq BETWEEN ? AND ? ORDER BY seq",
            (writer, first, last),
        )
        return [Head(*row) for row in rows]

    def _rows(self, writer: str, first: int, last: int) -> list[Row]:
        found = self._read().execute(
            f"SELECT {ROW_SQL} FROM audit_entry WHERE writer = ?"  # noqa: S608
            " AND seq BETWEEN ? AND ? ORDER BY seq",
            (writer, first, last),
        )
        return [Row(*row) for row in found]

    def _put_aside(self, archived: Archived, runs: Sequence[Run]) -> None:
        try:
            db = self._connection()
            db.execute("PRAGMA secure_delete = ON")  # nothing of them stays in free pages
            db.execute("BEGIN IMMEDIATE")
            db.execute("INSERT INTO audit_archive VALUES (?, ?, ?, ?)", archived)
            db.execute("DROP TRIGGER audit_no_delete")
            db.executemany("DELETE FROM audit_entry WHERE writer = ? AND seq BETWEEN ? AND ?", runs)
            db.execute(NO_DELETE)
            db.execute("COMMIT")
        except (sqlite3.Error, OSError):
            self._drop()
            raise

    def _add_seal(self, seal: Seal) -> bool:
        try:
            self._connection().execute("INSERT INTO audit_seal VALUES (?, ?, ?, ?)", seal)
        except sqlite3.IntegrityError:
            return False
        return True

    def _holds(self, entry: Encoded) -> bool:
        found = self._connection().execute(
            "SELECT 1 FROM audit_entry WHERE recorded = ? AND body = ?",
            (entry.recorded, entry.body),
        )
        return found.fetchone() is not None

    def _read(self) -> sqlite3.Connection:
        if self._reader is None:
            self._reader = _connect(self._path, "ro")
        return self._reader

    def _count(self, query: Query) -> int:
        where, values = where_of(self._read(), query)
        limit = -1 if query.limit is None else query.limit
        found = self._read().execute(
            f"SELECT count(*) FROM (SELECT 1 FROM audit_entry WHERE {where} LIMIT ?)",  # noqa: S608
            (*values, limit),
        )
        return int(found.fetchone()[0])

    def _page(self, query: Query, size: int) -> list[tuple[int, Row]]:
        where, values = where_of(self._read(), query)
        order = "DESC" if query.newest_first else "ASC"
        rows = self._read().execute(
            f"SELECT position, {ROW_SQL} FROM audit_entry WHERE {where}"  # noqa: S608
            f" ORDER BY position {order} LIMIT ?",
            (*values, size),
        )
        return [(position, Row(*row)) for position, *row in rows]

    def _close(self) -> None:
        with suppress(sqlite3.Error, OSError):
            at_rest = self._db is not None and self._identity() == self._file
            self._drop()
            if at_rest and not is_any_alive(self._writers, but=self._life):
                seal_file(self._path, self._mac_key)
        if self._leading is not None:
            os.close(self._leading)
            self._leading = None
        with suppress(OSError):
            if self._life is not None:
                path, descriptor = self._life
                path.unlink(missing_ok=True)
                os.close(descriptor)
                self._life = None


def archived(db: sqlite3.Connection, start: int) -> Archived | None:
    """The archived leaves that begin at ``start``."""
    row = db.execute(
        "SELECT start, size, hashes, file FROM audit_archive WHERE start = ?", (start,)
    ).fetchone()
    return Archived(*row) if row else None


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.resolve().as_uri()}?mode={mode}"
    db = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1000
    )
    db.execute("PRAGMA trusted_schema = OFF")
    return db


def _reason(error: Exception) -> str:
    """Why, in our words: SQLite's own text could quote what was being written."""
    name = getattr(error, "sqlite_errorname", "") or ""
    if "FULL" in name:
        return "the audit database has no room left"
    if "READONLY" in name or isinstance(error, PermissionError):
        return "the audit database cannot be written to"
    if "BUSY" in name or "LOCKED" in name:
        return "the audit database is held by somebody else"
    if "CANTOPEN" in name or isinstance(error, FileNotFoundError | NotADirectoryError):
        return "the audit database is not where it was"
    if "CORRUPT" in name or "NOTADB" in name:
        return "the audit database is damaged"
    return "the audit database does not work"
