"""The tree of RFC 6962 over byte strings: roots, inclusion proofs and consistency proofs.

Source: RFC 6962, section 2.1; proofs as checked in RFC 9162, sections 2.1.3.2 and 2.1.4.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf."""
    return sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return sha256(b"\1" + left + right).digest()


class Tree:
    """Grows by leaf hashes. Keeps every level's hashes: 64 bytes a leaf, proofs in O(log n)."""

    def __init__(self) -> None:
        self._levels: list[list[bytes]] = [[]]

    def __len__(self) -> int:
        return len(self._levels[0])

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash; complete subtrees above it are hashed once."""
        self._levels[0].append(leaf)
        for number, level in enumerate(self._levels):
            if len(level) % 2:
                return
            if number + 1 == len(self._levels):
                self._levels.append([])
            self._levels[number + 1].append(node_hash(level[-2], level[-1]))

    def root(self, size: int | None = None) -> bytes:
        """The root over the first ``size`` leaves (all of them by default)."""
        size = len(self) if size is None else size
        assert 0 <= size <= len(self)
        return self._range(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The proof that leaf ``index`` stands in the tree of ``size`` leaves."""
        assert 0 <= index < size <= len(self)
        return [self._range(*span) for span in inclusion_spans(index, 0, size)]

    def consistency(self, first: int, second: int) -> list[bytes]:
        """The proof that the tree of ``second`` leaves begins with that of ``first``."""
        assert 0 < first <= second <= len(self)
        return [self._range(*span) for span in consistency_spans(first, second)]

    def _range(self, start: int, end: int) -> bytes:
        """The root over leaves start … end, where start is aligned to the span."""
        size = end - start
        level = size.bit_length() - 1
        if size == 1 << level:
            return self._levels[level][start >> level]
        split = start + (1 << level)
        return node_hash(self._range(start, split), self._range(split, end))


Span = tuple[int, int]  # some leaves that follow each other: the first, and the one past the last


def inclusion_spans(index: int, start: int, end: int) -> list[Span]:
    """The leaves under each hash of the proof that ``index`` stands among start … end."""
    if end - start == 1:
        return []
    split = start + _split(end - start)
    if index < split:
        return [*inclusion_spans(index, start, split), (split, end)]
    return [*inclusion_spans(index, split, end), (start, split)]


def consistency_spans(first: int, second: int) -> list[Span]:
    """The leaves under each hash of the proof that one tree begins with the other."""
    return _extension(first, 0, second, True) if first < second else []


def _extension(first: int, start: int, end: int, whole: bool) -> list[Span]:
    if first == end - start:
        return [] if whole else [(start, end)]
    half = _split(end - start)
    if first <= half:
        return [*_extension(first, start, start + half, whole), (start + half, end)]
    return [*_extension(first - half, start + half, end, False), (start, start + half)]


def _split(size: int) -> int:
    """The largest power of two below ``size``."""
    return 1 << (size - 1).bit_length() - 1


def includes(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Does the proof show that the leaf hash stands at ``index`` under ``root``?"""
    if not 0 <= index < size:
        return False
    node, last, result = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if node % 2 or node == last:
            result = node_hash(sibling, result)
            while node % 2 == 0 and node != 0:
                node, last = node >> 1, last >> 1
        else:
            result = node_hash(result, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and result == root


def extends(
    first: int, first_root: bytes, second: int, second_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Does the proof show that the second tree begins with the first?"""
    if not 0 < first <= second:
        return False
    if first == second:
        return not proof and first_root == second_root
    path = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    if not path:
        return False
    node, last = first - 1, second - 1
    while node % 2:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node % 2 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while node % 2 == 0 and node != 0:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root


class Frontier:
    """The right edge of a tree: enough to append to it and to know its root, in O(log n)."""

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        assert size.bit_count() == len(peaks)
        self.size = size
        self.peaks = list(peaks)  # roots of the complete subtrees, the largest first

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        size = self.size
        while size & 1:
            leaf = node_hash(self.peaks.pop(), leaf)
            size >>= 1
        self.peaks.append(leaf)
        self.size += 1

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Add leaf hashes, a level at a time."""
        nodes, size, fresh = list(leaves), self.size, list[bytes]()
        self.size += len(nodes)
        while nodes:
            if size & 1:
                nodes.insert(0, self.peaks.pop())
            if len(nodes) & 1:
                fresh.append(nodes.pop())
            pairs = zip(nodes[::2], nodes[1::2], strict=True)
            nodes = [sha256(b"\1" + left + right).digest() for left, right in pairs]
            size >>= 1
        self.peaks += reversed(fresh)

    def root(self) -> bytes:
        """The root over all leaves."""
        if not self.peaks:
            return EMPTY_ROOT
        *others, result = self.peaks
        for peak in reversed(others):
            result = node_hash(peak, result)
        return result
