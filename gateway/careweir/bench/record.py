"""A record of many entries for measuring: what inferences leave, about many patients.

Half of the entries are intents with their field manifests and outcomes, as one inference with one
tool leaves them; patients, actors, tools and sites come in turns, so that each fact is shared by as
many entries as it would be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from careweir.audit import JSON, AuditKeys, AuditTrail, Entry, Query, open_trail
from careweir.audit.entry import encode
from careweir.bench.chart import SUBJECT, small_chart
from careweir.bench.minimise import minimise_all, some_tools
from careweir.ids import new_id
from careweir.wiring.house import load_house

BATCH = 4_000
SAMPLE = 25_000
PATIENT_ENTRIES = 200  # entries a patient has
ACTORS, TOOLS = 400, 12
FAILING = 50  # every n-th attempt fails


@dataclass(frozen=True, slots=True)
class Written:
    """The keys of a record, some of its bodies, and how many entries it has."""

    keys: AuditKeys
    bodies: list[bytes]
    entries: int
    seconds: float


async def open_bench_trail(folder: Path) -> tuple[AuditTrail, AuditKeys]:
    """A trail of its own in a folder, with keys of its own."""
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
    said: dict[str, JSON] = {
        "role": "ed-physician", "purpose": "TREAT", "site": "north", "token": new_id("tok"),
    }  # fmt: skip
    ruled: dict[str, JSON] = {**said, "policy_revision": house.policies.revision}
    body: dict[str, JSON] = {
        **ruled,
        "attempt": 1,
        "manifest": manifest.sealed(id=name, body=b"{}").model_dump(mode="json"),
    }
    answer: dict[str, JSON] = {
        **said,
        "tools": [{"tool": manifest.tool, "status": "answered", "findings": 1}],
    }
    tool = manifest.tool
    return [
        Entry("intent", body, disclosure=name, tool=tool, **facts),
        Entry("outcome", {**said, "attempt": 1}, disclosure=name, tool=tool,
              outcome="answered", **facts),
        Entry("decision", {**ruled, "because": ["grant bench"]}, outcome="permit", **facts),
        Entry("answer", answer, outcome="complete", **facts),
    ]  # fmt: skip


def inferences(count: int) -> Iterator[list[Entry]]:
    """The entries of so many inferences, four each."""
    pattern = disclosure()
    for number in range(count):
        patient = f"{number * 4 // PATIENT_ENTRIES:032x}"
        named = f"inf_{number:026d}"
        key = sha256(patient.encode()).hexdigest()[:32]
        actor = f"Practitioner/{number % ACTORS}"
        tool, sent = f"tool-{number % TOOLS}", f"dis_{number:026d}"
        ended = "vendor_timed_out" if number % FAILING == 0 else "answered"
        intent, outcome, decision, answer = (
            replace(entry, inference=named, patient_key=key, actor=actor) for entry in pattern
        )
        yield [
            decision, replace(intent, disclosure=sent, tool=tool),
            replace(outcome, disclosure=sent, tool=tool, outcome=ended), answer,
        ]  # fmt: skip


async def write_record(folder: Path, entries: int) -> Written:
    """A closed trail of about so many entries, at the memory of one batch."""
    trail, keys = await open_bench_trail(folder)
    begun = asyncio.get_running_loop().time()
    waiting = []
    for inference in inferences(entries // 4):
        waiting += [trail.submit(entry) for entry in inference]
        if len(waiting) >= BATCH:
            await asyncio.gather(*waiting)
            waiting.clear()
    await asyncio.gather(*waiting)
    seconds = asyncio.get_running_loop().time() - begun
    rows = [row async for row in trail.read(Query(limit=SAMPLE))]
    await trail.close()
    return Written(
        keys, [encode(row.entry, row.recorded).body for row in rows], entries // 4 * 4, seconds
    )
