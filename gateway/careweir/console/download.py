"""A search as a file, row by row: NDJSON with everything, CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator

import orjson

from careweir.audit import AuditTrail, Stored
from careweir.audit.formats import harmless
from careweir.console import words
from careweir.console.body import text
from careweir.console.search import Search
from careweir.console.words import Names

TYPES = {"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
COLUMNS = (
    "recorded", "type", "what", "actor", "role", "client", "purpose", "capability", "site",
    "break_glass_reason", "tool", "outcome", "inference", "disclosure", "patient_key",
    "writer", "seq", "hash",
)  # fmt: skip


class Download:
    """The rows of a search as lines of text; ``rows`` counts them as they leave."""

    def __init__(self, trail: AuditTrail, search: Search, names: Names) -> None:
        self._trail = trail
        self._search = search
        self._names = names
        self.rows = 0

    async def lines(self, kind: str) -> AsyncIterator[bytes]:
        """``kind`` is ``ndjson`` or ``csv``."""
        if kind == "csv":
            yield _csv(list(COLUMNS))
        async for row in self._trail.read(self._search.query()):
            if not self._search.hides(row.entry.type):
                self.rows += 1
                facts = self._facts(row)
                yield _ndjson(row, facts) if kind == "ndjson" else _csv(list(facts.values()))

    def _facts(self, row: Stored) -> dict[str, object]:
        entry, body = row.entry, row.entry.body
        found: dict[str, object] = {name: text(body, name) or None for name in COLUMNS}
        found |= {name: getattr(entry, name) for name in (
            "type", "actor", "client", "tool", "outcome", "inference", "disclosure", "patient_key"
        )}  # fmt: skip
        found |= {"recorded": row.recorded, "what": words.sentence(entry, self._names)}
        receipt = row.receipt
        return found | {"writer": receipt.writer, "seq": receipt.seq, "hash": receipt.hash}


def _ndjson(row: Stored, facts: dict[str, object]) -> bytes:
    return orjson.dumps(facts | {"body": row.entry.body}, option=orjson.OPT_APPEND_NEWLINE)


def _csv(cells: list[object]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow([harmless("" if cell is None else str(cell)) for cell in cells])
    return out.getvalue().encode()
