"""What is on the record, sent on to a SIEM: OCSF events by webhook or by syslog.

The record itself is the queue: a task of its own follows this replica's chain, some entries at a
time, and remembers how far each receiver has come. So nothing waits for a receiver, nothing is
dropped when one is away, and after a restart it goes on where it was; an entry may then come
twice, under the same ``metadata.uid``. How far a receiver is behind is told in the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import httpx
import orjson

from careweir.audit import AuditTrail, Stored
from careweir.audit.formats import ocsf_event
from careweir.audit.witness import send_syslog
from careweir.errors import AuditUnavailable
from careweir.log import log

BATCH = 200
POLL_S = 0.5
RETRY_MAX_S = 60.0
SEND_S = 10.0
PRODUCT = "careweir"


class Receiver(Protocol):
    """Takes events; OSError when it does not."""

    name: str

    async def send(self, events: Sequence[bytes]) -> None:
        """Hand over some events, each one line of JSON."""
        ...


class Webhook:
    """POST of NDJSON, up to 200 events; anything but 2xx is asked again."""

    name = "webhook"

    def __init__(self, url: str, token: str | None) -> None:
        headers = {"Content-Type": "application/x-ndjson"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        self._url = url
        self._client = httpx.AsyncClient(
            headers=headers, timeout=SEND_S, follow_redirects=False, trust_env=False
        )

    async def send(self, events: Sequence[bytes]) -> None:
        try:
            answer = await self._client.post(self._url, content=b"\n".join([*events, b""]))
        except (httpx.HTTPError, httpx.InvalidURL):
            raise ConnectionError("the receiver cannot be reached") from None
        if not answer.is_success:
            raise ConnectionError(f"the receiver answers {answer.status_code}")

    async def close(self) -> None:
        """Let go of its connections."""
        await self._client.aclose()


class Syslog:
    """RFC 5424 messages over TCP with octet counting, one an event."""

    name = "syslog"

    def __init__(self, address: str, *, clock: Callable[[], datetime], replica: str) -> None:
        host, _, port = address.rpartition(":")
        self._address = host, int(port)
        self._clock = clock
        self._replica = replica

    async def send(self, events: Sequence[bytes]) -> None:
        await send_syslog(
            self._address, [event.decode() for event in events], "audit", self._clock(),
            self._replica,
        )  # fmt: skip

    async def close(self) -> None:
        """Nothing stays open."""


@dataclass(slots=True)
class _Place:
    """A chain and how much of it a receiver has."""

    writer: str
    seq: int


class Places:
    """How far a receiver has come, in a file: chains in the order of their boots."""

    def __init__(self, path: Path, writer: str) -> None:
        self._path = path
        self.chains = self._read()
        if not any(place.writer == writer for place in self.chains):
            self.chains.append(_Place(writer, 0))
            self.save()

    def _read(self) -> list[_Place]:
        try:
            return [_Place(str(w), int(seq)) for w, seq in orjson.loads(self._path.read_bytes())]
        except (OSError, ValueError, TypeError):
            return []

    def save(self) -> None:
        """Write the file anew, whole or not at all."""
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(orjson.dumps([[place.writer, place.seq] for place in self.chains]))
        os.replace(fresh, self._path)


class Feed:
    """Follows this replica's chains for one receiver."""

    def __init__(self, trail: AuditTrail, receiver: Webhook | Syslog, folder: Path) -> None:
        self._trail = trail
        self._receiver = receiver
        replica = trail.writer.rpartition(".")[0]
        self._path = folder / f"audit-feed-{replica}-{receiver.name}.json"
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.failures = 0  # in a row

    def start(self) -> None:
        """Begin to follow, in the background."""
        self._task = asyncio.create_task(self._run(), name=f"feed {self._receiver.name}")

    async def stop(self) -> None:
        """Send what there is, if the receiver takes it at once, and stop."""
        self._stopping.set()
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._task, SEND_S)
        await self._receiver.close()

    async def _run(self) -> None:
        places = Places(self._path, self._trail.writer)
        last = False
        while not last:
            last = self._stopping.is_set()
            try:
                while await self._step(places):
                    self._recovered()
            except (OSError, AuditUnavailable) as error:
                await self._failed(places, error)
            if not last:
                pause = min(RETRY_MAX_S, POLL_S * 2 ** min(self.failures, 10))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause)

    async def _step(self, places: Places) -> bool:
        """Send one batch; False if there is nothing to send."""
        place = places.chains[0]
        rows = await self._trail.follow(place.writer, place.seq + 1, BATCH)
        if rows:
            await self._receiver.send([_event(row) for row in rows])
            place.seq = rows[-1].receipt.seq
        elif len(places.chains) > 1:
            places.chains.pop(0)  # an earlier boot's, and all of it is sent
        else:
            return False
        await asyncio.to_thread(places.save)
        return True

    def _recovered(self) -> None:
        if self.failures:
            log.info("feed goes on", reason=self._receiver.name, attempts=self.failures)
        self.failures = 0

    async def _failed(self, places: Places, error: Exception) -> None:
        self.failures += 1
        if self.failures & (self.failures - 1) == 0:  # at the first, second, fourth …
            place = places.chains[0]
            log.warning(
                "feed is behind", reason=self._receiver.name, attempts=self.failures,
                error_type=type(error).__name__, writer=place.writer, seq=place.seq,
            )  # fmt: skip


def _event(row: Stored) -> bytes:
    return orjson.dumps(ocsf_event(row, product=PRODUCT))
