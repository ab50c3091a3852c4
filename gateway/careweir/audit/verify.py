"""``audit verify``: is the record complete, in order, unchanged, and ours?"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from careweir.audit.entry import Receipt
from careweir.audit.export import ExportSource
from careweir.audit.keys import AuditKeys
from careweir.audit.note import VerifierKey, open_note
from careweir.audit.postgres_source import PostgresSource
from careweir.audit.receipts import ReceiptCheck
from careweir.audit.report import Findings, Problem, Report, WriterHead
from careweir.audit.seal import SealCheck
from careweir.audit.source import Source, SqliteSource
from careweir.audit.walk import Walk
from careweir.audit.witness import witnessed

Progress = Callable[[int, int | None], None]
_INTENTS_NAMED_MAX = 20


def verify(
    *,
    data_dir: Path | None = None,
    database_url: str | None = None,
    export: Path | None = None,
    keys: AuditKeys | None = None,
    progress: Progress | None = None,
    witness: Path | None = None,
    checkpoint_key: VerifierKey | None = None,
    receipts: Sequence[Receipt] = (),
) -> Report:
    """Check a trail from its first entry to its last; reads only, and never raises on damage.

    Args:
        data_dir, database_url, export: exactly one says where the trail is.
        keys: without them the row MACs are not checked, and the report says so.
        witness: a file of ``FileWitness``, kept where the database's owner cannot write.
        checkpoint_key: a public key of the checkpoints, where ``keys`` does not hold one; keys that
            it or its successors announce on the record are trusted too.
        receipts: what callers were given; each must be an entry of this record.
        progress: called with the entries checked so far and the total where it is known.
    """
    source = _source(data_dir, database_url, export, keys)
    trusted = [checkpoint_key] if checkpoint_key else keys.public() if keys else []
    return verify_source(
        source, keys=keys, trusted=trusted, witness=witness, progress=progress, receipts=receipts
    )


def verify_source(
    source: Source,
    *,
    keys: AuditKeys | None,
    trusted: Sequence[VerifierKey] = (),
    witness: Path | None = None,
    progress: Progress | None = None,
    receipts: Sequence[Receipt] = (),
) -> Report:
    """Check whatever a source reads."""
    started = time.perf_counter()
    findings = Findings()
    walk = Walk(keys.macs if keys else (), findings, contiguous=source.contiguous, trusted=trusted)
    seals: SealCheck | None = None
    given = ReceiptCheck(receipts)
    for _ in source.feed(walk, findings):
        seals = seals or SealCheck(source.seals, walk.trusted, source.begun)
        fresh = walk.fresh()
        given.advance(fresh, source.begun)
        seals.advance(fresh)
        if progress:
            progress(walk.entries, source.total)
    alive = {writer for writer in walk.chains if source.alive(writer)}
    if not walk.entries and not findings.count:
        findings.add(Problem("no_trail", detail="not one entry"))
    seals = seals or SealCheck(source.seals, walk.trusted, source.begun)
    fresh = walk.fresh()
    given.advance(fresh, source.begun)
    seals.advance(fresh)
    _report_seals(seals, findings)
    for problem in given.problems():
        findings.add(problem)
    if source.archived > walk.archived_to:
        detail = f"{source.archived} of the tree, {walk.archived_to} on the record"
        findings.add(Problem("archive_unrecorded", detail=detail))
    if witness is not None:
        _report_witness(witness, walk.trusted, seals, findings)
    open_intents = _report_open_intents(walk, alive, findings)
    return Report(
        status=findings.status(),
        entries=walk.entries,
        writers=len(walk.chains),
        problems=tuple(findings.kept),
        problem_count=findings.count,
        open_intents=open_intents,
        sealed=seals.size,
        mac_checked=keys is not None,
        heads=tuple(
            WriterHead(c.writer, c.seq, c.hash.hex(), c.closed, c.writer in alive)
            for c in walk.chains.values()
        ),
        notes=tuple(_notes(walk, alive, keys)),
        seconds=time.perf_counter() - started,
    )


def _source(
    data_dir: Path | None, database_url: str | None, export: Path | None, keys: AuditKeys | None
) -> Source:
    if [data_dir, database_url, export].count(None) != 2:
        raise ValueError("exactly one of data_dir, database_url and export")
    if export is not None:
        return ExportSource(export)
    if database_url is not None:
        return PostgresSource(database_url)
    assert data_dir is not None
    return SqliteSource(data_dir, keys.macs if keys else ())


def _report_seals(seals: SealCheck, findings: Findings) -> None:
    for detail in seals.bad:
        findings.add(Problem("checkpoint_mismatch", detail=detail))
    lost = seals.unfilled()
    if lost is not None:
        detail = f"sealed up to {lost.last}"
        findings.add(Problem("missing_tail", lost.writer, lost.first, detail))


def _report_witness(
    path: Path, keys: Sequence[VerifierKey], seals: SealCheck, findings: Findings
) -> None:
    """What a witness saw must still be so: as many entries, and the same ones."""
    try:
        notes = witnessed(path)
        seen = [open_note(note, keys) for note in notes] if keys else []
    except (OSError, ValueError):
        findings.add(Problem("checkpoint_mismatch", detail="the witness's file does not hold"))
        return
    for checkpoint in seen:
        if checkpoint.size > seals.size:
            detail = f"a witness saw {checkpoint.size} entries, {seals.size} are sealed here"
            findings.add(Problem("missing_tail", detail=detail))
        elif seals.roots.get(checkpoint.size) != checkpoint.root:
            detail = f"not the {checkpoint.size} entries that a witness saw"
            findings.add(Problem("checkpoint_mismatch", detail=detail))


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
