"""The trail in one SQLite file: WAL, synchronous=FULL, one thread that writes."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from itertools import chain
from pathlib import Path
from typing import TypeVar

from careweir.audit.entry import COLUMNS, LIFTED, Encoded, Query, Row, timestamp
from careweir.audit.filecheck import seal_file, seal_path
from careweir.audit.store import SCHEMA_VERSION, SEAL_ROWS_MAX, Archived, Head, Run, Seal
from careweir.audit.where import Bound, Terms
from careweir.errors import AuditUnavailable, ConfigInvalid

DATABASE_FILE = "audit.db"
WRITERS_DIR = "audit-writers"
APPLICATION_ID = 0x63727772  # "crwr"
BUSY_MS = 2_000
FEW = 2_000  # disclosures
WIDE = 1_000_000  # entries

OBJECTS = "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
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
_IMMUTABLE = "an audit entry is never changed or removed"

_SCHEMA_1: dict[str, str] = {
    "audit_schema": "CREATE TABLE audit_schema (version INTEGER PRIMARY KEY)",
    "audit_entry": """CREATE TABLE audit_entry (
  position INTEGER PRIMARY KEY,
  writer TEXT NOT NULL,
  seq INTEGER NOT NULL,
  prev_hash BLOB NOT NULL,
  hash BLOB NOT NULL,
  mac BLOB NOT NULL,
  body BLOB NOT NULL,
  actor TEXT,
  client TEXT,
  disclosure TEXT,
  inference TEXT,
  outcome TEXT,
  patient_key TEXT,
  recorded TEXT NOT NULL,
  tool TEXT,
  type TEXT NOT NULL
)""",
    "audit_seal": """CREATE TABLE audit_seal (
  start INTEGER PRIMARY KEY,
  size INTEGER NOT NULL,
  ranges TEXT NOT NULL,
  note TEXT NOT NULL
)""",
    "audit_place": "CREATE UNIQUE INDEX audit_place ON audit_entry (writer, seq)",
    "audit_recorded": "CREATE INDEX audit_recorded ON audit_entry (recorded)",
    "audit_type": "CREATE INDEX audit_type ON audit_entry (type)",
    "audit_disclosure": "CREATE INDEX audit_disclosure ON audit_entry (disclosure, type)"
    " WHERE disclosure IS NOT NULL",
    **{
        f"audit_{name}": f"CREATE INDEX audit_{name} ON audit_entry ({name})"
        f" WHERE {name} IS NOT NULL"
        for name in ("inference", "patient_key", "actor", "tool")
    },
    "audit_seal_no_update": "CREATE TRIGGER audit_seal_no_update BEFORE UPDATE ON audit_seal"
    f" BEGIN SELECT RAISE(ABORT, '{_IMMUTABLE}'); END",
    "audit_seal_no_delete": "CREATE TRIGGER audit_seal_no_delete BEFORE DELETE ON audit_seal"
    f" BEGIN SELECT RAISE(ABORT, '{_IMMUTABLE}'); END",
    "audit_no_update": "CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit_entry"
    f" BEGIN SELECT RAISE(ABORT, '{_IMMUTABLE}'); END",
    "audit_no_delete": "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit_entry"
    f" BEGIN SELECT RAISE(ABORT, '{_IMMUTABLE}'); END",
    "audit_no_replace": "CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit_entry"  # noqa: S608
    " WHEN NEW.position >= 0 OR EXISTS"  # -1 where SQLite is to choose; only REPLACE names one
    " (SELECT 1 FROM audit_entry WHERE writer = NEW.writer AND seq = NEW.seq)"
    f" BEGIN SELECT RAISE(ABORT, '{_IMMUTABLE}'); END",
}

_SCHEMA_2 = (
    *(f"ALTER TABLE audit_entry ADD COLUMN {name} TEXT" for name in LIFTED),
    *(
        f"CREATE INDEX audit_{name} ON audit_entry ({name}) WHERE {name} IS NOT NULL"
        for name in ("client", "outcome", *LIFTED)
    ),
)
_SCHEMA_3 = (
    """CREATE TABLE audit_archive (
  start INTEGER PRIMARY KEY,
  size INTEGER NOT NULL,
  hashes BLOB NOT NULL,
  file TEXT NOT NULL
)""",
)
STEPS = (
    tuple(_SCHEMA_1.values()),
    _SCHEMA_2,
    _SCHEMA_3,
)  # step n leads from schema n to schema n + 1


def schema() -> dict[str, str]:
    """The statement of each object, as SQLite writes it down after all steps."""
    with closing(sqlite3.connect(":memory:")) as db:
        for statement in chain.from_iterable(STEPS):
            db.execute(statement)
        return dict(db.execute(OBJECTS))


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
        _migrate(self._connection())
        self._life = _show_life(self._writers, writer)

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
            db.execute(_SCHEMA_1["audit_no_delete"])
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
        where, values = _where(self._read(), query)
        limit = -1 if query.limit is None else query.limit
        found = self._read().execute(
            f"SELECT count(*) FROM (SELECT 1 FROM audit_entry WHERE {where} LIMIT ?)",  # noqa: S608
            (*values, limit),
        )
        return int(found.fetchone()[0])

    def _page(self, query: Query, size: int) -> list[tuple[int, Row]]:
        where, values = _where(self._read(), query)
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


def _migrate(db: sqlite3.Connection) -> None:
    """Bring the schema up to date, or refuse one that is newer."""
    db.execute("BEGIN IMMEDIATE")
    known = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'audit_schema'").fetchone()
    version = db.execute("SELECT max(version) FROM audit_schema").fetchone()[0] if known else 0
    if version > SCHEMA_VERSION:
        db.execute("ROLLBACK")
        raise ConfigInvalid(
            f"the audit database has schema {version}; this careweir knows {SCHEMA_VERSION}"
        )
    for number, step in enumerate(STEPS[version:], start=version + 1):
        for statement in step:
            db.execute(statement)
        db.execute("INSERT INTO audit_schema VALUES (?)", (number,))
    if not known:
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute("COMMIT")


def _where(db: sqlite3.Connection, query: Query) -> tuple[str, Bound]:
    few = query.ended is None or _are_few(db, query.ended)
    terms = Terms("audit_entry", "audit_entry", lambda _: "?", hint=True, few_ends=few)
    where = terms.all_of(query)
    if terms.weak and (query.since is not None or query.until is not None):
        where += f" AND {_between(db, query)}"
    return where, terms.values


def _between(db: sqlite3.Connection, query: Query) -> str:
    """Where in the record a span of time lies: so that a search need not walk past it.

    Exact, by the index of times alone; where the span is most of the record it is left out.
    """
    since = timestamp(query.since) if query.since else ""
    until = timestamp(query.until) if query.until else "~"  # after every time
    limit = -1 if query.until else WIDE + 1
    count, low, high = db.execute(
        "SELECT count(*), min(position), max(position) FROM (SELECT position FROM audit_entry"
        " INDEXED BY audit_recorded WHERE recorded >= ? AND recorded < ? LIMIT ?)",
        (since, until, limit),
    ).fetchone()
    if count == 0:
        return "1 = 0"
    return "1 = 1" if count > WIDE and not query.until else f"position BETWEEN {low} AND {high}"


def _are_few(db: sqlite3.Connection, outcomes: tuple[str, ...]) -> bool:
    """Are there so few of these outcomes that a search had better begin with them?"""
    marks = ", ".join("?" * len(outcomes))
    found = db.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM audit_entry WHERE outcome IN ({marks}) LIMIT ?)",  # noqa: S608
        (*outcomes, FEW + 1),
    )
    return bool(found.fetchone()[0] <= FEW)


def _show_life(directory: Path, writer: str) -> tuple[Path, int]:
    """Hold a lock for as long as this process lives: the kernel lets go of it when it dies."""
    path = directory / f"{writer}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return path, descriptor


def is_alive(directory: Path, writer: str) -> bool:
    """Does a running process hold this writer's lock? Reads only."""
    try:
        descriptor = os.open(directory / f"{writer}.lock", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def is_any_alive(directory: Path, *, but: tuple[Path, int] | None = None) -> bool:
    """Does any writer run, ``but`` this one?"""
    own = but[0].stem if but else None
    writers = {path.stem for path in directory.glob("*.lock")} - {own}
    return any(is_alive(directory, writer) for writer in writers)


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
