"""The trail as lines of JSON that can be verified without the database.

    {"careweir_audit": 1}
    {"begun": {"size": N, "peaks": [hex], "chains": {W: [N, hex]}}}    in an archive only
    {"writer": W, "seq": N, "prev_hash": hex, "hash": hex, "mac": hex, "body": {…}}
    {"seal": {"start": N, "size": N, "ranges": "…", "note": "…"}}
    {"archived": {"start": N, "size": N, "hashes": base64, "file": F}}  of what lies in archives
    {"entries": N}

The body stands in its line byte for byte as it is stored, so that its hash can be computed from
the line; one that is no JSON (after tampering) stands as ``"body_base64": "…"``. The last line
shows that the export is whole.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from pathlib import Path

import orjson

from careweir.audit.entry import COLUMNS, Encoded, Query, Row, encoded_from_body
from careweir.audit.export_run import take_run
from careweir.audit.report import Findings, Problem
from careweir.audit.seal import Begun
from careweir.audit.source import feed_archived
from careweir.audit.store import Archived, Seal, Store
from careweir.audit.walk import Walk
from careweir.audit.walked import RawRow

EXPORT_VERSION = 1
BATCH_LINES = 1_000
READ_BYTES = 1 << 20
_BODY = b',"body":'
_SEAL, _BEGUN, _ARCHIVED = b'{"seal":', b'{"begun":', b'{"archived":'
_PLACE = ("writer", "seq", "prev_hash", "hash", "mac")
UNREADABLE = Encoded(b"", **dict.fromkeys(COLUMNS, ""))
FIRST_LINE = orjson.dumps({"careweir_audit": EXPORT_VERSION})


def line_of(row: Row) -> bytes:
    """One row as one line, without the newline."""
    place = orjson.dumps(
        {
            "writer": row.writer,
            "seq": row.seq,
            "prev_hash": row.prev_hash.hex(),
            "hash": row.hash.hex(),
            "mac": row.mac.hex(),
        }
    )
    try:
        plain = b"\n" not in row.body and orjson.loads(row.body) is not None
    except orjson.JSONDecodeError:
        plain = False
    if plain:
        return place[:-1] + _BODY + row.body + b"}"
    return place[:-1] + b',"body_base64":"' + base64.b64encode(row.body) + b'"}'


def last_line(entries: int) -> bytes:
    """The line that ends a whole export."""
    return orjson.dumps({"entries": entries})


async def export_lines(store: Store, *, page_rows: int = 1_000) -> AsyncIterator[bytes]:
    """A whole export, line by line, at the memory of one page."""
    yield FIRST_LINE + b"\n"
    for seal in await store.seals():
        yield seal_line(seal)
    size = 0
    while (kept := await store.archived(size)) is not None:
        facts = kept._asdict() | {"hashes": base64.b64encode(kept.hashes).decode()}
        yield orjson.dumps({"archived": facts}) + b"\n"
        size = kept.size
    entries, after = 0, None
    while True:
        page = await store.page(Query(after=after), page_rows)
        for _, row in page:
            yield line_of(row) + b"\n"
        entries += len(page)
        if len(page) < page_rows:
            break
        after = page[-1][0]
    yield last_line(entries) + b"\n"


def seal_line(seal: Seal) -> bytes:
    """One seal as one line."""
    return orjson.dumps({"seal": seal._asdict()}) + b"\n"


def begun_line(begun: Begun) -> bytes:
    """Where the tree stood before an archive's first seal, as one line."""
    facts = {
        "size": begun.size,
        "peaks": [peak.hex() for peak in begun.peaks],
        "chains": {writer: [seq, digest.hex()] for writer, (seq, digest) in begun.chains.items()},
    }
    return orjson.dumps({"begun": facts}) + b"\n"


def _begun_of(line: bytes) -> Begun:
    facts = orjson.loads(line)["begun"]
    chains = {w: (int(seq), bytes.fromhex(digest)) for w, (seq, digest) in facts["chains"].items()}
    begun = Begun(int(facts["size"]), tuple(map(bytes.fromhex, facts["peaks"])), chains)
    if begun.size.bit_count() != len(begun.peaks):
        raise ValueError("not the peaks of a tree of that size")
    return begun


def row_of(line: bytes) -> Row:
    """One line as a row; ValueError and the like if it is not one."""
    head, found, body = line.partition(_BODY)
    if found and body.endswith(b"}"):
        place, body = orjson.loads(head + b"}"), body[:-1]
    else:
        place = orjson.loads(line)
        body = base64.b64decode(place["body_base64"], validate=True)
    writer, seq, *hashes = (place[name] for name in _PLACE)
    try:
        encoded = encoded_from_body(body)
    except ValueError:
        encoded = UNREADABLE._replace(body=body)
    prev_hash, digest, mac = (binascii.unhexlify(value) for value in hashes)
    return Row(writer, seq, prev_hash, digest, mac, *encoded)


def _raw(row: Row) -> RawRow:
    """For the walk: the columns come out of the body, so they agree with it."""
    return (0, *row[:6], row.recorded, row.disclosure, row.type, True)


class ExportSource:
    """An export, read for verification."""

    contiguous = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self.total: int | None = None
        self.seals: Sequence[Seal] = ()
        self.begun: Begun | None = None
        self.archived = 0

    def alive(self, writer: str) -> bool:
        return False

    def feed(self, walk: Walk, findings: Findings) -> Iterator[None]:
        try:
            with self._path.open("rb", buffering=READ_BYTES) as file:
                yield from self._feed(file, walk, findings)
        except OSError:
            findings.add(Problem("no_trail", detail="the export cannot be read"))

    def _feed(self, lines: Iterator[bytes], walk: Walk, findings: Findings) -> Iterator[None]:
        if not _known(next(lines, b""), findings):
            return
        seals: list[Seal] = []
        self.seals = seals
        while batch := list(islice(lines, BATCH_LINES)):
            if not take_run(batch, walk) and self._take_each(batch, walk, findings, seals):
                return
            yield
        findings.add(Problem("export_cut"))

    def _take_each(
        self, lines: Sequence[bytes], walk: Walk, findings: Findings, seals: list[Seal]
    ) -> bool:
        """Take lines one by one; is the last of them the last of the export?"""
        rows: list[Row] = []
        for line in lines:
            try:
                if line.startswith((_SEAL, _BEGUN, _ARCHIVED)):
                    self._head_line(line, walk, findings, seals)
                    continue
                rows.append(row_of(line.rstrip(b"\n")))
            except (ValueError, TypeError, KeyError, AttributeError):
                _take(walk, rows)
                if _is_last(line, walk.entries):
                    return True
                walk.unreadable("a line of the export is not an entry")
                rows = []
        _take(walk, rows)
        return False

    def _head_line(self, line: bytes, walk: Walk, findings: Findings, seals: list[Seal]) -> None:
        """A line that is no entry: a seal, where an archive begins, or what archives hold."""
        if line.startswith(_SEAL):
            seals.append(Seal(**orjson.loads(line)["seal"]))
        elif line.startswith(_BEGUN):
            self.begun = _begun_of(line)
            for writer, (seq, digest) in self.begun.chains.items():
                walk.resume(writer, seq, digest)
        else:
            facts = orjson.loads(line)["archived"]
            hashes = base64.b64decode(facts["hashes"], validate=True)
            kept = Archived(int(facts["start"]), int(facts["size"]), hashes, str(facts["file"]))
            feed_archived(walk, seals, kept, findings)
            self.archived = max(self.archived, kept.size)


def _take(walk: Walk, rows: list[Row]) -> None:
    by_place = {(row.writer, row.seq): row for row in rows}
    walk.take([_raw(row) for row in rows], lambda raw: by_place[raw[1], raw[2]])


def _known(first: bytes, findings: Findings) -> bool:
    try:
        found: object = orjson.loads(first)
    except orjson.JSONDecodeError:
        found = None
    if found == {"careweir_audit": EXPORT_VERSION}:
        return True
    findings.add(Problem("schema_unknown", detail="not an export of this version"))
    return False


def _is_last(line: bytes, entries: int) -> bool:
    try:
        found: object = orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return found == {"entries": entries}
