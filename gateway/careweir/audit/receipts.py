"""Receipts that callers kept: free witnesses, above all of what was written last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import orjson

from careweir.audit.entry import Receipt
from careweir.audit.report import Problem
from careweir.audit.seal import Begun


def receipts_in(file: Path) -> list[Receipt]:
    """Answers or receipts as JSON, one or one a line; ValueError if there is none to be read."""
    raw = file.read_bytes()
    try:
        told = [orjson.loads(raw)]
    except orjson.JSONDecodeError:
        told = [orjson.loads(line) for line in raw.splitlines() if line.strip()]
    try:
        found = [fact.get("audit", fact) for fact in told]
        receipts = [Receipt(str(r["writer"]), int(r["seq"]), str(r["hash"])) for r in found]
    except (AttributeError, KeyError, TypeError):
        raise ValueError("not a receipt") from None
    if not receipts:
        raise ValueError("not a receipt")
    return receipts


class ReceiptCheck:
    """Looks for receipts among the hashes that a walk brings, in the order of each chain."""

    def __init__(self, receipts: Sequence[Receipt]) -> None:
        self._wanted = set(receipts)
        self._writers = {receipt.writer for receipt in receipts}
        self._seen: dict[str, int] = {}

    def advance(self, fresh: Mapping[str, list[bytes]], begun: Begun | None) -> None:
        """Take the hashes that came since the last time."""
        for writer in self._writers & fresh.keys():
            before = begun.chains.get(writer, (0, b""))[0] if begun else 0
            start = self._seen.get(writer, before) + 1
            hashes = fresh[writer]
            self._seen[writer] = start + len(hashes) - 1
            near = [r for r in self._wanted if r.writer == writer]
            for receipt in near:
                place = receipt.seq - start
                if 0 <= place < len(hashes) and hashes[place].hex() == receipt.hash:
                    self._wanted.discard(receipt)

    def problems(self) -> Iterator[Problem]:
        """The receipts that the record does not bear out."""
        for receipt in sorted(self._wanted, key=lambda r: (r.writer, r.seq)):
            yield Problem("receipt_unknown", receipt.writer, receipt.seq, "no such entry")
