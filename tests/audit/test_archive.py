"""Old entries put aside: the archive holds by itself, and so does what stays."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from audit.conftest import intent, outcome
from audit.test_contract import Backend, backend, entries, postgres, server  # noqa: F401
from careweir.audit import AuditKeys, Query, archive, verify
from careweir.audit.archive import ArchiveRefused, Put
from careweir.audit.merkle import includes
from careweir.audit.note import open_note
from careweir.audit.witness import FileWitness

OLD = datetime(2026, 1, 10, tzinfo=UTC)
LIMIT = datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
def keys() -> AuditKeys:
    return AuditKeys(mac=b"m" * 32, patient=b"p" * 32, signing=b"s" * 32)


async def seal(trail: Any) -> None:
    await trail._sealer.seal()


def written(held: Backend) -> dict[str, Any]:
    """Two boots in January and one in March, sealed step by step, with a witness."""
    kept: dict[str, Any] = {"witness": held.data_dir / "witness"}

    async def story() -> None:
        for boot, day in enumerate((OLD, OLD + timedelta(days=3), OLD + timedelta(days=60))):
            held.clock.now = day
            async with held.open() as trail:
                for n in range(boot * 20, boot * 20 + 20):
                    kept[f"receipt of {boot}"] = await trail.append(intent(n))
                    await trail.append(outcome(n))
                    if n % 5 == 0:
                        await seal(trail)
                        note = await trail.checkpoint()
                        await FileWitness(kept["witness"]).publish(str(note))

    asyncio.run(story())
    return kept


def put_aside(held: Backend, before: datetime = LIMIT) -> Put | None:
    return asyncio.run(
        archive.archive(
            data_dir=held.data_dir, database_url=held.database_url, keys=held.keys, before=before,
            to=held.data_dir / "archive", actor="os-user:t", clock=held.clock,
        )
    )  # fmt: skip


def whole(held: Backend, **more: Any) -> Any:
    place: Any = {"database_url": held.database_url}
    if held.database_url is None:
        place = {"data_dir": held.data_dir}
    return verify(**place, keys=held.keys, **more)


def test_what_stays_and_what_was_put_aside_both_verify(backend: Backend) -> None:  # noqa: F811
    kept = written(backend)
    before = whole(backend)

    put = put_aside(backend)

    assert put is not None
    assert (put.start, put.size) == (0, 84)
    after = whole(backend, witness=kept["witness"])
    assert after.status == "clean", after.problems
    assert (after.entries, after.sealed) == (before.entries - 84 + 3, after.entries + 84)
    aside = verify(export=put.file, keys=backend.keys)
    assert (aside.status, aside.entries, aside.sealed) == ("clean", 84, 84), aside.problems
    assert verify(export=put.file).status == "clean"

    async def story() -> None:
        async with backend.open() as trail:
            found = await entries(trail, Query(until=LIMIT))
            assert found == []
            told = (await entries(trail, Query(type="archive")))[0].entry
            assert (told.body["sha256"], told.actor) == (put.sha256, "os-user:t")
            receipt = kept["receipt of 0"]
            proof = await trail.proof(receipt.writer, receipt.seq)
            assert proof is not None
            checkpoint = open_note(proof.checkpoint, backend.keys.public())
            path = [bytes.fromhex(part) for part in proof.hashes]
            leaf = bytes.fromhex(proof.leaf)
            assert includes(leaf, proof.leaf_index, proof.size, path, checkpoint.root)
            export = backend.data_dir / "export.ndjson"
            export.write_bytes(b"".join([line async for line in trail.export()]))
            exported = await asyncio.to_thread(verify, export=export, keys=backend.keys)
            assert exported.status == "clean", exported.problems

    asyncio.run(story())
    assert whole(backend).status == "clean"


def test_a_second_archive_begins_where_the_first_ended(backend: Backend) -> None:  # noqa: F811
    written(backend)
    first = put_aside(backend, OLD + timedelta(days=1))
    second = put_aside(backend)
    none = put_aside(backend)

    assert first is not None
    assert second is not None
    assert none is None
    assert second.start == first.size
    for put in (first, second):
        assert verify(export=put.file, keys=backend.keys).status == "clean"
    assert whole(backend).status == "clean"


def test_a_writer_goes_on_after_its_beginning_was_put_aside(backend: Backend) -> None:  # noqa: F811
    backend.clock.now = OLD

    async def story() -> None:
        async with backend.open() as trail:
            for n in range(10):
                await trail.append(intent(n))
                await trail.append(outcome(n))
            await seal(trail)
            backend.clock.now = OLD + timedelta(days=60)
            made = await archive.archive(
                data_dir=backend.data_dir, database_url=backend.database_url, keys=backend.keys,
                before=LIMIT, to=backend.data_dir / "archive", actor="t", clock=backend.clock,
            )  # fmt: skip
            assert made is not None
            for n in range(10, 20):
                await trail.append(intent(n))
                await trail.append(outcome(n))

    asyncio.run(story())
    report = whole(backend)
    assert report.status == "clean", report.problems
    assert report.sealed == report.entries + 21


@pytest.mark.parametrize(
    ("attack", "problem"),
    [
        (
            lambda lines: [lines[0].replace(b'"recorded":"2026', b'"recorded":"2025'), *lines[1:]],
            "body_changed",
        ),
        (lambda lines: lines[1:], "sequence_gap"),
        (lambda lines: lines[:-1], "missing_tail"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], "sequence_gap"),
    ],
    ids=["edited", "first gone", "last gone", "swapped"],
)
def test_tampering_of_an_archive_is_found(
    tmp_path: Path, keys: AuditKeys, attack: Any, problem: str
) -> None:
    held = Backend(tmp_path, None, keys)
    written(held)
    put_aside(held, OLD + timedelta(days=1))
    put = put_aside(held)
    assert put is not None
    lines = put.file.read_bytes().splitlines()
    head = [n for n, line in enumerate(lines) if line.startswith(b'{"writer"')]
    inner = attack(lines[head[0] : head[-1] + 1])
    count = b'{"entries":%d}' % len(inner)
    put.file.write_bytes(b"\n".join([*lines[: head[0]], *inner, count, b""]))

    for known in (keys, None):
        report = verify(export=put.file, keys=known, checkpoint_key=keys.public()[0])
        assert report.status == "tampered"
        assert problem in {p.problem for p in report.problems}


def test_an_archive_of_somebody_else_s_chains_is_found(tmp_path: Path, keys: AuditKeys) -> None:
    held, other = Backend(tmp_path / "a", None, keys), None
    (tmp_path / "a").mkdir()
    written(held)
    put = put_aside(held)
    assert put is not None
    stranger = replace(keys, signing=b"x" * 32)

    other = verify(export=put.file, keys=stranger)

    assert {p.problem for p in other.problems} == {"checkpoint_mismatch"}


def test_entries_that_vanish_behind_a_false_archive_are_found(
    tmp_path: Path, keys: AuditKeys
) -> None:
    held = Backend(tmp_path, None, keys)
    written(held)
    with sqlite3.connect(tmp_path / "audit.db") as db:
        start, size, ranges = db.execute(
            "SELECT start, size, ranges FROM audit_seal ORDER BY start LIMIT 1"
        ).fetchone()
        hashes = db.execute("SELECT hash FROM audit_entry ORDER BY position LIMIT ?", (size,))
        blob = b"".join(digest for (digest,) in hashes)
        db.execute("INSERT INTO audit_archive VALUES (?, ?, ?, 'gone')", (start, size, blob))
        trigger = "SELECT sql FROM sqlite_master WHERE name = 'audit_no_delete'"
        made = db.execute(trigger).fetchone()[0]
        db.execute("DROP TRIGGER audit_no_delete")
        db.execute("DELETE FROM audit_entry WHERE position <= ?", (size,))
        db.execute(made)
    assert ranges

    report = whole(held)

    assert report.status == "tampered"
    assert "archive_unrecorded" in {p.problem for p in report.problems}


def test_hashes_that_were_changed_do_not_fit_the_checkpoints(
    tmp_path: Path, keys: AuditKeys
) -> None:
    held = Backend(tmp_path, None, keys)
    written(held)
    put_aside(held)
    with sqlite3.connect(tmp_path / "audit.db") as db:
        db.execute("UPDATE audit_archive SET hashes = zeroblob(length(hashes))")

    report = whole(held)

    assert "checkpoint_mismatch" in {p.problem for p in report.problems}


def test_nothing_is_dropped_from_a_record_that_does_not_verify(
    tmp_path: Path, keys: AuditKeys
) -> None:
    held = Backend(tmp_path, None, keys)
    written(held)
    archive.check_clean(tmp_path, None, keys)
    with sqlite3.connect(tmp_path / "audit.db") as db:
        trigger = "SELECT sql FROM sqlite_master WHERE name = 'audit_no_update'"
        made = db.execute(trigger).fetchone()[0]
        db.execute("DROP TRIGGER audit_no_update")
        db.execute("UPDATE audit_entry SET actor = 'x' WHERE position = 5")
        db.execute(made)

    with pytest.raises(ArchiveRefused):
        archive.check_clean(tmp_path, None, keys)


def test_an_empty_month_is_dropped_and_the_owner_still_cannot_delete(
    postgres: Backend,  # noqa: F811
) -> None:
    written(postgres)
    put_aside(postgres)

    async def story() -> None:
        db = await asyncpg.connect(postgres.database_url)
        parts = await db.fetch("SELECT relname FROM pg_class WHERE relname LIKE 'entry_2026___'")
        assert {name for (name,) in parts} == {"entry_2026_03"}
        with pytest.raises(asyncpg.RaiseError):
            await db.execute("DELETE FROM careweir_audit.entry")
        await db.close()

    asyncio.run(story())
