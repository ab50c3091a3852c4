"""``audit verify``: is the record complete, in order, unchanged, and ours?"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from careweir.audit.export import ExportSource
from careweir.audit.keys import AuditKeys
from careweir.audit.report import Findings, Problem, Report, WriterHead
from careweir.audit.source import Source, SqliteSource
from careweir.audit.walk import Walk

Progress = Callable[[int, int | None], None]
_INTENTS_NAMED_MAX = 20


def verify(
    *,
    data_dir: Path | None = None,
    database_url: str | None = None,
    export: Path | None = None,
    keys: AuditKeys | None = None,
    progress: Progress | None = None,
) -> Report:
    """Check a trail from its first entry to its last; reads only, and never raises on damage.

    Args:
        data_dir, database_url, export: exactly one says where the trail is.
        keys: without them the row MACs are not checked, and the report says so.
        progress: called with the entries checked so far and the total where it is known.
    """
    return verify_source(_source(data_dir, database_url, export), keys=keys, progress=progress)


def verify_source(
    source: Source, *, keys: AuditKeys | None, progress: Progress | None = None
) -> Report:
    """Check whatever a source reads."""
    started = time.perf_counter()
    findings = Findings()
    walk = Walk(keys.mac if keys else None, findings, contiguous=source.contiguous)
    for _ in source.feed(walk, findings):
        if progress:
            progress(walk.entries, source.total)
    alive = {writer for writer in walk.chains if source.alive(writer)}
    if not walk.entries and not findings.count:
        findings.add(Problem("no_trail", detail="not one entry"))
    open_intents = _report_open_intents(walk, alive, findings)
    return Report(
        status=findings.status(),
        entries=walk.entries,
        writers=len(walk.chains),
        problems=tuple(findings.kept),
        problem_count=findings.count,
        open_intents=open_intents,
        mac_checked=keys is not None,
        heads=tuple(
            WriterHead(c.writer, c.seq, c.hash.hex(), c.closed, c.writer in alive)
            for c in walk.chains.values()
        ),
        notes=tuple(_notes(walk, alive, keys)),
        seconds=time.perf_counter() - started,
    )


def _source(data_dir: Path | None, database_url: str | None, export: Path | None) -> Source:
    if [data_dir, database_url, export].count(None) != 2:
        raise ValueError("exactly one of data_dir, database_url and export")
    if export is not None:
        return ExportSource(export)
    assert data_dir is not None
    return SqliteSource(data_dir)


def _report_open_intents(walk: Walk, alive: set[str], findings: Findings) -> int:
    """An intent of a writer that still runs is a disclosure under way, not a problem."""
    for index, (writer, seq) in enumerate(walk.open_intents.values()):
        if writer not in alive and index < _INTENTS_NAMED_MAX:
            findings.add(Problem("intent_without_outcome", writer, seq))
    return len(walk.open_intents)


def _notes(walk: Walk, alive: set[str], keys: AuditKeys | None) -> list[str]:
    notes: list[str] = []
    if keys is None:
        notes.append(
            "no MAC key was given: a chain that was computed anew by somebody who can write to"
            " the database would not be found"
        )
    if walk.clock_went_back:
        notes.append(f"the clock of a writer went back {walk.clock_went_back} times")
    for chain in walk.chains.values():
        if not chain.closed and chain.writer not in alive | walk.named:
            notes.append(f"writer {chain.writer} did not close: nothing vouches for its tail")
    return notes
