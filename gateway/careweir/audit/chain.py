"""The hash chain of one writer.

    hash = SHA-256( prev_hash ‖ len(writer) as 2 bytes ‖ writer ‖ seq as 8 bytes ‖ body )
    mac  = HMAC-SHA256( key that the database does not hold, hash )

Numbers are big-endian; ``prev_hash`` of the first entry is 32 zero bytes; ``seq`` starts at 1.
What is hashed is the stored bytes, never a second encoding of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import count, repeat
from struct import Struct

from careweir.audit.entry import Encoded, Row
from careweir.mac import mac_of

GENESIS = bytes(32)


def writer_prefix(writer: str) -> bytes:
    """The writer's name with its length, as it stands in what is hashed."""
    name = writer.encode()
    return len(name).to_bytes(2, "big") + name


def entry_hash(prev_hash: bytes, prefix: bytes, seq: int, body: bytes) -> bytes:
    """The hash that binds a body to its place in its writer's chain."""
    return sha256(prev_hash + prefix + seq.to_bytes(8, "big") + body).digest()


def places(prefix: bytes, first: int) -> Iterator[bytes]:
    """A writer's prefix with each number from ``first`` on, without end."""
    return map(Struct(f">{len(prefix)}sQ").pack, repeat(prefix), count(first))


def hashes_of(before: bytes, prefix: bytes, first: int, bodies: Sequence[bytes]) -> list[bytes]:
    """The hashes of entries that follow each other; ``before`` is the hash ahead of them.

    TypeError where a body is not bytes.
    """
    last = before
    return [
        last := sha256(last + place + body).digest()
        for body, place in zip(bodies, places(prefix, first), strict=False)
    ]


class Chain:
    """Where one writer stands. ``extend`` makes rows; only ``advance`` moves the head."""

    def __init__(self, writer: str, mac_key: bytes) -> None:
        self.writer = writer
        self.seq = 0
        self.hash = GENESIS
        self._prefix = writer_prefix(writer)
        self._mac = mac_of(mac_key)

    def extend(self, entries: Iterable[Encoded]) -> list[Row]:
        """The rows that would follow the head; the head itself stays."""
        rows: list[Row] = []
        seq, prev = self.seq, self.hash
        for entry in entries:
            seq += 1
            digest = entry_hash(prev, self._prefix, seq, entry.body)
            rows.append(Row(self.writer, seq, prev, digest, self._mac(digest), *entry))
            prev = digest
        return rows

    def advance(self, rows: list[Row]) -> None:
        """Move the head past rows that are durable."""
        if rows:
            self.seq, self.hash = rows[-1].seq, rows[-1].hash
