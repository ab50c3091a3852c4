"""Sealing: the tree over all writers, its checkpoints, its witnesses, and what they catch."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from audit.conftest import Clock, intent, outcome
from careweir.audit import AuditKeys, AuditTrail, open_trail, verify
from careweir.audit.merkle import Tree, extends, includes
from careweir.audit.note import ORIGIN, Signer, open_note
from careweir.audit.witness import FileWitness, SyslogWitness, Witness, witnessed
from careweir.errors import AuditUnavailable, ConfigInvalid

KEYS = AuditKeys(mac=b"m" * 32, patient=b"p" * 32, signing=b"s" * 32)
KEY = Signer(ORIGIN, b"s" * 32).key


@asynccontextmanager
async def opened(
    data_dir: Path, replica: str = "gw", witnesses: Sequence[Witness] = ()
) -> AsyncIterator[AuditTrail]:
    trail = await open_trail(
        data_dir=data_dir,
        database_url=None,
        replica=replica,
        keys=KEYS,
        clock=Clock(),
        witnesses=witnesses,
    )
    try:
        yield trail
    finally:
        await trail.close()


async def work(trail: AuditTrail, numbers: range) -> None:
    for n in numbers:
        await trail.append(intent(n))
        await trail.append(outcome(n))


async def sealed(trail: AuditTrail) -> str:
    await trail._sealer.seal()  # type: ignore[attr-defined]
    note = await trail.checkpoint()
    assert note is not None
    return note


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Two writers, sealed in several steps, with a witness."""
    directory = tmp_path / "data"

    async def story() -> None:
        witness = FileWitness(tmp_path / "witness")
        for boot in range(2):
            async with opened(directory, witnesses=[witness]) as trail:
                for step in range(3):
                    await work(trail, range(boot * 30 + step * 10, boot * 30 + step * 10 + 10))
                    await sealed(trail)

    asyncio.run(story())
    return directory


def test_closing_seals_everything_and_it_verifies(data_dir: Path, tmp_path: Path) -> None:
    report = verify(data_dir=data_dir, keys=KEYS, witness=tmp_path / "witness")

    assert (report.status, report.entries, report.sealed) == ("clean", 124, 124)
    notes = [open_note(note, [KEY]) for note in witnessed(tmp_path / "witness")]
    assert notes[-1].size == 124
    assert [note.size for note in notes] == sorted(note.size for note in notes)


def test_an_entry_is_proved_under_the_checkpoint_and_no_other_one(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as trail:
            receipt = await trail.append(intent(1))
            await work(trail, range(2, 20))
            checkpoint = open_note(await sealed(trail), [KEY])
            proof = await trail.proof(receipt.writer, receipt.seq)
            assert proof is not None
            hashes = [bytes.fromhex(part) for part in proof.hashes]
            leaf = bytes.fromhex(proof.leaf)
            arguments = proof.leaf_index, proof.size, hashes
            assert includes(leaf, *arguments, checkpoint.root)
            assert not includes(leaf[::-1], *arguments, checkpoint.root)
            assert await trail.proof(receipt.writer, 10_000) is None
            await trail.append(outcome(1))

    asyncio.run(story())


def test_a_sealed_second_later_everything_is_under_a_checkpoint(tmp_path: Path) -> None:
    async def story() -> float:
        async with opened(tmp_path) as trail:
            loop = asyncio.get_running_loop()
            started = loop.time()
            receipt = await trail.append(intent(1))
            while await trail.proof(receipt.writer, receipt.seq) is None:
                assert loop.time() < started + 5
                await asyncio.sleep(0.02)
            await trail.append(outcome(1))
            return loop.time() - started

    assert asyncio.run(story()) < 2


def change(data_dir: Path, *statements: str) -> None:
    """As one who owns the database and computes all that needs no key."""
    db = sqlite3.connect(data_dir / "audit.db")
    triggers = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        db.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        db.execute(statement)
    for _, sql in triggers:
        db.execute(sql)
    db.commit()
    db.close()
    (data_dir / "audit.db.seal").unlink(missing_ok=True)


LAST = "(SELECT max(position) FROM audit_entry)"


@pytest.mark.parametrize(
    ("statements", "problem"),
    [
        ([f"DELETE FROM audit_entry WHERE position > {LAST} - 3"], "missing_tail"),
        (["DELETE FROM audit_entry WHERE position > 62"], "missing_tail"),
        (["UPDATE audit_seal SET note = replace(note, 'a', 'b')"], "checkpoint_mismatch"),
        (["UPDATE audit_seal SET ranges = '{}' WHERE start = 0"], "checkpoint_mismatch"),
        (["DELETE FROM audit_seal WHERE start = 0"], "checkpoint_mismatch"),
    ],
)
def test_changes_of_what_is_sealed_are_caught_without_any_witness(
    data_dir: Path, statements: list[str], problem: str
) -> None:
    change(data_dir, *statements)

    report = verify(data_dir=data_dir, keys=KEYS)

    assert report.status == "tampered"
    assert problem in {p.problem for p in report.problems}


def test_a_tail_cut_off_with_its_seals_is_caught_by_the_witness_only(
    data_dir: Path, tmp_path: Path
) -> None:
    change(
        data_dir,
        "DELETE FROM audit_entry WHERE position > 62",
        "DELETE FROM audit_seal WHERE size > 62",
    )

    assert verify(data_dir=data_dir, keys=KEYS).status == "clean"
    report = verify(data_dir=data_dir, keys=KEYS, witness=tmp_path / "witness")
    assert report.status == "tampered"
    assert {p.problem for p in report.problems} == {"missing_tail"}


def test_an_older_copy_that_went_on_is_caught_by_the_witness(
    data_dir: Path, tmp_path: Path
) -> None:
    change(
        data_dir,
        "DELETE FROM audit_entry WHERE position > 62",
        "DELETE FROM audit_seal WHERE size > 62",
    )

    async def story() -> None:
        async with opened(data_dir) as trail:
            await work(trail, range(100, 180))

    asyncio.run(story())
    assert verify(data_dir=data_dir, keys=KEYS).status == "clean"
    report = verify(data_dir=data_dir, keys=KEYS, witness=tmp_path / "witness")
    assert {p.problem for p in report.problems} == {"checkpoint_mismatch"}


def test_checkpoints_of_another_key_do_not_hold(data_dir: Path) -> None:
    other = AuditKeys(mac=KEYS.mac, patient=KEYS.patient, signing=b"t" * 32)

    report = verify(data_dir=data_dir, keys=other)

    assert "checkpoint_mismatch" in {p.problem for p in report.problems}


def test_two_replicas_have_one_leader_and_the_other_takes_over(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path, "b") as second:
            async with opened(tmp_path, "a") as first:
                sealers = first._sealer, second._sealer  # type: ignore[attr-defined]
                await asyncio.gather(work(first, range(20)), work(second, range(20, 40)))
                await asyncio.gather(*(sealer.seal() for sealer in sealers))
                leads = [await t.store.lead() for t in (first, second)]  # type: ignore[attr-defined]
                assert sorted(leads) == [False, True]
            await work(second, range(40, 50))
            await sealed(second)

    asyncio.run(story())
    report = verify(data_dir=tmp_path, keys=KEYS)
    assert (report.status, report.sealed) == ("clean", report.entries)


def test_an_export_carries_its_checkpoints(data_dir: Path, tmp_path: Path) -> None:
    async def story() -> bytes:
        async with opened(data_dir) as trail:
            return b"".join([line async for line in trail.export()])

    target = tmp_path / "export.ndjson"
    whole = asyncio.run(story())
    target.write_bytes(whole)
    assert verify(export=target, keys=KEYS).sealed >= 124
    lines = whole.splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if b'"seq":62' in line)
    target.write_bytes(b"".join(lines[:at]))

    assert verify(export=target, keys=KEYS).status == "tampered"


def test_consistency_between_two_trees_of_the_trail() -> None:
    tree = Tree()
    for n in range(100):
        tree.append(bytes([n]) * 32)

    assert extends(37, tree.root(37), 100, tree.root(), tree.consistency(37, 100))


def test_a_witness_that_cannot_be_reached_does_not_stop_the_gateway(tmp_path: Path) -> None:
    async def story() -> None:
        broken = FileWitness(tmp_path / "no" / "where")
        async with opened(tmp_path, witnesses=[broken]) as trail:
            await work(trail, range(3))
            await sealed(trail)
            assert trail._sealer.failing_witnesses == 1  # type: ignore[attr-defined]
            assert await trail.healthy()

    asyncio.run(story())


def test_syslog_gets_one_message_of_rfc_5424_a_checkpoint() -> None:
    import socket

    server = socket.create_server(("127.0.0.1", 0))
    received: list[bytes] = []

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            while part := connection.recv(4096):
                received.append(part)

    listener = threading.Thread(target=serve)
    listener.start()
    witness = SyslogWitness(*server.getsockname(), clock=Clock(), replica="gw-1")
    asyncio.run(witness.publish(Signer(ORIGIN, b"s" * 32).sign(5, bytes(32))))
    listener.join()
    server.close()

    count, _, message = b"".join(received).partition(b" ")
    assert len(message) == int(count)
    assert message.startswith(b"<109>1 2026-03-02T08:00:00.001000Z gw-1 careweir - checkpoint - ")
    assert b"careweir-audit|5|" in message


class Flaky:
    """A witness that can be reached or not."""

    def __init__(self) -> None:
        self.up = True
        self.notes: list[str] = []

    async def publish(self, note: str) -> None:
        if not self.up:
            raise ConnectionError
        self.notes.append(note)


@pytest.mark.parametrize("required", [True, False])
def test_disclosure_stops_while_a_required_witness_is_away(tmp_path: Path, required: bool) -> None:
    async def story() -> None:
        witness = Flaky()
        trail = await open_trail(
            data_dir=tmp_path, database_url=None, replica="gw", keys=KEYS, clock=Clock(),
            witnesses=[witness], witness_required=required,
        )  # fmt: skip
        try:
            await trail.append(intent(1))
            witness.up = False
            await sealed(trail)
            if required:
                with pytest.raises(AuditUnavailable):
                    await trail.append(intent(2))
                assert not await trail.healthy()
            else:
                await trail.append(intent(2))
                assert await trail.healthy()
            await trail.append(outcome(1))  # what has happened is recorded all the same
            witness.up = True
            await sealed(trail)
            await trail.append(intent(3))
            assert await trail.healthy()
            assert open_note(witness.notes[-1], [KEY]).size >= 3
        finally:
            await trail.close()

    asyncio.run(story())
    assert verify(data_dir=tmp_path, keys=KEYS).status == "incomplete"  # intent 3 has no outcome


def test_the_newest_checkpoint_is_sent_again_when_nothing_new_is_sealed(tmp_path: Path) -> None:
    async def story() -> None:
        witness = Flaky()
        async with opened(tmp_path, witnesses=[witness]) as trail:
            witness.up = False
            await trail.append(outcome(1))
            note = await sealed(trail)
            witness.up = True
            await sealed(trail)
            assert witness.notes[-1] == note

    asyncio.run(story())


def test_a_required_witness_must_be_set(tmp_path: Path) -> None:
    async def story() -> None:
        await open_trail(
            data_dir=tmp_path, database_url=None, replica="gw", keys=KEYS, clock=Clock(),
            witness_required=True,
        )  # fmt: skip

    with pytest.raises(ConfigInvalid):
        asyncio.run(story())
