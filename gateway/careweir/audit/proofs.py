"""Proofs of RFC 6962 over the sealed record, without reading all of it.

Each seal holds the peaks of the tree at its size: the roots of its largest complete subtrees. A
subtree that begins at a multiple of twice its size is a peak of every size that ends within it or
its neighbour, so most of a proof is looked up; what is left lies under single seals and is made
from the hashes of their entries. So a proof of ten million entries reads some thousand of them.
Whatever was looked up, a proof is given only if it leads to the root of the checkpoint.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from careweir.audit.chain import writer_prefix
from careweir.audit.merkle import (
    Frontier,
    consistency_spans,
    extends,
    includes,
    inclusion_spans,
    node_hash,
)
from careweir.audit.note import NoteInvalid, said
from careweir.audit.seal import Range, leaf_of, ranges_of
from careweir.audit.store import Seal, Store
from careweir.errors import AuditTampered


class Proof(NamedTuple):
    """That an entry stands in the tree of ``checkpoint``; hashes are hex."""

    leaf_index: int
    size: int
    leaf: str
    hashes: tuple[str, ...]
    checkpoint: str


class Extension(NamedTuple):
    """That the tree of ``checkpoint`` begins with that of ``earlier``; hashes are hex."""

    first: int
    second: int
    hashes: tuple[str, ...]
    earlier: str
    checkpoint: str


async def prove(store: Store, writer: str, seq: int) -> Proof | None:
    """Inclusion of an entry in the tree of the last checkpoint; None if it is not sealed yet.

    Raises AuditTampered where what is stored leads to another root than the checkpoint's.
    """
    tree = Sealed(store, await store.seals())
    index = await asyncio.to_thread(tree.index_of, writer, seq)
    if index is None:
        return None
    size = tree.sizes[-1]
    (leaf,) = await tree.leaves(index, index + 1)
    hashes = [await tree.root(*span) for span in inclusion_spans(index, 0, size)]
    if not includes(leaf, index, size, hashes, tree.root_at(size)):
        raise AuditTampered("an entry does not lead to the root of the last checkpoint")
    proof = tuple(part.hex() for part in hashes)
    return Proof(index, size, leaf.hex(), proof, tree.seals[-1].note)


async def prove_extension(store: Store, first: int, second: int | None) -> Extension | None:
    """That a later checkpoint begins with an earlier one; the newest is the later by default.

    None where there is no checkpoint of such a size. Raises AuditTampered as ``prove`` does.
    """
    tree = Sealed(store, await store.seals())
    if not tree.seals:
        return None
    second = tree.sizes[-1] if second is None else second
    earlier, later = tree.sealed_at(first), tree.sealed_at(second)
    if earlier is None or later is None or first > second:
        return None
    hashes = [await tree.root(*span) for span in consistency_spans(first, second)]
    if not extends(first, tree.root_at(first), second, tree.root_at(second), hashes):
        raise AuditTampered("a checkpoint does not begin with the one before it")
    proof = tuple(part.hex() for part in hashes)
    return Extension(first, second, proof, earlier.note, later.note)


class Sealed:
    """The tree under all seals, as far as it is asked for."""

    def __init__(self, store: Store, seals: Sequence[Seal]) -> None:
        self.seals = seals
        self.sizes = [seal.size for seal in seals]
        self._store = store

    def index_of(self, writer: str, seq: int) -> int | None:
        """Which leaf an entry is."""
        for seal in self.seals:
            at = seal.start
            for run in _runs(seal):
                if run.writer == writer and run.first <= seq <= run.last:
                    return at + seq - run.first
                at += run.last - run.first + 1
        return None

    def sealed_at(self, size: int) -> Seal | None:
        """The seal that made the tree so large."""
        at = bisect_left(self.sizes, size)
        return self.seals[at] if at < len(self.sizes) and self.sizes[at] == size else None

    def root_at(self, size: int) -> bytes:
        """The root in the checkpoint of this size."""
        seal = self.sealed_at(size)
        assert seal is not None
        try:
            checkpoint = said(seal.note)
        except NoteInvalid:
            raise AuditTampered("a checkpoint cannot be read") from None
        return checkpoint.root if checkpoint.size == size else b""

    async def root(self, start: int, end: int) -> bytes:
        """The root over leaves start … end, as one of a proof's spans has them."""
        size = end - start
        half = 1 << (size - 1).bit_length() - 1 if size > 1 else 0
        if size == 1 << size.bit_length() - 1:
            found = self._peak(start, size)
            if found is not None:
                return found
            if size == 1 or self._seal_over(start).size >= end:
                whole = Frontier()
                whole.extend(await self.leaves(start, end))
                return whole.root()
        left = await self.root(start, start + half)
        return node_hash(left, await self.root(start + half, end))

    def _peak(self, start: int, size: int) -> bytes | None:
        """The root of a complete subtree, where some seal has it among its peaks."""
        if start % (2 * size):
            return None
        at = bisect_left(self.sizes, start + size)
        if at == len(self.sizes) or self.sizes[at] >= start + 2 * size:
            return None
        return _peaks(self.seals[at])[(self.sizes[at] >> size.bit_length()).bit_count()]

    def _seal_over(self, leaf: int) -> Seal:
        return self.seals[bisect_right(self.sizes, leaf)]

    async def leaves(self, start: int, end: int) -> list[bytes]:
        """The leaf hashes start … end, which are all under one seal."""
        seal, found = self._seal_over(start), list[bytes]()
        at = seal.start
        for run in _runs(seal):
            first = run.first + max(0, start - at)
            last = min(run.last, run.first + end - 1 - at)
            if first <= last:
                prefix = writer_prefix(run.writer)
                part = Range(run.writer, first, last)
                digests = await self._digests(part, at + first - run.first)
                found += [
                    leaf_of(prefix, seq, digest) for seq, digest in enumerate(digests, start=first)
                ]
            at += run.last - run.first + 1
        if len(found) != end - start:
            raise AuditTampered("entries under a checkpoint are gone")
        return found

    async def _digests(self, run: Range, leaf: int) -> list[bytes]:
        """The hashes of a run of entries, the first of which is this leaf."""
        size = 0
        while (kept := await self._store.archived(size)) is not None:
            if leaf < kept.size:
                at, count = leaf - kept.start, run.last - run.first + 1
                return [kept.hashes[32 * n : 32 * n + 32] for n in range(at, at + count)]
            size = kept.size
        return [head.hash for head in await self._store.hashes(*run)]


def _runs(seal: Seal) -> list[Range]:
    try:
        return ranges_of(seal)
    except ValueError:
        raise AuditTampered("the ranges of a checkpoint cannot be read") from None


def _peaks(seal: Seal) -> list[bytes]:
    try:
        peaks = [bytes.fromhex(peak) for peak in orjson.loads(seal.ranges)["peaks"]]
    except (ValueError, KeyError, TypeError):
        peaks = []
    if len(peaks) != seal.size.bit_count():
        raise AuditTampered("the peaks of a checkpoint cannot be read")
    return peaks
