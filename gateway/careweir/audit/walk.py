"""Walks over rows in the order in which they were written and checks each against its chain.

The loop does as little as it can for a sound row: one SHA-256, one HMAC and comparisons for its
place. That the searchable columns are those of the hashed body the source has already found out
where that is cheapest (``agrees``): a body begins with its facts in a fixed order, so it is enough
to encode nine short columns and compare the beginning, and no body is decoded. Whatever does not
fit is handed to ``_examine``, which finds out what was changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, TypeAlias

import orjson

from careweir.audit.chain import GENESIS, entry_hash, mac_of, writer_prefix
from careweir.audit.entry import COLUMNS, Row, agrees, columns_of
from careweir.audit.report import Findings, Problem

# position, writer, seq, prev_hash, hash, mac, body, recorded, disclosure, type, agrees. After
# tampering any of them may be of any type, so nothing is promised about them.
RawRow: TypeAlias = tuple[Any, ...]
Full: TypeAlias = Callable[[RawRow], Row | None]


@dataclass(slots=True)
class _Chain:
    writer: str
    prefix: bytes
    seq: int = 0
    hash: bytes = GENESIS
    closed: bool = False
    recorded: str = ""
    fresh: list[bytes] = field(default_factory=list)  # hashes that ``SealCheck`` has not seen
    doubt: tuple[int, bytes] | None = None  # a problem's index, and the hash if the body is right


class Walk:
    """State of one verification; feed it with ``take``, then ask it."""

    def __init__(self, mac_key: bytes | None, findings: Findings, *, contiguous: bool) -> None:
        self.chains: dict[str, _Chain] = {}
        self.open_intents: dict[str | None, tuple[str, int]] = {}
        self.entries = 0
        self.named: set[str] = set()
        self.clock_went_back = 0
        self._mac = mac_of(mac_key) if mac_key else None
        self._findings = findings
        self._contiguous = contiguous
        self._position = 0
        self._last: _Chain | None = None

    def take(self, rows: Sequence[RawRow], full: Full) -> None:
        """Check a batch of rows; ``full`` fetches all of one that does not fit."""
        mac_of, chain, contiguous = self._mac, self._last, self._contiguous
        for row in rows:
            position, writer, seq, prev, digest, mac, body, recorded, disclosure, type_, agrees = (
                row
            )
            if chain is None or writer != chain.writer:
                chain = self._chain_of(writer)
            try:
                sound = (
                    prev == chain.hash
                    and seq == chain.seq + 1
                    and sha256(prev + chain.prefix + seq.to_bytes(8, "big") + body).digest()
                    == digest
                    and (mac_of is None or mac_of(digest) == mac)
                    and agrees
                    and (position == self._position + 1 or not contiguous)
                )
            except (TypeError, ValueError, OverflowError):
                sound = False
            if sound:
                chain.seq, chain.hash = seq, digest
            elif not self._doubtful(chain, row, full):
                self._position = position
                continue
            self._position = position
            chain.fresh.append(chain.hash)
            if recorded < chain.recorded:
                self.clock_went_back += 1
            chain.recorded = recorded
            if type_ == "intent":
                self.open_intents[disclosure] = (writer, seq)
            elif type_ == "outcome":
                self.open_intents.pop(disclosure, None)
            elif type_ == "open" or type_ == "close":
                self._turn(chain, type_, body)
        self._last = chain
        self.entries += len(rows)

    def fresh(self) -> dict[str, list[bytes]]:
        """The hashes that came since the last time, by writer."""
        came = {chain.writer: chain.fresh for chain in self.chains.values() if chain.fresh}
        for writer in came:
            self.chains[writer].fresh = []
        return came

    def unreadable(self, detail: str) -> None:
        """The source could not read what comes next."""
        at = self._last
        writer, seq = (at.writer, at.seq + 1) if at else (None, None)
        self._findings.add(Problem("unreadable", writer, seq, detail))

    # --- what a row that does not fit means ----------------------------------------------------

    def _chain_of(self, writer: Any) -> _Chain:
        name = writer if isinstance(writer, str) else repr(writer)[:80]
        if name not in self.chains:
            prefix = writer_prefix(name.encode(errors="replace").decode()[:200])
            self.chains[name] = _Chain(name, prefix)
        return self.chains[name]

    def _doubtful(self, chain: _Chain, raw: RawRow, full: Full) -> bool:
        """Look closer at a row; False if there is nothing in it to go on with."""
        row = full(raw)
        if row is None:
            self._add("unreadable", chain, chain.seq + 1, "found once and not again")
            return False
        if tuple(row[:6]) != raw[1:7]:
            self._add("unreadable", chain, chain.seq + 1, "two entries claim one position")
            return False
        return self._examine(chain, raw[0], row)

    def _examine(self, chain: _Chain, position: int, row: Row) -> bool:
        """Name what is wrong with a row and move the chain past it. False if it is no row."""
        parts = row.prev_hash, row.hash, row.mac, row.body
        typed = all(isinstance(part, bytes) for part in parts) and isinstance(row.recorded, str)
        if not typed or not isinstance(row.seq, int):
            self._add("column_mismatch", chain, chain.seq + 1, "a column is of another type")
            chain.seq += 1
            chain.hash = row.hash if isinstance(row.hash, bytes) else b""
            return False
        if not 0 < row.seq < 1 << 63:
            self._add("sequence_gap", chain, row.seq, "not a place in a chain")
            return False
        self._resolve(chain, row)
        computed = entry_hash(row.prev_hash, chain.prefix, row.seq, row.body)
        if computed == row.hash:
            self._examine_sound_hash(chain, row, position)
            chain.seq, chain.hash = row.seq, row.hash
        else:
            self._examine_bad_hash(chain, row, computed)
        return True

    def _examine_sound_hash(self, chain: _Chain, row: Row, position: int) -> None:
        """The row is of one piece: then its place, its MAC or its columns are wrong."""
        before = self._findings.count
        if row.seq != chain.seq + 1:
            self._add("sequence_gap", chain, row.seq, f"expected {chain.seq + 1}")
        elif row.prev_hash != chain.hash:
            self._add("chain_broken", chain, row.seq)
        if self._mac is not None and self._mac(row.hash) != row.mac:
            self._add("mac_mismatch", chain, row.seq)
        elif wrong := _wrong_columns(row):
            self._add("column_mismatch", chain, row.seq, ", ".join(wrong))
        elif self._findings.count == before and position != self._position + 1 and self._contiguous:
            self._add("column_mismatch", chain, row.seq, "position")

    def _examine_bad_hash(self, chain: _Chain, row: Row, computed: bytes) -> None:
        """Body, stored hash, or the place was changed: what would put it right tells which."""
        expected = chain.seq + 1
        if entry_hash(chain.hash, chain.prefix, expected, row.body) == row.hash:
            kind = "chain_broken" if row.seq == expected else "sequence_gap"
            self._add(kind, chain, expected, "its place was changed")
            chain.seq, chain.hash = expected, row.hash
            return
        stored_is_right = self._mac is not None and self._mac(row.hash) == row.mac
        computed_is_right = self._mac is not None and self._mac(computed) == row.mac
        if computed_is_right and not stored_is_right:
            self._add("hash_mismatch", chain, row.seq)
            chain.seq, chain.hash = row.seq, computed
            return
        if row.seq != expected:
            self._add("sequence_gap", chain, row.seq, f"expected {expected}")
        self._add("body_changed", chain, row.seq)
        if self._mac is None:
            chain.doubt = len(self._findings.kept) - 1, computed
        chain.seq, chain.hash = row.seq, row.hash

    def _resolve(self, chain: _Chain, row: Row) -> None:
        """Without the key, the next row tells whether a body or its stored hash was changed."""
        if chain.doubt is None:
            return
        index, computed = chain.doubt
        chain.doubt = None
        if row.prev_hash == computed:
            was = self._findings.kept[index]
            self._findings.kept[index] = Problem("hash_mismatch", was.writer, was.seq)
            chain.hash = computed

    def _turn(self, chain: _Chain, type_: str, body: bytes) -> None:
        chain.closed = type_ == "close"
        if type_ == "open":
            for writer, seq, digest in _predecessors(body):
                self._check_predecessor(writer, seq, digest, chain.writer)

    def _check_predecessor(self, writer: str, seq: int, digest: str, opener: str) -> None:
        self.named.add(writer)
        chain = self.chains.get(writer)
        reached = chain.seq if chain else 0
        if chain is None or reached < seq:
            detail = f"{seq - reached} entries, known to {opener}"
            self._findings.add(Problem("missing_tail", writer, reached + 1, detail))
        elif reached == seq and chain.hash.hex() != digest:
            self._findings.add(Problem("chain_broken", writer, seq, f"not as {opener} knew it"))

    def _add(self, kind: str, chain: _Chain, seq: int, detail: str = "") -> None:
        self._findings.add(Problem(kind, chain.writer, seq, detail))


def _wrong_columns(row: Row) -> list[str]:
    """Which columns are not those of the body."""
    columns = row[6:]
    try:
        if agrees(row.body, columns):
            return []
        said = columns_of(row.body)
        wrong = [n for n, old, new in zip(COLUMNS, said, columns, strict=True) if old != new]
        return wrong or ["not as they stand in the entry"]
    except (TypeError, ValueError, KeyError):
        return ["not text"]


def _predecessors(body: bytes) -> Iterable[tuple[str, int, str]]:
    """The heads that an ``open`` entry names; nothing if its body is not one."""
    try:
        named = orjson.loads(body)["what"]["predecessors"]
        return [(str(head["writer"]), int(head["seq"]), str(head["hash"])) for head in named]
    except (TypeError, ValueError, KeyError):
        return []
