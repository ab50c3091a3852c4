"""Where checkpoints go that the database's owner cannot reach."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

import orjson

from careweir.audit.entry import timestamp

_FACILITY_AUDIT, _NOTICE = 13, 5  # RFC 5424, section 6.2.1
SYSLOG_CONNECT_S = 2.0


class Witness(Protocol):
    """Keeps checkpoints; OSError when it cannot."""

    async def publish(self, note: str) -> None:
        """Keep one checkpoint."""
        ...


class FileWitness:
    """An append-only file, best on another host or in storage with a retention lock."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def publish(self, note: str) -> None:
        await asyncio.to_thread(self._append, orjson.dumps({"checkpoint": note}) + b"\n")

    def _append(self, line: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class SyslogWitness:
    """RFC 5424 messages over TCP with octet counting (RFC 6587, section 3.4.1)."""

    def __init__(
        self, host: str, port: int, *, clock: Callable[[], datetime], replica: str
    ) -> None:
        self._address = host, port
        self._clock = clock
        self._replica = replica

    async def publish(self, note: str) -> None:
        await asyncio.to_thread(_send, self._address, [self.message(note)])

    def message(self, note: str) -> bytes:
        """One message; the checkpoint's lines are joined by ``|``, as a message is one line."""
        words = note.rstrip("\n").replace("\n", "|")
        return _message(words, "checkpoint", self._clock(), self._replica)


async def send_syslog(
    address: tuple[str, int], words: Sequence[str], kind: str, now: datetime, replica: str
) -> None:
    """One message for each text, over one connection; OSError when they are not taken."""
    messages = [_message(text, kind, now, replica) for text in words]
    await asyncio.to_thread(_send, address, messages)


def _message(words: str, kind: str, now: datetime, replica: str) -> bytes:
    priority = _FACILITY_AUDIT * 8 + _NOTICE
    head = f"<{priority}>1 {timestamp(now)} {replica} careweir - {kind} -"
    return f"{head} \ufeff{words}".encode()


def _send(address: tuple[str, int], messages: Sequence[bytes]) -> None:
    with socket.create_connection(address, timeout=SYSLOG_CONNECT_S) as connection:
        connection.sendall(b"".join(b"%d " % len(message) + message for message in messages))


def witnessed(path: Path) -> list[str]:
    """The checkpoints in a witness's file; ValueError if a line is not one."""
    notes = []
    for line in path.read_bytes().splitlines():
        found = orjson.loads(line)
        if not isinstance(found, dict) or not isinstance(found.get("checkpoint"), str):
            raise ValueError("not a witness's file")
        notes.append(found["checkpoint"])
    return notes
