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
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from careweir.app import load_house
from careweir.audit import JSON, AuditKeys, AuditTrail, Entry, Query, open_trail, verify
from careweir.audit.entry import encode
from careweir.bench.chart import SUBJECT, small_chart
from careweir.bench.figure import Budget, Figure, fastest_s
from careweir.bench.minimise import minimise_all, some_tools
from careweir.bench.size import Size
from careweir.ids import new_id

SLOW_FSYNC_S = 0.002
BATCH = 2_500
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
    trail, _ = await _trail(folder)
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


async def _trail(folder: Path) -> tuple[AuditTrail, AuditKeys]:
    keys = AuditKeys.load_or_create(folder / "keys")
    trail = await open_trail(
        data_dir=folder, database_url=None, replica="bench", keys=keys,
        clock=lambda: datetime.now(UTC),
    )  # fmt: skip
    return trail, keys


def disclosure() -> list[Entry]:
    """What one inference with one tool puts on the record: intent, outcome, decision, answer."""
    house = load_house(None)
    manifest = minimise_all(small_chart(), house, some_tools(house, 1))[0].manifest
    name = new_id("dis")
    facts = {
        "inference": new_id("inf"), "patient_key": sha256(SUBJECT.encode()).hexdigest()[:32],
        "actor": "Practitioner/bench", "client": "bench",
    }  # fmt: skip
    body: dict[str, JSON] = {
        "attempt": 1,
        "manifest": manifest.sealed(id=name, body=b"{}").model_dump(mode="json"),
    }
    answer: dict[str, JSON] = {
        "tools": [{"tool": manifest.tool, "status": "answered", "findings": 1}]
    }
    return [
        Entry(type="intent", body=body, disclosure=name, tool=manifest.tool, **facts),
        Entry(type="outcome", body={"attempt": 1}, disclosure=name, outcome="answered", **facts),
        Entry(type="decision", body={"because": ["grant bench"]}, outcome="permit", **facts),
        Entry(type="answer", body=answer, outcome="complete", **facts),
    ]


@dataclass(frozen=True, slots=True)
class _Written:
    keys: AuditKeys
    bodies: list[bytes]


async def _write(folder: Path, events: int) -> _Written:
    """A trail of about ``events`` entries: inferences of four entries each."""
    trail, keys = await _trail(folder)
    intent, outcome, *rest = disclosure()
    for first in range(0, events, BATCH):
        waiting = []
        for _ in range(min(BATCH, events - first) // 4):
            name = new_id("dis")
            for entry in (_renamed(intent, name), _renamed(outcome, name), *rest):
                waiting.append(trail.submit(entry))
        await asyncio.gather(*waiting)
    rows = [row async for row in trail.read(Query())]
    await trail.close()
    return _Written(keys, [encode(row.entry, row.recorded).body for row in rows])


def _renamed(entry: Entry, name: str) -> Entry:
    return Entry(
        type=entry.type, body=entry.body, inference=entry.inference, disclosure=name,
        patient_key=entry.patient_key, actor=entry.actor, client=entry.client, tool=entry.tool,
        outcome=entry.outcome,
    )  # fmt: skip


def _verifying(folder: Path, size: Size) -> Iterator[Figure]:
    written = asyncio.run(_write(folder, size.verify_events))
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
