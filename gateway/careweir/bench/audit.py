"""The audit trail: group commit beside a commit each, and verifying beside bare SHA-256.

Appending: many callers who each append one entry after the other, beside one caller who waits for
every commit; both through the real trail on SQLite with synchronous=FULL, in the same folder and
the same run. How much sharing a commit gains depends on what an fsync costs there, so that is
measured too and decides which budget applies.

Verifying: ``audit verify`` with its keys over a trail of intents and outcomes with real field
manifests, beside SHA-256 over the same stored bytes held in memory.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from careweir.audit import AuditTrail, Entry, Query, verify
from careweir.bench.figure import Budget, Figure, fastest_s
from careweir.bench.record import disclosure, open_bench_trail, write_record
from careweir.bench.size import Size

SLOW_FSYNC_S = 0.002
_MAX_LONE_APPENDS = 400


def measure(size: Size) -> Iterator[Figure]:
    """Appending, then verifying."""
    with TemporaryDirectory(prefix="careweir-bench-", dir=size.scratch) as scratch:
        folder = Path(scratch)
        fsync_s = fsync_seconds(folder, 2 + size.rounds * 4)
        yield asyncio.run(_appending(folder / "append", size, fsync_s))
        yield from _verifying(folder / "verify", size)


def fsync_seconds(folder: Path, times: int) -> float:
    """The median time of writing 4 kB and an fsync, in seconds."""
    taken = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(times):
            started = time.perf_counter()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - started)
    return sorted(taken)[len(taken) // 2]


async def _appending(folder: Path, size: Size, fsync_s: float) -> Figure:
    trail, _ = await open_bench_trail(folder)
    entries = disclosure()
    lone = min(size.audit_appends * 5, _MAX_LONE_APPENDS)
    each_s = await _appends(trail, entries, callers=1, times=lone)
    group_s = await _appends(trail, entries, callers=size.audit_callers, times=size.audit_appends)
    await trail.close()
    slow = fsync_s >= SLOW_FSYNC_S
    return Figure(
        benchmark="audit",
        what=f"entries/s, {size.audit_callers} callers, an fsync of {fsync_s * 1e6:.0f} µs",
        value=size.audit_callers * size.audit_appends / group_s,
        unit="1/s",
        baseline=lone / each_s,
        baseline_what="one caller, a commit each",
        budget=Budget(15 if slow else 5, "ratio", least=True),
    )


async def _appends(
    trail: AuditTrail, entries: Sequence[Entry], *, callers: int, times: int
) -> float:
    async def caller() -> None:
        for number in range(times):
            await trail.append(entries[1 + number % (len(entries) - 1)])

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return time.perf_counter() - started


def _verifying(folder: Path, size: Size) -> Iterator[Figure]:
    written = asyncio.run(write_record(folder, size.verify_events))
    yield Figure(
        benchmark="audit",
        what=f"write a record of {written.entries} entries, {_disk_mb(folder):.0f} MB",
        value=written.entries / written.seconds,
        unit="entries/s",
        baseline=1 / written.seconds,
        baseline_what="whole records",
    )
    yield from asyncio.run(_searching(folder, size))
    report = verify(data_dir=folder, keys=written.keys)
    assert report.status == "clean", report.first_bad
    ours, bare = fastest_s(
        lambda: verify(data_dir=folder, keys=written.keys),
        lambda: [sha256(body).digest() for body in written.bodies],
        rounds=max(1, size.rounds // 2),
    )
    mean = sum(map(len, written.bodies)) // len(written.bodies)
    yield Figure(
        benchmark="audit",
        what=f"verify {report.entries} entries of {mean} bytes",
        value=ours * 1e6 / report.entries,
        unit="µs/entry",
        baseline=bare * 1e6 / len(written.bodies),
        baseline_what="bare SHA-256",
        budget=Budget(5, "ratio"),
    )
    yield Figure(
        benchmark="audit",
        what="verify",
        value=report.entries / ours,
        unit="entries/s",
        baseline=len(written.bodies) / bare,
        baseline_what="bare SHA-256",
    )


def _disk_mb(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.glob("audit.db*")) / 1e6


async def _searching(folder: Path, size: Size) -> list[Figure]:
    """The newest page of 50 of usual searches, beside the newest page of all."""
    trail, _ = await open_bench_trail(folder)
    newest = [row async for row in trail.read(Query(type="intent", newest_first=True, limit=1))]
    entry = newest[0].entry
    found = []
    bare_s = await _page_s(trail, Query(), size.rounds)
    for name, query in (
        ("patient", Query(patient_key=entry.patient_key)),
        ("actor", Query(actor=entry.actor)),
        ("tool", Query(tool=entry.tool)),
        ("failed disclosures", Query(type="intent", ended=("vendor_timed_out",))),
        ("nobody's", Query(actor="nobody")),
    ):
        taken = await _page_s(trail, query, size.rounds)
        found.append(
            Figure("audit", f"search by {name}, newest 50", taken * 1e3, "ms", bare_s * 1e3,
                   "newest 50 of all")
        )  # fmt: skip
    await trail.close()
    return found


async def _page_s(trail: AuditTrail, query: Query, rounds: int) -> float:
    page = replace(query, newest_first=True, limit=50)
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        async for _ in trail.read(page):
            pass
        taken.append(time.perf_counter() - started)
    return sorted(taken)[len(taken) // 2]
