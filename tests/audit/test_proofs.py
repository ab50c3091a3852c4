"""Proofs that read little of the record are those of the whole tree, and never of another one."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from audit.conftest import intent, outcome
from audit.test_archive import OLD, seal
from audit.test_contract import Backend, backend, postgres, server  # noqa: F401
from careweir.audit import AuditKeys, Query, archive
from careweir.audit.chain import writer_prefix
from careweir.audit.merkle import Tree, extends, includes
from careweir.audit.note import open_note
from careweir.audit.seal import leaf_of, ranges_of
from careweir.audit.store import Head, Seal
from careweir.errors import AuditTampered

SEED = 20260302


@pytest.fixture
def keys() -> AuditKeys:
    return AuditKeys(mac=b"m" * 32, patient=b"p" * 32, signing=b"s" * 32)


async def grown(held: Backend) -> None:
    """Three writers, two of them side by side, sealed after as many entries as it happens."""
    source = random.Random(SEED)
    async with held.open() as first:
        await _appended(first, source, range(40), held)
        async with held.open() as second:
            for step in range(100, 136, 6):
                await _appended(second, source, range(step, step + 3), held)
                await _appended(first, source, range(step + 3, step + 6), held)
                await seal(first)
    async with held.open() as third:
        await _appended(third, source, range(200, 216), held)


async def _appended(trail: Any, source: random.Random, numbers: range, held: Backend) -> None:
    for n in numbers:
        held.clock.now += timedelta(hours=1)
        await trail.append(intent(n))
        await trail.append(outcome(n))
        if source.random() < 0.2:
            await seal(trail)


async def whole_tree(trail: Any, seals: list[Seal]) -> tuple[Tree, list[tuple[str, int]]]:
    """The tree over all entries on the record, in the order of their leaves."""
    hashes = {}
    async for row in trail.read(Query()):
        hashes[row.receipt.writer, row.receipt.seq] = bytes.fromhex(row.receipt.hash)
    tree, places = Tree(), []
    for sealed in seals:
        for run in ranges_of(sealed):
            for seq in range(run.first, run.last + 1):
                places.append((run.writer, seq))
                tree.append(leaf_of(writer_prefix(run.writer), seq, hashes[run.writer, seq]))
    return tree, places


class Counting:
    """A store that counts the hashes that are read from it."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.read = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def hashes(self, writer: str, first: int, last: int) -> list[Head]:
        self.read += last - first + 1
        found: list[Head] = await self._store.hashes(writer, first, last)
        return found


def test_every_proof_is_that_of_the_whole_tree(backend: Backend) -> None:  # noqa: F811
    async def story() -> None:
        await grown(backend)
        async with backend.open() as trail:
            await seal(trail)
            seals = await trail.store.seals()  # type: ignore[attr-defined]
            tree, places = await whole_tree(trail, seals)
            newest = open_note(seals[-1].note, backend.keys.public())
            assert (newest.size, newest.root) == (len(tree), tree.root())

            for index, (writer, seq) in list(enumerate(places))[::3]:
                proof = await trail.proof(writer, seq)
                assert proof is not None
                hashes = [bytes.fromhex(part) for part in proof.hashes]
                assert (proof.leaf_index, hashes) == (index, tree.inclusion(index, len(tree)))
                leaf = bytes.fromhex(proof.leaf)
                assert includes(leaf, index, proof.size, hashes, newest.root)

            sizes = [sealed.size for sealed in seals]
            for first in sizes:
                for second in [size for size in sizes if size >= first]:
                    found = await trail.extension(first, second)
                    assert found is not None
                    hashes = [bytes.fromhex(part) for part in found.hashes]
                    earlier, later = (
                        open_note(note, backend.keys.public())
                        for note in (found.earlier, found.checkpoint)
                    )
                    assert (earlier.size, later.size) == (first, second)
                    assert extends(first, earlier.root, second, later.root, hashes)
            newest_by_default = await trail.extension(sizes[0])
            assert newest_by_default is not None
            assert newest_by_default.second == sizes[-1]

    asyncio.run(story())


def test_what_was_never_a_checkpoint_has_no_proof(backend: Backend) -> None:  # noqa: F811
    async def story() -> None:
        async with backend.open() as trail:
            assert await trail.extension(1) is None
            receipt = await trail.append(intent(1))
            await trail.append(outcome(1))
            await seal(trail)
            sizes = [sealed.size for sealed in await trail.store.seals()]  # type: ignore[attr-defined]
            assert await trail.extension(sizes[-1]) is not None
            assert await trail.extension(sizes[0] - 1) is None
            assert await trail.extension(sizes[0], 10**6) is None
            assert await trail.extension(sizes[-1] + 1) is None
            assert await trail.proof(receipt.writer, receipt.seq) is not None
            assert await trail.proof(receipt.writer, receipt.seq + 9) is None
            assert await trail.proof("nobody", 1) is None

    asyncio.run(story())


def test_a_proof_reads_little_of_a_long_record(tmp_path: Path, keys: AuditKeys) -> None:
    held = Backend(tmp_path, None, keys)

    async def story() -> None:
        async with held.open() as trail:
            whole: Any = trail
            counting = whole.store = Counting(whole.store)
            for n in range(600):
                await asyncio.gather(trail.append(intent(n)), trail.append(outcome(n)))
                if n % 5 == 4:
                    await seal(trail)
            counting.read = 0
            for seq in range(2, 1_200, 60):
                assert await trail.proof(trail.writer, seq) is not None
            assert counting.read < 20 * 100

    asyncio.run(story())


def test_archived_entries_are_proved_from_their_hashes(backend: Backend) -> None:  # noqa: F811
    async def story() -> list[tuple[str, int]]:
        backend.clock.now = OLD
        await grown(backend)
        async with backend.open() as trail:
            seals = await trail.store.seals()  # type: ignore[attr-defined]
            return (await whole_tree(trail, seals))[1]

    places = asyncio.run(story())
    middle = backend.clock.now - timedelta(hours=30)
    put = asyncio.run(
        archive.archive(
            data_dir=backend.data_dir, database_url=backend.database_url, keys=backend.keys,
            before=middle, to=backend.data_dir / "archive", actor="os-user:t", clock=backend.clock,
        )
    )  # fmt: skip
    assert put is not None

    async def proved() -> None:
        async with backend.open() as trail:
            for index, (writer, seq) in list(enumerate(places))[::7]:
                proof = await trail.proof(writer, seq)
                assert proof is not None
                assert proof.leaf_index == index
            first = (await trail.store.seals())[0].size  # type: ignore[attr-defined]
            assert await trail.extension(first) is not None

    asyncio.run(proved())


@contextmanager
def changed(path: Path) -> Iterator[sqlite3.Connection]:
    """The database as its owner could change it."""
    db = sqlite3.connect(path)
    for name in ("audit_seal_no_update", "audit_no_update"):
        db.execute(f"DROP TRIGGER {name}")
    yield db
    db.commit()
    db.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_seal SET ranges = replace(ranges, 'peaks\":[\"', 'peaks\":[\"00')",
        "UPDATE audit_seal SET ranges = '{}'",
        "UPDATE audit_seal SET note = 'no checkpoint'",
        "UPDATE audit_entry SET hash = zeroblob(32)",
        "UPDATE audit_entry SET seq = seq + 1000",
    ],
)
def test_no_proof_is_given_where_what_is_stored_was_changed(
    tmp_path: Path, keys: AuditKeys, statement: str
) -> None:
    held = Backend(tmp_path, None, keys)

    async def story() -> None:
        async with held.open() as trail:
            for n in range(19):
                await trail.append(intent(n))
                await trail.append(outcome(n))
            receipt = await trail.append(intent(19))
            await trail.append(outcome(19))
            await seal(trail)
            with changed(tmp_path / "audit.db") as db:
                db.execute(statement)
            with pytest.raises(AuditTampered):
                await trail.proof(receipt.writer, receipt.seq)

    asyncio.run(story())
