"""Where entries wait that the database would not take: a file of lines, each fsynced.

A line is ``<HMAC-SHA256 of the body, hex> <body>``. A line whose MAC does not hold (torn by a
crash, or put there by somebody else) is never replayed; ``Spool.rejected`` counts such lines, and
the file is kept aside for whoever looks into it.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from careweir.audit.entry import Encoded, encoded_from_body

SPOOL_FILE = "audit-spool.ndjson"
_DOMAIN = b"careweir audit spool\n"


class Spool:
    """An append-only file beside the database; without a directory it keeps nothing."""

    def __init__(self, directory: Path | None, mac_key: bytes, *older: bytes) -> None:
        self._path = directory / SPOOL_FILE if directory else None
        self._keys = (mac_key, *older)
        self.rejected = 0

    def append(self, entries: Sequence[Encoded]) -> bool:
        """Write the entries and fsync. False if they are not safe there."""
        if self._path is None or not entries:
            return not entries
        lines = b"".join(
            _mac(self._keys[0], entry.body) + b" " + entry.body + b"\n" for entry in entries
        )
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                complete = os.write(descriptor, b"\n" + lines) == len(lines) + 1
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            _sync_directory(self._path.parent)
        except OSError:
            return False
        return complete

    def load(self) -> list[Encoded]:
        """What waits, in the order in which it came."""
        if self._path is None or not self._path.exists():
            return []
        entries: list[Encoded] = []
        self.rejected = 0
        for line in self._path.read_bytes().split(b"\n"):
            mac, _, body = line.partition(b" ")
            if line and any(hmac.compare_digest(mac, _mac(key, body)) for key in self._keys):
                entries.append(encoded_from_body(body))
            elif line:
                self.rejected += 1
        return entries

    def clear(self) -> None:
        """All of it is in the database now. Lines that were refused are kept aside.

        Where the file cannot be removed it stays: what is on the record is not replayed.
        """
        if self._path is None:
            return
        with suppress(OSError):
            if self.rejected:
                os.replace(self._path, self._path.with_suffix(".rejected"))
            else:
                self._path.unlink()
            self.rejected = 0
            _sync_directory(self._path.parent)


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, _DOMAIN + body, "sha256").hex().encode()


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
