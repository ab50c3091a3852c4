"""Sealing: one signed tree over the entries of all writers, at most a second behind.

A seal adds ranges of writers' chains to the tree, in its order, and signs the new root as a C2SP
checkpoint. What is to be sealed is found by what is not yet sealed of each chain, never by an
order of commits. Each seal names the size that it started from, and the database takes one
successor of a size only, so two leaders cannot fork the tree. Checkpoints go to witnesses outside
the database: whoever cuts the tail off afterwards is contradicted by them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import pairwise
from typing import NamedTuple

import orjson

from careweir.audit.chain import places, writer_prefix
from careweir.audit.merkle import Frontier, leaf_hash
from careweir.audit.note import NoteInvalid, Signer, VerifierKey, open_note
from careweir.audit.store import Archived, Head, Seal, Store
from careweir.audit.witness import Witness
from careweir.errors import AuditUnavailable

INTERVAL_S = 0.5


class Range(NamedTuple):
    """A run of one writer's chain, both ends included."""

    writer: str
    first: int
    last: int


class Begun(NamedTuple):
    """Where the tree stood at a seal: its size, its peaks, and seq and hash of each chain."""

    size: int
    peaks: tuple[bytes, ...]
    chains: Mapping[str, tuple[int, bytes]]


def leaf_of(prefix: bytes, seq: int, digest: bytes) -> bytes:
    """The leaf hash of an entry: its writer with its length, its place and its hash."""
    return leaf_hash(prefix + seq.to_bytes(8, "big") + digest)


def ranges_of(seal: Seal) -> list[Range]:
    """What a seal added, in the order of the leaves; ValueError if it cannot be read."""
    try:
        found = [Range(str(w), int(a), int(b)) for w, a, b in orjson.loads(seal.ranges)["ranges"]]
    except (KeyError, TypeError):
        raise ValueError("not the ranges of a seal") from None
    return found


class Sealer:
    """Seals while it leads; does nothing while another replica does."""

    def __init__(
        self,
        store: Store,
        signer: Signer,
        witnesses: Sequence[Witness],
        trusted: Sequence[VerifierKey] = (),
        *,
        required: bool = False,
    ) -> None:
        self._store = store
        self._signer = signer
        self._trusted = [signer.key, *trusted]
        self._witnesses = witnesses
        self._frontier: Frontier | None = None
        self._sealed: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._required = required
        self.failing_witnesses = 0
        self.unwitnessed: str | None = None  # the newest checkpoint, while no witness has it

    @property
    def refuses(self) -> bool:
        """May nothing be disclosed, because no witness has what was sealed last?"""
        return self._required and self.unwitnessed is not None

    def start(self) -> None:
        """Begin to seal in the background."""
        self._task = asyncio.create_task(self._run(), name="audit sealer")

    async def stop(self) -> None:
        """Seal what is left and stop."""
        if self._task is not None:
            self._stopping.set()
            await self._task

    async def seal(self) -> str | None:
        """Seal all that is not sealed. The checkpoint, or None if there was nothing to do."""
        if not await self._store.lead():
            self._frontier = None
            return None
        frontier = await self._loaded()
        rows = await self._store.unsealed(self._sealed)
        if not rows:
            if self.unwitnessed is not None:
                await self._publish(self.unwitnessed)
            return None
        start = frontier.size
        after = Frontier(start, frontier.peaks)
        for row in rows:
            after.append(leaf_of(writer_prefix(row.writer), row.seq, row.hash))
        note = self._signer.sign(after.size, after.root())
        ranges = {
            "ranges": [list(run) for run in _ranges(rows)],
            "peaks": [peak.hex() for peak in after.peaks],
        }
        seal = Seal(start, after.size, orjson.dumps(ranges).decode(), note)
        if not await self._store.add_seal(seal):
            self._frontier = None  # another leader was first: begin from its seal
            return None
        self._frontier = after
        self._sealed.update((row.writer, row.seq) for row in rows)
        await self._publish(note)
        return note

    async def _run(self) -> None:
        last = False
        while not last:
            last = self._stopping.is_set()
            with contextlib.suppress(AuditUnavailable):
                await self.seal()
            if not last:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(INTERVAL_S):
                        await self._stopping.wait()

    async def _publish(self, note: str) -> None:
        self.failing_witnesses = 0
        for witness in self._witnesses:
            try:
                await witness.publish(note)
            except OSError:
                self.failing_witnesses += 1
        taken = self.failing_witnesses < len(self._witnesses)
        self.unwitnessed = None if taken or not self._witnesses else note

    async def _loaded(self) -> Frontier:
        if self._frontier is None:
            seals = await self._store.seals()
            self._frontier = _frontier(seals, self._trusted)
            self._sealed = {}
            for seal in seals:
                self._sealed.update((r.writer, r.last) for r in ranges_of(seal))
        return self._frontier


def _frontier(seals: Sequence[Seal], keys: Sequence[VerifierKey]) -> Frontier:
    """Where the last seal left the tree; its peaks must give the root that it signed."""
    if not seals:
        return Frontier()
    try:
        checkpoint = open_note(seals[-1].note, keys)
        peaks = [bytes.fromhex(peak) for peak in orjson.loads(seals[-1].ranges)["peaks"]]
        frontier = Frontier(checkpoint.size, peaks)
        if frontier.root() != checkpoint.root:
            raise NoteInvalid
    except (ValueError, KeyError, AssertionError):
        raise AuditUnavailable("the last checkpoint does not hold: nothing is sealed") from None
    return frontier


def _ranges(rows: Sequence[Head]) -> Iterator[Range]:
    first = rows[0]
    for row, following in pairwise([*rows, None]):
        assert row is not None
        if following is None or following.writer != row.writer:
            yield Range(row.writer, first.seq, row.seq)
            first = following or first


def archived_runs(seals: Sequence[Seal], kept: Archived) -> Iterator[tuple[Range, list[bytes]]]:
    """The runs of an archive with the hashes of their entries; ValueError if they do not fit."""
    at = 0
    for seal in seals:
        if not kept.start <= seal.start < kept.size:
            continue
        for run in ranges_of(seal):
            end = at + 32 * (run.last - run.first + 1)
            hashes = [kept.hashes[n : n + 32] for n in range(at, end, 32)]
            yield run, hashes
            at = end
    if at != len(kept.hashes) or at != 32 * (kept.size - kept.start):
        raise ValueError("the hashes of an archive do not fit its seals")


class SealCheck:
    """Checks seals against the hashes that a walk brings, in one pass over the entries.

    ``keys`` may grow meanwhile, as keys are announced; without any the signatures are not
    checked. ``begun`` is where the tree and its chains stood before the first seal.
    """

    def __init__(
        self, seals: Sequence[Seal], keys: Sequence[VerifierKey], begun: Begun | None = None
    ) -> None:
        self._left = list(reversed(seals))
        self._keys = keys
        self._frontier = Frontier(begun.size, begun.peaks) if begun else Frontier()
        self._waiting: dict[str, tuple[int, list[bytes]]] = {
            writer: (seq + 1, []) for writer, (seq, _) in (begun.chains if begun else {}).items()
        }
        self._prefixes: dict[str, bytes] = {}
        self.roots: dict[int, bytes] = {self._frontier.size: self._frontier.root()}
        self.bad: list[str] = []

    def advance(self, fresh: Mapping[str, list[bytes]]) -> None:
        """Take the hashes that came since the last time, and check the seals that they fill."""
        for writer, hashes in fresh.items():
            self._waiting.setdefault(writer, (1, []))[1].extend(hashes)
        while self._left and self._filled(self._left[-1]):
            self._check(self._left.pop())

    def unfilled(self) -> Range | None:
        """A range that a seal covers and that is not there."""
        for seal in reversed(self._left):
            for run in self._runs(seal):
                start, waiting = self._waiting.get(run.writer, (1, []))
                if start + len(waiting) <= run.last:
                    return Range(run.writer, start + len(waiting), run.last)
        return None

    @property
    def size(self) -> int:
        """How many leaves the checked seals cover."""
        return self._frontier.size

    def _runs(self, seal: Seal) -> list[Range]:
        try:
            return ranges_of(seal)
        except ValueError:
            self.bad.append(f"the seal at {seal.start} cannot be read")
            return []

    def _filled(self, seal: Seal) -> bool:
        for run in self._runs(seal):
            start, waiting = self._waiting.get(run.writer, (1, []))
            if start + len(waiting) <= run.last:
                return False
        return True

    def _check(self, seal: Seal) -> None:
        for run in self._runs(seal):
            self._add(run)
        self.roots[self._frontier.size] = self._frontier.root()
        try:
            assert seal.size == self._frontier.size
            if self._keys:
                checkpoint = open_note(seal.note, self._keys)
                assert (checkpoint.size, checkpoint.root) == (seal.size, self._frontier.root())
        except (NoteInvalid, AssertionError):
            self.bad.append(f"the checkpoint of {seal.size} entries does not hold")

    def _add(self, run: Range) -> None:
        start, waiting = self._waiting[run.writer]
        if run.first != start:
            self.bad.append(f"a seal skips entries of {run.writer}")
            return
        prefix = self._prefixes.setdefault(run.writer, writer_prefix(run.writer))
        count = run.last - run.first + 1
        heads = places(b"\0" + prefix, start)
        leaves = zip(waiting[:count], heads, strict=False)
        self._frontier.extend([sha256(head + digest).digest() for digest, head in leaves])
        self._waiting[run.writer] = run.last + 1, waiting[count:]
