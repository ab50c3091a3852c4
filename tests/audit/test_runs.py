"""Entries are checked many at a time; whatever is changed, it is named as if each were alone."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from audit.conftest import Clock, intent, outcome, tampered
from audit.test_verify import CHANGES
from careweir.audit import AuditKeys, Report, open_trail, verify
from careweir.audit import export as exports
from careweir.audit import source as sources
from careweir.audit.entry import COLUMNS
from careweir.audit.export import ExportSource
from careweir.audit.report import Findings
from careweir.audit.source import SqliteSource
from careweir.audit.walk import Walk
from careweir.audit.walked import Ahead

SEED = 20260302
FEW = 5


class Watched(Walk):
    """Counts the entries that were taken as a run."""

    taken = 0

    def follow(
        self, ahead: Ahead, bodies: Sequence[bytes], types: Sequence[str],
        disclosures: Sequence[str | None], position: int = 0,
    ) -> None:  # fmt: skip
        self.taken += len(bodies)
        super().follow(ahead, bodies, types, disclosures, position)


def said(report: Report) -> Any:
    """All that a report says of the record, without how long it took."""
    return {**report.as_dict(), "seconds": 0, "entries_per_s": 0}


def both(monkeypatch: pytest.MonkeyPatch, **place: Any) -> tuple[Report, Report]:
    """The reports of many small batches, most of them runs, and of one that holds everything."""
    reports = []
    for size in (FEW, 1_000):
        monkeypatch.setattr(sources, "BATCH_ROWS", size)
        monkeypatch.setattr(exports, "BATCH_LINES", size)
        reports.append(verify(**place))
    return reports[0], reports[1]


@pytest.mark.parametrize("keyed", [True, False])
@pytest.mark.parametrize("kind", ["database", "export"])
def test_most_entries_of_a_sound_record_are_taken_as_runs(
    data_dir: Path,
    export: Path,
    keys: AuditKeys,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    keyed: bool,
) -> None:
    monkeypatch.setattr(sources, "BATCH_ROWS", FEW)
    monkeypatch.setattr(exports, "BATCH_LINES", FEW)
    macs = keys.macs if keyed else ()
    source = SqliteSource(data_dir, macs) if kind == "database" else ExportSource(export)
    findings = Findings()
    walk = Watched(macs, findings, contiguous=source.contiguous)

    for _ in source.feed(walk, findings):
        pass

    assert findings.count == 0
    assert walk.entries >= 125
    assert walk.taken >= walk.entries * 0.6
    assert not walk.open_intents


@pytest.mark.parametrize(("statement", "problem", "seq"), CHANGES)
def test_a_change_is_named_the_same_in_a_run(
    data_dir: Path,
    keys: AuditKeys,
    monkeypatch: pytest.MonkeyPatch,
    statement: str,
    problem: str,
    seq: int,
) -> None:
    tampered(data_dir, statement)

    few, all_at_once = both(monkeypatch, data_dir=data_dir, keys=keys)

    assert (problem, seq) in {(p.problem, p.seq) for p in few.problems}
    assert said(few) == said(all_at_once)


def test_any_column_of_any_entry_that_was_changed_is_named_the_same_in_a_run(
    data_dir: Path,
    keys: AuditKeys,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    source = random.Random(SEED)
    for number in range(40):
        copy = tmp_path / f"copy-{number}"
        shutil.copytree(data_dir, copy)
        column = source.choice([*COLUMNS, "writer"])
        value = source.choice(["'x'", f"coalesce({column}, '') || 'y'", "x'41'"])
        position = source.randint(1, 124)
        tampered(copy, f"UPDATE audit_entry SET {column} = {value} WHERE position = {position}")

        few, all_at_once = both(monkeypatch, data_dir=copy, keys=keys)

        assert few.status == "tampered", (SEED, number, column, value, position)
        assert said(few) == said(all_at_once), (SEED, number, column, value, position)
        shutil.rmtree(copy)


@pytest.mark.parametrize("keyed", [True, False])
def test_any_changed_byte_of_an_export_is_named_the_same_in_a_run(
    export: Path, keys: AuditKeys, monkeypatch: pytest.MonkeyPatch, keyed: bool
) -> None:
    source, raw = random.Random(SEED), export.read_bytes()
    first = raw.index(b'{"writer"')
    caught = 0
    for number in range(120):
        at, bit = source.randrange(first, len(raw)), 1 << source.randrange(8)
        export.write_bytes(raw[:at] + bytes([raw[at] ^ bit]) + raw[at + 1 :])

        few, all_at_once = both(monkeypatch, export=export, keys=keys if keyed else None)

        assert said(few) == said(all_at_once), (SEED, number, at, bit)
        caught += few.status != "clean"
        same = raw[at : at + 1].lower() == bytes([raw[at] ^ bit]).lower()  # a digit as a capital
        assert few.status != "clean" or same or not keyed, (SEED, number, at, bit)
    assert caught > 90


def test_a_clock_that_went_back_is_told_from_a_run_too(
    tmp_path: Path, keys: AuditKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()

    async def story() -> None:
        trail = await open_trail(
            data_dir=tmp_path, database_url=None, replica="gw", keys=keys, clock=clock
        )
        for n in range(30):
            if n in (11, 20):
                clock.now = clock.now.replace(hour=clock.now.hour - 1)
            await trail.append(intent(n))
            await trail.append(outcome(n))
        await trail.close()

    asyncio.run(story())

    few, all_at_once = both(monkeypatch, data_dir=tmp_path, keys=keys)

    assert "the clock of a writer went back 2 times" in few.notes
    assert said(few) == said(all_at_once)
