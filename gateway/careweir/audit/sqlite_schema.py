"""The tables of the trail in SQLite, step by step, and how an older schema becomes this one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import chain

from careweir.audit.entry import LIFTED
from careweir.audit.store import SCHEMA_VERSION
from careweir.errors import ConfigInvalid

APPLICATION_ID = 0x63727772  # "crwr"
OBJECTS = "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
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

NO_DELETE = _SCHEMA_1["audit_no_delete"]
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
STEPS: tuple[tuple[str, ...], ...] = (
    tuple(_SCHEMA_1.values()),
    _SCHEMA_2,
    _SCHEMA_3,
    (),  # row security, which SQLite does not have
)  # step n leads from schema n to schema n + 1


def schema() -> dict[str, str]:
    """The statement of each object, as SQLite writes it down after all steps."""
    with closing(sqlite3.connect(":memory:")) as db:
        for statement in chain.from_iterable(STEPS):
            db.execute(statement)
        return dict(db.execute(OBJECTS))


def migrate(db: sqlite3.Connection) -> None:
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
