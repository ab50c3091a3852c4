"""The audit trail: group commit beside a commit each, and verifying beside bare SHA-256.

Appending: many callers who each append one entry after the other, beside one caller who waits for
every commit; both through the real trail on SQLite with synchronous=FULL, in the same folder and
the same run. How much sharing a commit gains depends on what an fsync costs there, so that is
measured too and decides which budget applies.

Verifying: ``audit verify`` with its keys over a trail of intents and outcomes with real field
manifests, as a database and as an export, beside SHA-256 over the same stored bytes held in memory;
in CPU time, so that neighbours count for less.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from careweir.audit import AuditTrail, Entry, Query, Report, verify
from careweir.bench.figure import Budget, Figure
from careweir.bench.record import Written, disclosure, open_bench_trail, write_record
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
    rounds, keys, export = size.rounds // 2, written.keys, folder / "export.ndjson"
    checked = partial(verify, data_dir=folder, keys=keys)
    yield from _verified("a database", written, rounds, checked)
    asyncio.run(_export(folder, export))
    yield from _verified("an export", written, rounds, partial(verify, export=export, keys=keys))


def _verified(
    what: str, written: Written, rounds: int, check: Callable[[], Report]
) -> Iterator[Figure]:
    """Verifying, in CPU time: the entries in the one thread that reads them, then everything.

    Of a database SQLite itself checks pages and indexes meanwhile, on another core if there is one.
    """
    bare, walk, everything, report = float("inf"), float("inf"), float("inf"), None
    for _ in range(max(1, rounds)):
        begun, begun_all = time.thread_time(), time.process_time()
        report = check()
        walk = min(walk, time.thread_time() - begun)
        everything = min(everything, time.process_time() - begun_all)
        begun = time.thread_time()
        _ = [sha256(body).digest() for body in written.bodies]
        bare = min(bare, time.thread_time() - begun)
        assert report.status == "clean", report.first_bad
    assert report is not None
    mean = sum(map(len, written.bodies)) // len(written.bodies)
    bare_us = bare * 1e6 / len(written.bodies)
    yield Figure(
        benchmark="audit",
        what=f"verify {what} of {report.entries} entries of {mean} bytes, its own thread",
        value=walk * 1e6 / report.entries,
        unit="µs/entry",
        baseline=bare_us,
        baseline_what="bare SHA-256",
        budget=Budget(5, "ratio"),
    )
    yield Figure(
        benchmark="audit",
        what=f"verify {what}, one core",
        value=report.entries / walk,
        unit="entries/s",
        baseline=1e6 / bare_us,
        baseline_what="bare SHA-256",
        budget=Budget(200_000, "value", least=True),
    )
    yield Figure(
        benchmark="audit",
        what=f"verify {what}, CPU of all threads",
        value=everything * 1e6 / report.entries,
        unit="µs/entry",
        baseline=bare_us,
        baseline_what="bare SHA-256",
    )


async def _export(folder: Path, target: Path) -> None:
    trail, _ = await open_bench_trail(folder)
    with target.open("wb") as file:
        async for line in trail.export():
            file.write(line)
    await trail.close()


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
