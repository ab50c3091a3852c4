"""Where a walk stands in each chain, and what the entries after that must be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from careweir.audit.chain import GENESIS
from careweir.mac import Mac

# position, writer, seq, prev_hash, hash, mac, body, recorded, disclosure, type, agrees. After
# tampering any of them may be of any type, so nothing is promised about them.
RawRow: TypeAlias = tuple[Any, ...]


@dataclass(slots=True)
class WalkedChain:
    """One writer's entries, as far as the walk has come."""

    writer: str
    prefix: bytes
    seq: int = 0
    hash: bytes = GENESIS
    closed: bool = False
    recorded: str = ""
    mac: Mac | None = None  # of the key that this writer uses, known from its first row on
    fresh: list[bytes] = field(default_factory=list)  # hashes that ``SealCheck`` has not seen
    doubt: tuple[int, bytes] | None = None  # a problem's index, and the hash if the body is right


class Place(NamedTuple):
    """Where the last entry that was taken stands: in its chain, and in the record."""

    writer: str
    seq: int
    position: int


class Ahead(NamedTuple):
    """What the next entries of a chain must be; ``macs`` is None where no key was given."""

    chain: WalkedChain
    mac: Mac | None
    hashes: list[bytes]
    macs: list[bytes] | None
    recorded: str

    def fits(self, prevs: Sequence[Any], hashes: Sequence[Any], macs: Sequence[Any]) -> bool:
        """Are these the stored columns of such entries?"""
        return (
            list(hashes) == self.hashes
            and list(prevs) == [self.chain.hash, *self.hashes[:-1]]
            and (self.macs is None or list(macs) == self.macs)
        )
