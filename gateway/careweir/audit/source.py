"""Where a verification reads from, always without writing: the SQLite file."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Protocol

from careweir.audit.entry import COLUMNS, Row
from careweir.audit.filecheck import file_damage, wal_damage
from careweir.audit.living import is_alive, is_any_alive
from careweir.audit.report import Findings, Problem
from careweir.audit.seal import Begun, archived_runs
from careweir.audit.spool import SPOOL_FILE
from careweir.audit.sqlite import DATABASE_FILE, ROW_SQL, SEALS, WRITERS_DIR, archived
from careweir.audit.sqlite_schema import OBJECTS, schema
from careweir.audit.store import SCHEMA_VERSION, Archived, Seal
from careweir.audit.walk import Walk
from careweir.audit.walked import RawRow

BATCH_ROWS = 1_000
WAIT_S = 2.0  # between signs of life while SQLite checks its indexes
MMAP_BYTES = 1 << 40
CACHE_KIB = 128 * 1024
# A damaged schema may be quoted in an error text that is no UTF-8 itself.
DAMAGE = (sqlite3.Error, UnicodeDecodeError)
_SKIP_MAX = 1 << 20  # how far past a damaged place to look for the next row
# The beginning that the body must have, made from the columns. SQLite escapes some characters
# in another way than the body does; then 0 comes out, and ``full`` has the last word.
_AGREES = (
    "instr(body, CAST(rtrim(json_object("
    + ", ".join(f"'{name}', {name}" for name in COLUMNS)
    + "), '}') AS BLOB)) = 1"
)
_HOT = "position, writer, seq, prev_hash, hash, mac, body, recorded, disclosure, type"
_FROM = "FROM audit_entry WHERE position > ? ORDER BY position"
_FAST = f"SELECT {_HOT}, {_AGREES} {_FROM}"
_SLOW = f"SELECT {_HOT}, 0 {_FROM}"
# Of one writer whose entries stand ``lag`` places behind their position: less is read, and SQLite
# compares what need not become an object of Python.
_RUN = f"""SELECT position, prev_hash, hash, mac, body, recorded, type, disclosure,
writer = ? AND seq = position - ? AND {_AGREES} FROM audit_entry
WHERE position > ? AND position <= ? ORDER BY position"""  # noqa: S608


class Source(Protocol):
    """Rows to verify, in the order in which each writer wrote them."""

    contiguous: bool
    total: int | None
    seals: Sequence[Seal]  # known from the first step of ``feed`` on, as are the next two
    begun: Begun | None  # where the tree stood before the first seal, if not at its root
    archived: int  # how many leaves of the tree lie in archives

    def feed(self, walk: Walk, findings: Findings) -> Iterator[None]:
        """Give ``walk`` all rows, a batch a step, and tell it what cannot be read."""
        ...

    def alive(self, writer: str) -> bool:
        """Does this writer run now?"""
        ...


class SqliteSource:
    """The file of ``SqliteStore``, opened read-only; its gateway may be running."""

    contiguous = True

    def __init__(self, data_dir: Path, mac_keys: Sequence[bytes]) -> None:
        self._mac_keys = mac_keys
        self._path = data_dir / DATABASE_FILE
        self._log = self._path.with_name(self._path.name + "-wal")
        self._spool = data_dir / SPOOL_FILE
        self._writers = data_dir / WRITERS_DIR
        self.total: int | None = None
        self.seals: Sequence[Seal] = ()
        self.begun: Begun | None = None
        self.archived = 0

    def alive(self, writer: str) -> bool:
        return is_alive(self._writers, writer)

    def feed(self, walk: Walk, findings: Findings) -> Iterator[None]:
        if not self._path.is_file() or not self._path.stat().st_size:
            findings.add(Problem("no_trail", detail="no audit database in this directory"))
            return
        if self._spool.is_file() and self._spool.stat().st_size:
            findings.add(Problem("spool_waiting"))
        self._check_log(findings)
        try:
            with closing(self._open()) as db:
                db.execute(f"PRAGMA mmap_size = {MMAP_BYTES}")  # twice as fast: nothing is copied
                yield from self._checked(db, walk, findings)
        except DAMAGE as error:
            findings.add(Problem("unreadable", detail=_words(error)))
        if not self._log_holds_rows():
            damage = file_damage(self._path, self._mac_keys)
            if damage is not None:
                findings.add(Problem("file_changed", detail=damage))

    def _checked(self, db: sqlite3.Connection, walk: Walk, findings: Findings) -> Iterator[None]:
        if not _schema_known(db, findings):
            return
        (self.total,) = db.execute("SELECT max(position) FROM audit_entry").fetchone()
        self.seals = [Seal(*row) for row in db.execute(SEALS)]
        while (kept := archived(db, self.archived)) is not None:
            feed_archived(walk, self.seals, kept, findings)
            self.archived = max(kept.size, self.archived + 1)
            self.contiguous = walk.contiguous = False
            yield
        with ThreadPoolExecutor(1, thread_name_prefix="audit-check") as side:
            structure = side.submit(self._structure)
            yield from self._rows(db, walk)
            while wait([structure], WAIT_S).not_done:
                yield
            _report_structure(db, structure, findings)

    def _check_log(self, findings: Findings) -> None:
        """Only of a trail at rest: in one that runs, frames come and go while one looks."""
        if not self._log_holds_rows() or is_any_alive(self._writers):
            return
        damage = wal_damage(self._log)
        if damage is not None:
            certain, where = damage
            findings.add(Problem("unreadable" if certain else "torn_log", detail=where))

    def _log_holds_rows(self) -> bool:
        try:
            return self._log.stat().st_size > 0
        except OSError:
            return False

    def _open(self) -> sqlite3.Connection:
        """Read-only. Without a write-ahead log nobody writes, and nothing at all is touched."""
        mode = "mode=ro" if self._log_holds_rows() else "immutable=1"
        uri = f"{self._path.resolve().as_uri()}?{mode}"
        db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("PRAGMA cell_size_check = ON")
        return db

    def _rows(self, db: sqlite3.Connection, walk: Walk) -> Iterator[None]:
        full = partial(_full, db)
        after = 0
        while True:
            try:
                while run := _run(db, walk, after):
                    after += run
                    yield
                rows = db.execute(_FAST, (after,)).fetchmany(BATCH_ROWS)
                if not rows:
                    return
                walk.take(rows, full)
                after = max(after, rows[-1][0])  # damage may turn the order round
                yield
            except DAMAGE:
                rows, reason = _one_by_one(db, after)
                walk.take(rows, full)
                yield
                if reason is None and rows and rows[-1][0] > after:
                    after = rows[-1][0]
                    continue
                if reason is None:
                    return
                after = max(after, rows[-1][0]) if rows else after + 1
                walk.unreadable(f"position {after + 1}: {reason}")
                following = _next_readable(db, after)
                if following is None:
                    return
                after = following - 1

    def _structure(self) -> list[str]:
        """SQLite's own check of pages and indexes, beside the walk."""
        try:
            with closing(self._open()) as db:
                db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")  # a third less CPU than by mmap
                db.text_factory = _lenient
                return [str(row[0]) for row in db.execute("PRAGMA integrity_check(20)")]
        except DAMAGE as error:
            return [_words(error)]


def _run(db: sqlite3.Connection, walk: Walk, after: int) -> int:
    """Take the next entries if they are all of the writer before them, and sound; how many."""
    place = walk.place()
    if place is None or place.position != after:
        return 0
    bounds = (place.writer, after - place.seq, after, after + BATCH_ROWS)
    rows = db.execute(_RUN, bounds).fetchall()
    if not rows:
        return 0
    positions, prevs, hashes, macs, bodies, recorded, types, disclosures, told = zip(
        *rows, strict=True
    )
    if not all(told) or positions != tuple(range(after + 1, after + len(rows) + 1)):
        return 0
    ahead = walk.ahead(place.writer, bodies, recorded, types)
    if ahead is None or not ahead.fits(prevs, hashes, macs):
        return 0
    walk.follow(ahead, bodies, types, disclosures, positions[-1])
    return len(rows)


def feed_archived(walk: Walk, seals: Sequence[Seal], kept: Archived, findings: Findings) -> None:
    """Give a walk the hashes of archived entries, as far as they fit."""
    try:
        for run, hashes in archived_runs(seals, kept):
            if not walk.archived(run.writer, run.first, hashes):
                break
        else:
            return
    except (ValueError, TypeError):
        pass
    findings.add(Problem("checkpoint_mismatch", detail="an archive does not fit its seals"))


def _schema_known(db: sqlite3.Connection, findings: Findings) -> bool:
    db.text_factory = _lenient
    found = dict(db.execute(OBJECTS))
    db.text_factory = str
    if "audit_schema" in found:
        (version,) = db.execute("SELECT max(version) FROM audit_schema").fetchone()
        if isinstance(version, int) and version != SCHEMA_VERSION and version > 0:
            findings.add(Problem("schema_unknown", detail=f"schema {version}"))
            return False
        if version != SCHEMA_VERSION:
            findings.add(Problem("schema_changed", detail="audit_schema"))
    expected = schema()
    for name in sorted({*found, *expected}):
        if found.get(name) != expected.get(name):
            shown = name if name in expected else "an object that careweir did not make"
            findings.add(Problem("schema_changed", detail=shown))
    return "audit_entry" in found and "audit_seal" in found


def _one_by_one(db: sqlite3.Connection, after: int) -> tuple[list[RawRow], str | None]:
    """The rows before the damage, text kept as it is where it is no UTF-8; and why it ends.

    None if a whole batch could be read after all: then only the fast statement fails here.
    """
    rows: list[RawRow] = []
    db.text_factory = _lenient
    try:
        for row in db.execute(_SLOW, (after,)):
            rows.append(row)
            if len(rows) == BATCH_ROWS:
                return rows, None
    except DAMAGE as error:
        return rows, _words(error)
    finally:
        db.text_factory = str
    return rows, None


def _full(db: sqlite3.Connection, raw: RawRow) -> Row | None:
    """All columns of a row that was just read; None if it cannot be found again."""
    db.text_factory = _lenient
    try:
        found = db.execute(f"SELECT {ROW_SQL} FROM audit_entry WHERE position = ?", raw[:1])  # noqa: S608
        row = found.fetchone()
        return Row(*row) if row else None
    except DAMAGE:
        return None
    finally:
        db.text_factory = str


def _next_readable(db: sqlite3.Connection, after: int) -> int | None:
    step = 2
    while step <= _SKIP_MAX:
        try:
            row = db.execute(_SLOW + " LIMIT 1", (after + step - 1,)).fetchone()
            return row[0] if row and row[0] > after else None
        except DAMAGE:
            step *= 2
    return None


def _report_structure(
    db: sqlite3.Connection, structure: Future[list[str]], findings: Findings
) -> None:
    for message in structure.result():
        if message == "ok":
            continue
        row = re.match(r"row (\d+) missing from index (\w+)", message)
        if row:
            place = _place(db, int(row[1]))
            findings.add(Problem("index_mismatch", *place, f"missing from {row[2]}"))
        elif "index" in message:
            findings.add(Problem("index_mismatch", detail=_short(message)))
        elif not any(p.problem == "unreadable" for p in findings.kept):
            findings.add(Problem("unreadable", detail=_short(message)))


def _place(db: sqlite3.Connection, position: int) -> tuple[str | None, int | None]:
    try:
        query = "SELECT writer, seq FROM audit_entry WHERE position = ?"
        writer, seq = db.execute(query, (position,)).fetchone()
    except (*DAMAGE, TypeError):
        return None, None
    return str(writer), seq if isinstance(seq, int) else None


def _lenient(raw: bytes) -> str:
    """Text as it lies there; what is no UTF-8 becomes surrogates, which match nothing of ours."""
    return raw.decode(errors="surrogateescape")


def _short(message: str) -> str:
    """SQLite's words on structure name pages and indexes, never contents."""
    return " ".join(message.replace("*** in database main ***", "").split())[:120]


def _words(error: Exception) -> str:
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    return f"SQLite cannot read the file ({name})"
