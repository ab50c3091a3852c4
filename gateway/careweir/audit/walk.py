"""Walks over rows in the order in which they were written and checks each against its chain.

What is sound is checked a batch at a time: one SHA-256 and one HMAC a row, and all the comparisons
at once: the chain is computed from the bodies (``ahead``) and held against what is stored. Only a
batch in which something does not fit is looked at row by row. That the searchable columns are
those of the hashed body the source has already found out where that is cheapest (``agrees``): a
body begins with its facts in a fixed order, so it is enough to encode some short columns and
compare the beginning; no body is decoded. What does not fit is handed to ``_examine``, which finds
out what was changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, TypeAlias

import orjson

from careweir.audit.announce import announcement
from careweir.audit.chain import entry_hash, hashes_of, writer_prefix
from careweir.audit.entry import Row
from careweir.audit.keys import mac_id
from careweir.audit.note import VerifierKey
from careweir.audit.report import Findings, Problem
from careweir.audit.told import archived_to, predecessors, wrong_columns
from careweir.audit.walked import Ahead, Place, RawRow, WalkedChain
from careweir.mac import Mac, mac_of

Full: TypeAlias = Callable[[RawRow], Row | None]

_TOLD = frozenset({"intent", "outcome", "open", "close", "key", "archive"})


class Walk:
    """State of one verification; feed it with ``take``, then ask it.

    ``trusted`` are the public keys of checkpoints; announcements on the record add to them.
    """

    def __init__(
        self,
        mac_keys: Sequence[bytes],
        findings: Findings,
        *,
        contiguous: bool,
        trusted: Sequence[VerifierKey] = (),
    ) -> None:
        self.chains: dict[str, WalkedChain] = {}
        self.open_intents: dict[str | None, tuple[str, int]] = {}
        self.entries = 0
        self.named: set[str] = set()
        self.clock_went_back = 0
        self.trusted = list(trusted)
        self.archived_to = 0  # leaves that an ``archive`` entry on the record has put aside
        self._macs = [(mac_id(key), mac_of(key)) for key in mac_keys]
        self._retired: set[str] = set()
        self._findings = findings
        self.contiguous = contiguous
        self._position = 0
        self._last: WalkedChain | None = None

    def resume(self, writer: str, seq: int, digest: bytes) -> None:
        """A chain whose first ``seq`` entries lie elsewhere."""
        chain = self._chain_of(writer)
        chain.seq, chain.hash = seq, digest

    def archived(self, writer: str, first: int, hashes: Sequence[bytes]) -> bool:
        """The hashes of entries of a chain that lie in an archive; False if they do not follow."""
        chain = self._chain_of(writer)
        if first != chain.seq + 1 or not hashes:
            return False
        chain.seq, chain.hash = chain.seq + len(hashes), hashes[-1]
        chain.fresh += hashes
        return True

    def take(self, rows: Sequence[RawRow], full: Full) -> None:
        """Check a batch of rows; ``full`` fetches all of one that does not fit."""
        if rows and not self._take_sound(rows):
            for row in rows:
                self._take_one(row, full)
        self.entries += len(rows)

    def place(self) -> Place | None:
        """Where the walk has come to."""
        last = self._last
        return Place(last.writer, last.seq, self._position) if last else None

    def ahead(
        self, writer: str, bodies: Sequence[bytes], recorded: Sequence[str], types: Sequence[str]
    ) -> Ahead | None:
        """The hashes and MACs that a writer's next entries have if nobody changed them.

        None where only a closer look can tell: while the chain's key is not known yet, after an
        entry that did not fit, where a key is announced (what follows depends on it), and where
        the clock went back.
        """
        chain = self.chains.get(writer)
        if chain is None or "key" in types or (chain.mac is None and self._macs):
            return None
        return self._ahead(chain, chain.mac, bodies, recorded)

    def follow(
        self, ahead: Ahead, bodies: Sequence[bytes], types: Sequence[str],
        disclosures: Sequence[str | None], position: int = 0,
    ) -> None:  # fmt: skip
        """Take entries that are as they were foreseen; ``position`` is the last one's."""
        first = ahead.chain.seq + 1
        self._advance(ahead)
        self._position = position
        self.entries += len(bodies)
        for at, type_ in enumerate(types):
            if type_ in _TOLD:
                self._told(ahead.chain, type_, disclosures[at], first + at, bodies[at])

    def _ahead(
        self, chain: WalkedChain, mac: Mac | None, bodies: Sequence[bytes], recorded: Sequence[str]
    ) -> Ahead | None:
        in_order = recorded[0] >= chain.recorded and list(recorded) == sorted(recorded)
        if chain.doubt is not None or not in_order:
            return None
        try:
            hashes = hashes_of(chain.hash, chain.prefix, chain.seq + 1, bodies)
        except TypeError:
            return None
        return Ahead(chain, mac, hashes, list(map(mac, hashes)) if mac else None, recorded[-1])

    def _advance(self, ahead: Ahead) -> None:
        chain = self._last = ahead.chain
        chain.seq += len(ahead.hashes)
        chain.hash, chain.recorded, chain.mac = ahead.hashes[-1], ahead.recorded, ahead.mac
        chain.fresh += ahead.hashes

    def _take_sound(self, rows: Sequence[RawRow]) -> bool:
        """Take a batch if all of it is sound; else leave everything as it was."""
        if "key" in [row[9] for row in rows]:
            return False
        positions = [row[0] for row in rows]
        if self.contiguous:
            start = self._position + 1
            if positions != list(range(start, start + len(rows))):
                return False
        parts: dict[Any, list[RawRow]] = {}
        try:
            for row in rows:
                parts.setdefault(row[1], []).append(row)
            runs = [self._sound_run(writer, part) for writer, part in parts.items()]
        except (TypeError, ValueError, OverflowError):
            return False
        if not all(runs):
            return False
        for run in runs:
            assert run is not None
            self._advance(run)
        self._position = positions[-1]
        for row in rows:
            if row[9] in _TOLD:
                self._told(self.chains[row[1]], row[9], row[8], row[2], row[6])
        return True

    def _sound_run(self, writer: Any, rows: list[RawRow]) -> Ahead | None:
        """What a run of one writer's rows moves its chain to; None unless all of it is sound."""
        chain = self._chain_of(writer)
        if chain.writer != writer:
            return None
        _, _, seqs, prevs, hashes, macs, bodies, recorded, _, _, agree = zip(*rows, strict=True)
        first = chain.seq + 1
        if seqs != tuple(range(first, first + len(rows))) or not all(agree):
            return None
        mac = chain.mac or self._mac_of_first(chain, hashes[0], macs[0])
        ahead = self._ahead(chain, mac, bodies, recorded)
        return ahead if ahead and ahead.fits(prevs, hashes, macs) else None

    def _take_one(self, row: RawRow, full: Full) -> None:
        position, writer, seq, prev, digest, mac, body, recorded, _, _, agrees = row
        chain = self._last
        if chain is None or writer != chain.writer:
            chain = self._last = self._chain_of(writer)
        if chain.mac is None and self._macs:
            chain.mac = self._mac_of_first(chain, digest, mac)
        try:
            sound = (
                prev == chain.hash
                and seq == chain.seq + 1
                and sha256(prev + chain.prefix + seq.to_bytes(8, "big") + body).digest() == digest
                and (chain.mac is None or chain.mac(digest) == mac)
                and agrees
                and (position == self._position + 1 or not self.contiguous)
            )
        except (TypeError, ValueError, OverflowError):
            sound = False
        if sound:
            chain.seq, chain.hash = seq, digest
        elif not self._doubtful(chain, row, full):
            self._position = position
            return
        self._position = position
        chain.fresh.append(chain.hash)
        if recorded < chain.recorded:
            self.clock_went_back += 1
        chain.recorded = recorded
        self._told(chain, row[9], row[8], seq, body)

    def _mac_of_first(self, chain: WalkedChain, digest: Any, mac: Any) -> Mac | None:
        """The key that a writer's first row shows it to use; one that was replaced begins none."""
        if not self._macs:
            return None
        begins = chain.seq == 0
        for name, made in self._macs if isinstance(digest, bytes) else ():
            if not (begins and name in self._retired) and made(digest) == mac:
                return made
        return self._macs[0][1]

    def _told(
        self, chain: WalkedChain, type_: str, disclosure: str | None, seq: int, body: bytes
    ) -> None:
        """What a row says beyond its place in its chain."""
        if type_ == "intent":
            self.open_intents[disclosure] = (chain.writer, seq)
        elif type_ == "outcome":
            self.open_intents.pop(disclosure, None)
        elif type_ in _TOLD:
            self._turn(chain, type_, body)

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

    def _chain_of(self, writer: Any) -> WalkedChain:
        name = writer if isinstance(writer, str) else repr(writer)[:80]
        if name not in self.chains:
            prefix = writer_prefix(name.encode(errors="replace").decode()[:200])
            self.chains[name] = WalkedChain(name, prefix)
        return self.chains[name]

    def _doubtful(self, chain: WalkedChain, raw: RawRow, full: Full) -> bool:
        """Look closer at a row; False if there is nothing in it to go on with."""
        row = full(raw)
        if row is None:
            self._add("unreadable", chain, chain.seq + 1, "found once and not again")
            return False
        if tuple(row[:6]) != raw[1:7]:
            self._add("unreadable", chain, chain.seq + 1, "two entries claim one position")
            return False
        return self._examine(chain, raw[0], row)

    def _examine(self, chain: WalkedChain, position: int, row: Row) -> bool:
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

    def _examine_sound_hash(self, chain: WalkedChain, row: Row, position: int) -> None:
        """The row is of one piece: then its place, its MAC or its columns are wrong."""
        before = self._findings.count
        if row.seq != chain.seq + 1:
            self._add("sequence_gap", chain, row.seq, f"expected {chain.seq + 1}")
        elif row.prev_hash != chain.hash:
            self._add("chain_broken", chain, row.seq)
        if chain.mac is not None and chain.mac(row.hash) != row.mac:
            self._add("mac_mismatch", chain, row.seq)
        elif wrong := wrong_columns(row):
            self._add("column_mismatch", chain, row.seq, ", ".join(wrong))
        elif self._findings.count == before and position != self._position + 1 and self.contiguous:
            self._add("column_mismatch", chain, row.seq, "position")

    def _examine_bad_hash(self, chain: WalkedChain, row: Row, computed: bytes) -> None:
        """Body, stored hash, or the place was changed: what would put it right tells which."""
        expected = chain.seq + 1
        if entry_hash(chain.hash, chain.prefix, expected, row.body) == row.hash:
            kind = "chain_broken" if row.seq == expected else "sequence_gap"
            self._add(kind, chain, expected, "its place was changed")
            chain.seq, chain.hash = expected, row.hash
            return
        stored_is_right = chain.mac is not None and chain.mac(row.hash) == row.mac
        computed_is_right = chain.mac is not None and chain.mac(computed) == row.mac
        if computed_is_right and not stored_is_right:
            self._add("hash_mismatch", chain, row.seq)
            chain.seq, chain.hash = row.seq, computed
            return
        if row.seq != expected:
            self._add("sequence_gap", chain, row.seq, f"expected {expected}")
        self._add("body_changed", chain, row.seq)
        if chain.mac is None:
            chain.doubt = len(self._findings.kept) - 1, computed
        chain.seq, chain.hash = row.seq, row.hash

    def _resolve(self, chain: WalkedChain, row: Row) -> None:
        """Without the key, the next row tells whether a body or its stored hash was changed."""
        if chain.doubt is None:
            return
        index, computed = chain.doubt
        chain.doubt = None
        if row.prev_hash == computed:
            was = self._findings.kept[index]
            self._findings.kept[index] = Problem("hash_mismatch", was.writer, was.seq)
            chain.hash = computed

    def _turn(self, chain: WalkedChain, type_: str, body: bytes) -> None:
        if type_ == "key":
            self._follow(chain, body)
            return
        if type_ == "archive":
            self.archived_to = max(self.archived_to, archived_to(body))
            return
        chain.closed = type_ == "close"
        if type_ == "open":
            for writer, seq, digest in predecessors(body):
                self._check_predecessor(writer, seq, digest, chain.writer)

    def _follow(self, chain: WalkedChain, body: bytes) -> None:
        """A new key is trusted where one that was trusted before vouches for it."""
        try:
            told = announcement(orjson.loads(body)["what"], self.trusted)
        except (TypeError, ValueError, KeyError):
            if self.trusted:
                self._add("key_unknown", chain, chain.seq)
            return
        if told.signing is not None and told.signing not in self.trusted:
            self.trusted.append(told.signing)
        if told.retired_mac is not None:
            self._retired.add(told.retired_mac)

    def _check_predecessor(self, writer: str, seq: int, digest: str, opener: str) -> None:
        self.named.add(writer)
        chain = self.chains.get(writer)
        reached = chain.seq if chain else 0
        if chain is None or reached < seq:
            detail = f"{seq - reached} entries, known to {opener}"
            self._findings.add(Problem("missing_tail", writer, reached + 1, detail))
        elif reached == seq and chain.hash.hex() != digest:
            self._findings.add(Problem("chain_broken", writer, seq, f"not as {opener} knew it"))

    def _add(self, kind: str, chain: WalkedChain, seq: int, detail: str = "") -> None:
        self._findings.add(Problem(kind, chain.writer, seq, detail))
