"""Thousands of random tamperings of a sealed trail: every one is caught and has a name.

The tamperer owns the database, sees every row, and computes anew whatever needs no key.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from audit.conftest import Clock, intent, outcome
from careweir.audit import AuditKeys, Query, open_trail
from careweir.audit.chain import entry_hash, writer_prefix
from careweir.audit.entry import Row, agrees
from careweir.audit.note import ORIGIN, Signer
from careweir.audit.report import Findings
from careweir.audit.seal import Begun, ranges_of
from careweir.audit.store import Seal
from careweir.audit.verify import verify_source
from careweir.audit.walk import Walk
from careweir.audit.walked import RawRow
from careweir.audit.witness import FileWitness

KEYS = AuditKeys(mac=b"m" * 32, patient=b"p" * 32, signing=b"s" * 32)
KEY = Signer(ORIGIN, b"s" * 32).key
ROUNDS = int(os.environ.get("CAREWEIR_TEST_TAMPERINGS", "2000"))
Rows = list[Row]


class Held:
    """Rows in memory as a source; positions are theirs to lose, so they are not looked at."""

    contiguous = False

    def __init__(self, rows: Rows, seals: Sequence[Seal]) -> None:
        self.rows = rows
        self.seals: Sequence[Seal] = seals
        self.total: int | None = len(rows)
        self.begun: Begun | None = None
        self.archived = 0

    def alive(self, writer: str) -> bool:
        return False

    def feed(self, walk: Walk, findings: Findings) -> Iterator[None]:
        raw = [
            (n, *row[:6], row.recorded, row.disclosure, row.type, agrees(row.body, row[6:]))
            for n, row in enumerate(self.rows)
        ]
        walk.take(raw, self._full)
        yield

    def _full(self, raw: RawRow) -> Row:
        return self.rows[raw[0]]


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Rows, list[Seal]]:
    """Three writers, 90 entries or so, all sealed in several steps."""

    async def story() -> tuple[Rows, list[Seal]]:
        directory: Path = tmp_path_factory.mktemp("tampering")
        for boot in range(3):
            trail: Any = await open_trail(
                data_dir=directory, database_url=None, replica="gw", keys=KEYS, clock=Clock()
            )
            for n in range(boot * 14, boot * 14 + 14):
                await trail.append(intent(n))
                await trail.append(outcome(n))
                if n % 5 == 0:
                    await trail._sealer.seal()
            if boot == 2:
                await trail._sealer.seal()
                rows = [row for _, row in await trail.store.page(Query(), 1_000)]
                seals = await trail.store.seals()
            await trail.close()
        return rows, seals  # pyright: ignore[reportPossiblyUnboundVariable]  # three boots

    return asyncio.run(story())


def flip(raw: bytes, source: random.Random) -> bytes:
    at = source.randrange(len(raw))
    return raw[:at] + bytes([raw[at] ^ 1 << source.randrange(8)]) + raw[at + 1 :]


def edit(rows: Rows, source: random.Random) -> Rows:
    at = source.randrange(len(rows))
    name = source.choice(("body", "hash", "prev_hash", "mac"))
    changed = rows[at]._replace(**{name: flip(getattr(rows[at], name), source)})
    return [*rows[:at], changed, *rows[at + 1 :]]


def edit_column(rows: Rows, source: random.Random) -> Rows:
    at = source.randrange(len(rows))
    name = source.choice(("actor", "client", "tool", "outcome", "recorded", "type", "patient_key"))
    changed = rows[at]._replace(**{name: (getattr(rows[at], name) or "") + "x"})
    return [*rows[:at], changed, *rows[at + 1 :]]


def delete(rows: Rows, source: random.Random) -> Rows:
    at = source.randrange(len(rows))
    return rows[:at] + rows[at + 1 :]


def insert(rows: Rows, source: random.Random) -> Rows:
    at = source.randrange(len(rows))
    return [*rows[:at], source.choice(rows), *rows[at:]]


def swap(rows: Rows, source: random.Random) -> Rows:
    """Two rows of one writer change their places and take each other's numbers."""
    writer = source.choice(rows).writer
    places = [n for n, row in enumerate(rows) if row.writer == writer]
    a, b = source.sample(places, 2)
    changed = list(rows)
    changed[a] = rows[b]._replace(seq=rows[a].seq, prev_hash=rows[a].prev_hash)
    changed[b] = rows[a]._replace(seq=rows[b].seq, prev_hash=rows[b].prev_hash)
    return changed


def recompute(rows: Rows, source: random.Random) -> Rows:
    """Change one body and compute its writer's chain anew from there."""
    at = source.randrange(len(rows))
    changed, prev = list(rows), b""
    for n in range(at, len(rows)):
        row = changed[n]
        if row.writer != rows[at].writer:
            continue
        body = row.body.replace(b'"what":', b'"what": ', 1) if n == at else row.body
        prev_hash = row.prev_hash if n == at else prev
        prev = entry_hash(prev_hash, writer_prefix(row.writer), row.seq, body)
        changed[n] = row._replace(body=body, prev_hash=prev_hash, hash=prev)
    return changed


def truncate(rows: Rows, source: random.Random) -> Rows:
    return rows[: source.randrange(len(rows))]


def drop_writer(rows: Rows, source: random.Random) -> Rows:
    writer = source.choice(rows).writer
    return [row for row in rows if row.writer != writer]


def restore(rows: Rows, seals: Sequence[Seal], source: random.Random) -> Held:
    """An older copy of everything: of one piece, so only a witness knows that there was more."""
    kept = seals[: source.randrange(1, len(seals))]
    sealed = {
        (run.writer, seq)
        for seal in kept
        for run in ranges_of(seal)
        for seq in range(run.first, run.last + 1)
    }
    return Held([row for row in rows if (row.writer, row.seq) in sealed], kept)


TAMPERINGS: list[Callable[[Rows, random.Random], Rows]] = [
    edit,
    edit_column,
    delete,
    insert,
    swap,
    recompute,
    truncate,
    drop_writer,
]


def test_an_older_copy_is_of_one_piece_where_no_witness_is_asked(
    sealed: tuple[Rows, list[Seal]],
) -> None:
    held = restore(*sealed, random.Random(7))

    assert verify_source(held, keys=KEYS, trusted=[KEY]).status != "tampered"


def test_the_untouched_rows_are_clean(sealed: tuple[Rows, list[Seal]], witness: Path) -> None:
    report = verify_source(Held(*sealed), keys=KEYS, trusted=[KEY], witness=witness)

    assert (report.status, report.sealed) == ("clean", len(sealed[0]))


@pytest.fixture(scope="module")
def witness(sealed: tuple[Rows, list[Seal]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a witness elsewhere has seen: every checkpoint."""
    path: Path = tmp_path_factory.mktemp("witness") / "checkpoints"
    kept = FileWitness(path)

    async def story() -> None:
        for seal in sealed[1]:
            await kept.publish(seal.note)

    asyncio.run(story())
    return path


def test_every_random_tampering_of_sealed_rows_is_caught_and_named(
    sealed: tuple[Rows, list[Seal]], witness: Path
) -> None:
    rows, seals = sealed
    seed = 20260302
    source = random.Random(seed)
    named: Counter[str] = Counter()
    for number in range(ROUNDS):
        kind = number % (len(TAMPERINGS) + 1)
        if kind == len(TAMPERINGS):
            held, name = restore(rows, seals, source), "restore"
        else:
            held, name = Held(TAMPERINGS[kind](rows, source), seals), TAMPERINGS[kind].__name__
        if held.rows == rows:
            continue
        report = verify_source(held, keys=KEYS, trusted=[KEY], witness=witness)
        assert report.status == "tampered", (seed, number, name)
        assert report.first_bad is not None
        named[report.first_bad.problem] += 1

    assert {"body_changed", "hash_mismatch", "mac_mismatch", "column_mismatch"} <= set(named)
    assert {"sequence_gap", "missing_tail"} <= set(named)


@pytest.mark.parametrize("name", ["edit", "delete", "recompute", "truncate"])
def test_the_tree_alone_catches_what_a_thief_of_the_mac_key_does(
    sealed: tuple[Rows, list[Seal]], name: str
) -> None:
    """Without any MAC: the signed checkpoints hold by themselves."""
    rows, seals = sealed
    source = random.Random(5)
    tamper = next(t for t in TAMPERINGS if t.__name__ == name)
    for _ in range(50):
        changed = tamper(rows, source)
        if [row[:4] + row[5:] for row in changed] == [row[:4] + row[5:] for row in rows]:
            continue  # only a MAC was changed, and nobody looks at it here
        assert verify_source(Held(changed, seals), keys=None, trusted=[KEY]).status == "tampered"
