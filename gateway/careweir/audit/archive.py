"""Put old entries aside: an archive that can be verified by itself, then they are dropped here.

An archive holds whole seals, from where the last archive ended: the entries, their seals with the
signed checkpoints, and where tree and chains stood before. Its last checkpoint covers exactly what
it and the archives before it hold, so nothing else is needed to prove it. Of each entry its hash
stays (32 bytes): old checkpoints, receipts and witnesses can still be held against the record.

The archive is verified before anything is dropped, and an entry ``archive`` names the file and its
SHA-256. A verification refuses what is gone without such an entry.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import orjson

from careweir.audit.entry import JSON, Entry, Row, timestamp
from careweir.audit.export import (
    FIRST_LINE,
    ExportSource,
    begun_line,
    last_line,
    line_of,
    seal_line,
)
from careweir.audit.keys import AuditKeys
from careweir.audit.opening import open_trail
from careweir.audit.report import INCOMPLETE
from careweir.audit.seal import Begun, archived_runs, ranges_of
from careweir.audit.store import Archived, Seal, Store
from careweir.audit.trail import Trail
from careweir.audit.verify import verify, verify_source

CHUNK_ENTRIES = 20_000  # dropped in one transaction, while which nobody else can write


class ArchiveRefused(Exception):
    """Nothing was dropped, and why."""


@dataclass(frozen=True, slots=True)
class Put:
    """An archive that was made."""

    file: Path
    sha256: str
    start: int
    size: int


async def archive(
    *,
    data_dir: Path | None,
    database_url: str | None,
    keys: AuditKeys,
    before: datetime,
    to: Path,
    actor: str,
    clock: Callable[[], datetime],
) -> Put | None:
    """Put aside what was recorded before a moment and is sealed; None if there is nothing.

    Needs the database's owner. Raises ArchiveRefused, AuditUnavailable or ConfigInvalid.
    """
    trail = await open_trail(
        data_dir=data_dir, database_url=database_url, replica="command-line", keys=keys,
        clock=clock,
    )  # fmt: skip
    assert isinstance(trail, Trail)
    try:
        seals = await trail.store.seals()
        begun = await _begun(trail.store, seals)
        chosen = await _chosen(trail.store, [s for s in seals if s.start >= begun.size], before)
        if not chosen:
            return None
        await asyncio.to_thread(to.mkdir, parents=True, exist_ok=True)
        file = to / f"careweir-audit-{begun.size}-{chosen[-1].size}.ndjson"
        digest = await _written(trail.store, file, begun, chosen)
        _check(file, keys)
        put = Put(file, digest, begun.size, chosen[-1].size)
        await trail.append(_entry(put, before, actor))
        for chunk in _chunks(chosen):
            await _put_aside(trail.store, chunk, file.name)
        return put
    finally:
        await trail.close()


def check_clean(data_dir: Path | None, database_url: str | None, keys: AuditKeys) -> None:
    """Raise ArchiveRefused if the record was tampered with: then nothing may be dropped."""
    report = verify(
        data_dir=None if database_url else data_dir, database_url=database_url, keys=keys
    )
    if report.status == "tampered":
        raise ArchiveRefused("the record does not verify, so nothing is dropped from it")


async def _chosen(store: Store, seals: Sequence[Seal], before: datetime) -> list[Seal]:
    """The first seals of which every entry is old enough."""
    chosen, limit = list[Seal](), timestamp(before)
    for seal in seals:
        async for row in _rows(store, seal):
            if row.recorded >= limit:
                return chosen
        chosen.append(seal)
    return chosen


async def _rows(store: Store, seal: Seal) -> AsyncIterator[Row]:
    for run in ranges_of(seal):
        for first in range(run.first, run.last + 1, CHUNK_ENTRIES):
            for row in await store.rows(
                run.writer, first, min(run.last, first + CHUNK_ENTRIES - 1)
            ):
                yield row


async def _begun(store: Store, seals: Sequence[Seal]) -> Begun:
    """Where the tree and each chain stood where the last archive ended."""
    size, peaks = 0, tuple[bytes, ...]()
    chains: dict[str, tuple[int, bytes]] = {}
    while (kept := await store.archived(size)) is not None:
        for run, hashes in archived_runs(seals, kept):
            chains[run.writer] = run.last, hashes[-1]
        size = kept.size
    for seal in seals:
        if seal.size == size:
            peaks = tuple(map(bytes.fromhex, orjson.loads(seal.ranges)["peaks"]))
    return Begun(size, peaks, chains)


async def _written(store: Store, file: Path, begun: Begun, seals: Sequence[Seal]) -> str:
    """Write the archive and fsync it; its SHA-256."""
    digest, entries = sha256(), 0
    with file.open("wb") as out:

        def write(line: bytes) -> None:
            out.write(line)
            digest.update(line)

        write(FIRST_LINE + b"\n")
        write(begun_line(begun))
        for seal in seals:
            write(seal_line(seal))
        for seal in seals:
            async for row in _rows(store, seal):
                write(line_of(row) + b"\n")
                entries += 1
        write(last_line(entries) + b"\n")
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


def _check(file: Path, keys: AuditKeys) -> None:
    """The archive must hold by itself; a disclosure may well have ended after it."""
    report = verify_source(ExportSource(file), keys=keys, trusted=keys.public())
    if any(problem.problem not in INCOMPLETE for problem in report.problems):
        file.unlink()
        raise ArchiveRefused("the archive does not verify, so nothing is dropped")


def _entry(put: Put, before: datetime, actor: str) -> Entry:
    body: dict[str, JSON] = {
        "from": put.start, "to": put.size, "file": put.file.name, "sha256": put.sha256,
        "before": timestamp(before),
    }  # fmt: skip
    return Entry("archive", body, actor=actor, client="careweir-cli", outcome="archived")


def _chunks(seals: Sequence[Seal]) -> list[list[Seal]]:
    """Whole seals together, up to so many entries."""
    chunks: list[list[Seal]] = [[]]
    for seal in seals:
        if chunks[-1] and seal.size - chunks[-1][0].start > CHUNK_ENTRIES:
            chunks.append([])
        chunks[-1].append(seal)
    return chunks


async def _put_aside(store: Store, seals: Sequence[Seal], file: str) -> None:
    runs = [run for seal in seals for run in ranges_of(seal)]
    hashes = b"".join([head.hash for run in runs for head in await store.hashes(*run)])
    kept = Archived(seals[0].start, seals[-1].size, hashes, file)
    await store.put_aside(kept, [(run.writer, run.first, run.last) for run in runs])
