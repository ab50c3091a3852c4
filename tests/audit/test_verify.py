"""Verification: clean is clean, and every kind of tampering has its name."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from audit.conftest import TRIGGERS, Opener, intent, outcome, tampered
from careweir.audit import AuditKeys, verify
from careweir.audit.chain import entry_hash, writer_prefix


def test_an_untouched_trail_is_clean(data_dir: Path, keys: AuditKeys) -> None:
    seen: list[tuple[int, int | None]] = []

    report = verify(data_dir=data_dir, keys=keys, progress=lambda n, of: seen.append((n, of)))

    assert (report.status, report.exit_code, report.first_bad) == ("clean", 0, None)
    assert (report.entries, report.writers, report.open_intents) == (124, 2, 0)
    assert set(seen) == {(124, 124)}
    assert [(head.seq, head.closed) for head in report.heads] == [(62, True), (62, True)]
    assert not report.notes


def test_without_the_key_the_report_says_what_it_did_not_check(data_dir: Path) -> None:
    report = verify(data_dir=data_dir)

    assert report.status == "clean"
    assert not report.mac_checked
    assert "MAC key" in report.notes[0]


CHANGES = [
    ("UPDATE audit_entry SET body = spoil(body) WHERE position = 9", "body_changed", 9),
    ("UPDATE audit_entry SET body = CAST(body AS TEXT) WHERE position = 9", "column_mismatch", 9),
    ("UPDATE audit_entry SET hash = flip(hash) WHERE position = 9", "hash_mismatch", 9),
    ("UPDATE audit_entry SET prev_hash = flip(prev_hash) WHERE position = 9", "chain_broken", 9),
    ("UPDATE audit_entry SET actor = 'dr-2' WHERE position = 9", "column_mismatch", 9),
    ("UPDATE audit_entry SET actor = NULL WHERE position = 9", "column_mismatch", 9),
    ("UPDATE audit_entry SET type = 'outcome' WHERE position = 9", "column_mismatch", 9),
    ("UPDATE audit_entry SET recorded = '2020' WHERE position = 9", "column_mismatch", 9),
    ("UPDATE audit_entry SET recorded = 7 WHERE position = 9", "column_mismatch", 9),
    ("UPDATE audit_entry SET seq = 900 WHERE position = 9", "sequence_gap", 9),
    ("UPDATE audit_entry SET seq = -9 WHERE position = 9", "sequence_gap", -9),
    ("UPDATE audit_entry SET position = 900 WHERE position = 124", "column_mismatch", 62),
    ("DELETE FROM audit_entry WHERE position = 9", "sequence_gap", 10),
    ("DELETE FROM audit_entry WHERE position BETWEEN 50 AND 62", "missing_tail", 50),
    ("DELETE FROM audit_entry WHERE position <= 62", "missing_tail", 1),
]


@pytest.mark.parametrize(("statement", "problem", "seq"), CHANGES)
def test_each_change_of_a_row_is_named_with_its_place(
    data_dir: Path, keys: AuditKeys, statement: str, problem: str, seq: int
) -> None:
    tampered(data_dir, statement)

    report = verify(data_dir=data_dir, keys=keys)

    assert (report.status, report.exit_code) == ("tampered", 1)
    assert report.first_bad is not None
    named = report.first_bad.problem, report.first_bad.seq
    if "position" in statement.split("WHERE")[0] or "DELETE" in statement:
        assert (problem, seq) in {(p.problem, p.seq) for p in report.problems}
    else:
        assert named == (problem, seq)


def test_a_changed_mac_is_named(data_dir: Path, keys: AuditKeys) -> None:
    tampered(data_dir, "UPDATE audit_entry SET mac = flip(mac) WHERE position = 9")

    bad = verify(data_dir=data_dir, keys=keys).first_bad

    assert bad is not None
    assert (bad.problem, bad.seq) == ("mac_mismatch", 9)
    assert verify(data_dir=data_dir).status == "clean"  # and says that it checked no MAC


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE audit_entry SET body = spoil(body) WHERE position = 9", "body_changed"),
        ("UPDATE audit_entry SET hash = flip(hash) WHERE position = 9", "hash_mismatch"),
    ],
)
def test_without_the_key_the_next_row_tells_body_from_hash(
    data_dir: Path, statement: str, problem: str
) -> None:
    tampered(data_dir, statement)

    report = verify(data_dir=data_dir)

    assert [(p.problem, p.seq) for p in report.problems] == [(problem, 9)]


def test_two_swapped_rows_break_the_chain(data_dir: Path, keys: AuditKeys) -> None:
    columns = ("body", "hash", "mac", "prev_hash")
    db = sqlite3.connect(data_dir / "audit.db")
    for name in TRIGGERS:
        db.execute(f"DROP TRIGGER {name}")
    rows = db.execute(
        f"SELECT {', '.join(columns)} FROM audit_entry WHERE position IN (9, 12)"
    ).fetchall()
    assignments = ", ".join(f"{name} = ?" for name in columns)
    for position, row in zip((12, 9), rows, strict=True):
        db.execute(f"UPDATE audit_entry SET {assignments} WHERE position = {position}", row)
    db.commit()
    db.close()

    report = verify(data_dir=data_dir, keys=keys)

    assert report.status == "tampered"
    assert {(p.problem, p.seq) for p in report.problems} >= {
        ("body_changed", 9),
        ("chain_broken", 10),
        ("body_changed", 12),
        ("chain_broken", 13),
    }


def test_a_chain_computed_anew_is_caught_by_the_key_only(data_dir: Path, keys: AuditKeys) -> None:
    db = sqlite3.connect(data_dir / "audit.db")
    triggers = db.execute(
        "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit_entry'"
    ).fetchall()
    for name in TRIGGERS:
        db.execute(f"DROP TRIGGER {name}")
    rows = db.execute(
        "SELECT position, writer, seq, body, hash FROM audit_entry WHERE position > 62"
        " ORDER BY position"
    ).fetchall()
    prev = bytes(32)
    for position, writer, seq, body, _ in rows:
        changed = body.replace(b"acme-sepsis", b"evil-sepsis")
        digest = entry_hash(prev, writer_prefix(writer), seq, changed)
        db.execute(
            "UPDATE audit_entry SET body = ?, prev_hash = ?, hash = ?, tool ="
            " replace(tool, 'acme', 'evil') WHERE position = ?",
            (changed, prev, digest, position),
        )
        prev = digest
    for (sql,) in triggers:
        db.execute(sql)
    db.commit()
    db.close()
    (data_dir / "audit.db.seal").unlink(missing_ok=True)

    assert verify(data_dir=data_dir).status == "clean"
    report = verify(data_dir=data_dir, keys=keys)
    assert report.first_bad is not None
    assert (report.first_bad.problem, report.first_bad.seq) == ("mac_mismatch", 3)


def test_an_index_that_hides_an_entry_is_caught(data_dir: Path, keys: AuditKeys) -> None:
    db = sqlite3.connect(data_dir / "audit.db")
    key = f"{2:032x}"
    before = db.execute("SELECT count(*) FROM audit_entry WHERE patient_key = ?", (key,)).fetchone()
    db.close()
    path = data_dir / "audit.db"
    raw = bytearray(path.read_bytes())
    # A page of an index is a leaf of type 10; the table's leaves are of type 13.
    for page in range(0, len(raw), 4096):
        at = raw.find(key.encode(), page, page + 4096)
        if raw[page] == 10 and at > 0:
            raw[at] = ord("9")
            break
    path.write_bytes(raw)

    db = sqlite3.connect(path)
    after = db.execute("SELECT count(*) FROM audit_entry WHERE patient_key = ?", (key,)).fetchone()
    db.close()
    report = verify(data_dir=data_dir, keys=keys)

    assert after < before
    assert report.first_bad is not None
    assert report.first_bad.problem == "index_mismatch"
    assert report.first_bad.seq is not None


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TRIGGER audit_no_update",
        "DROP INDEX audit_actor",
        "CREATE TABLE notes (x)",
        "CREATE TRIGGER quiet BEFORE INSERT ON audit_entry BEGIN SELECT RAISE(IGNORE); END",
        "DELETE FROM audit_schema",
        "DROP TABLE audit_entry",
    ],
)
def test_a_changed_schema_is_caught(data_dir: Path, keys: AuditKeys, statement: str) -> None:
    db = sqlite3.connect(data_dir / "audit.db")
    db.execute(statement)
    db.commit()
    db.close()

    report = verify(data_dir=data_dir, keys=keys)

    assert report.status == "tampered"
    assert report.first_bad is not None
    assert report.first_bad.problem == "schema_changed"


def test_a_trail_that_is_not_there_is_incomplete_and_nothing_is_made(tmp_path: Path) -> None:
    report = verify(data_dir=tmp_path / "nowhere")

    assert (report.status, report.exit_code) == ("incomplete", 2)
    assert report.first_bad is not None
    assert report.first_bad.problem == "no_trail"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("damage", ["head", "page", "cut", "noise"])
def test_a_file_that_sqlite_cannot_read_is_tampered_and_never_a_traceback(
    data_dir: Path, keys: AuditKeys, damage: str
) -> None:
    path = data_dir / "audit.db"
    raw = bytearray(path.read_bytes())
    if damage == "head":
        raw[:16] = b"not a database.."
    elif damage == "page":
        raw[4096 * 4 : 4096 * 5] = bytes(4096)
    elif damage == "cut":
        raw = raw[: len(raw) // 2]
    else:
        raw = bytearray(random.Random(1).randbytes(len(raw)))
    path.write_bytes(raw)

    report = verify(data_dir=data_dir, keys=keys)

    assert report.status == "tampered"
    assert "unreadable" in {p.problem for p in report.problems}


def test_verification_works_while_a_gateway_writes(opener: Opener, tmp_path: Path) -> None:
    async def story() -> None:
        async with opener() as trail:

            async def work(n: int) -> None:
                await trail.append(intent(n))
                await trail.append(outcome(n))

            for start in range(0, 200, 50):
                working = [asyncio.create_task(work(n)) for n in range(start, start + 50)]
                report = await asyncio.to_thread(verify, data_dir=tmp_path)
                assert report.status == "clean", report.problems
                await asyncio.gather(*working)

    asyncio.run(story())


def test_a_copy_of_a_running_trail_is_incomplete_where_a_disclosure_was_under_way(
    opener: Opener, tmp_path: Path, keys: AuditKeys
) -> None:
    async def story() -> None:
        async with opener(tmp_path / "data") as trail:
            await trail.append(intent(1))
            shutil.copytree(tmp_path / "data", tmp_path / "copy")
            await trail.append(outcome(1))

    asyncio.run(story())
    report = verify(data_dir=tmp_path / "copy", keys=keys)
    assert report.status == "incomplete"
    assert report.first_bad is not None
    assert (report.first_bad.problem, report.first_bad.seq) == ("intent_without_outcome", 2)
    assert any("did not close" in note for note in report.notes)


# --- exports ----------------------------------------------------------------------------------


def test_where_the_trail_is_must_be_said_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        verify()
    with pytest.raises(ValueError, match="exactly one"):
        verify(data_dir=tmp_path, export=tmp_path)


# --- single bytes -----------------------------------------------------------------------------


def test_any_changed_byte_of_a_closed_file_is_caught(data_dir: Path, keys: AuditKeys) -> None:
    """Also in the header, and in parts of pages that hold no entry."""
    path = data_dir / "audit.db"
    raw = path.read_bytes()
    source = random.Random(20260302)
    offsets = [0, 18, 24, 40, 95, len(raw) - 1, *(source.randrange(len(raw)) for _ in range(150))]
    for at in offsets:
        changed = bytearray(raw)
        changed[at] ^= 1 << source.randrange(8)
        path.write_bytes(changed)

        report = verify(data_dir=data_dir, keys=keys)

        assert report.status == "tampered", at
        assert report.first_bad is not None


def test_any_changed_byte_of_the_log_of_a_killed_trail_is_caught(
    opener: Opener, tmp_path: Path, keys: AuditKeys
) -> None:
    copy = tmp_path / "copy"

    async def story() -> None:
        async with opener(tmp_path / "data") as trail:
            for n in range(5):
                await trail.append(intent(n))
                await trail.append(outcome(n))
            shutil.copytree(tmp_path / "data", copy)

    asyncio.run(story())
    log = copy / "audit.db-wal"
    raw = log.read_bytes()
    source = random.Random(20260302)
    assert verify(data_dir=copy, keys=keys).status == "clean"
    for at in [0, 9, 20, 40, len(raw) - 1, *(source.randrange(len(raw)) for _ in range(30))]:
        changed = bytearray(raw)
        changed[at] ^= 1 << source.randrange(8)
        log.write_bytes(changed)

        report = verify(data_dir=copy, keys=keys)

        assert report.status == ("tampered" if at < len(raw) - 4120 else "incomplete"), at


def test_a_seal_of_somebody_else_is_no_seal(data_dir: Path, keys: AuditKeys) -> None:
    seal = data_dir / "audit.db.seal"
    mac, body = seal.read_bytes().split(b" ", 1)
    seal.write_bytes(mac + b" " + body.replace(b'"bytes":', b'"bytes":1'))

    bad = verify(data_dir=data_dir, keys=keys).first_bad

    assert bad is not None
    assert bad.problem == "file_changed"
