"""What the gateway remembers between requests: records that expire, sealed at rest."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime

from careweir.errors import StateUnavailable
from careweir.log import log
from careweir.state.record import (
    Cursor,
    Find,
    Put,
    Record,
    Row,
    check_names,
    micros,
    moment_of,
)
from careweir.state.seal import StateKeys
from careweir.state.store import Backend, Held

FIND_MAX = 500
PURGE_EVERY_S = 60.0
_NO_TAGS: Mapping[str, str] = {}


class State:
    """Records over any backend. Every method raises StateUnavailable while the database is away.

    Never evidence: what must be proven later belongs on the audit trail.
    """

    def __init__(self, backend: Backend, keys: StateKeys, *, clock: Callable[[], datetime]) -> None:
        self._backend = backend
        self._keys = keys
        self._clock = clock
        self._purging: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect. A database that is away is not an error: it may come back while we run.

        Raises ConfigInvalid when the schema is newer than this program knows.
        """
        try:
            await self._backend.start()
        except StateUnavailable as error:
            log.error("state store away", reason=error.detail)
        self._purging = asyncio.create_task(self._purge_now_and_then(), name="state purge")

    async def put_new(
        self,
        kind: str,
        key: str,
        body: bytes,
        *,
        site: str | None = None,
        tags: Mapping[str, str] = _NO_TAGS,
        expires_at: datetime | None = None,
    ) -> Put:
        """Store a record unless there is one; of several callers at once exactly one stores.

        A record that has expired counts as gone.
        """
        check_names(kind, key, tags)
        now = self._clock()
        version = secrets.randbits(52)
        record = Record(kind, key, version, now, body, expires_at, site, dict(tags))
        while True:
            if await self._backend.insert(self._row(record), tags, now_us=micros(now)):
                return Put(record, stored=True)
            if (found := await self.get(kind, key)) is not None:
                return Put(found, stored=False)

    async def get(self, kind: str, key: str) -> Record | None:
        """The record of a key; None when there is none, or none any more."""
        held = await self._backend.get(kind, key)
        if held is None or _expired(held.row, micros(self._clock())):
            return None
        return self._record(held)

    async def replace(self, record: Record) -> Record | None:
        """Store a changed copy of a record that was read (``dataclasses.replace``).

        The body, the tags and the expiry may change. Returns the record with its new version, or
        None when another caller has changed or deleted it since: read again and decide anew.
        """
        check_names(record.kind, record.key, record.tags)
        changed = dataclasses.replace(record, version=record.version + 1)
        row = self._row(changed)
        done = await self._backend.replace(row, record.tags, expected=record.version)
        return changed if done else None

    async def update(
        self,
        kind: str,
        key: str,
        change: Callable[[bytes | None], bytes],
        *,
        site: str | None = None,
        tags: Mapping[str, str] = _NO_TAGS,
    ) -> None:
        """Store what ``change`` makes of the body that is there (None: none), however often others
        come between; ``site`` and ``tags`` are those of a new record.
        """
        while True:
            record = await self.get(kind, key)
            body = change(None if record is None else record.body)
            if record is None:
                if (await self.put_new(kind, key, body, site=site, tags=tags)).stored:
                    return
            elif await self.replace(dataclasses.replace(record, body=body)):
                return

    async def find(
        self,
        kind: str,
        *,
        site: str | None,
        tags: Mapping[str, str] = _NO_TAGS,
        after: Cursor | None = None,
        limit: int = 50,
        newest_first: bool = False,
    ) -> list[Record]:
        """A page of the records with all these tags, by creation time and key.

        Args:
            site: only this site's; None means every site's, so say it on purpose.
            after: the ``cursor`` of the last record of the page before.
            limit: 1 to 500.
        """
        check_names(kind, "-", tags)
        if not 0 < limit <= FIND_MAX:
            raise ValueError(f"a page holds 1 to {FIND_MAX} records")
        wanted = tuple(tags.items())
        now_us = micros(self._clock())
        page = Find(kind, wanted, site, after, limit, newest_first, now_us)
        return [self._record(held) for held in await self._backend.find(page)]

    async def delete(self, kind: str, key: str) -> bool:
        """Forget one record; False when there was none."""
        return await self._backend.delete(kind, key)

    async def purge_expired(self) -> int:
        """Remove what has expired; how many records."""
        return await self._backend.purge(micros(self._clock()))

    async def now(self) -> datetime:
        """The database's time, which all replicas share: leases are counted by it."""
        return moment_of(await self._backend.now_us())

    async def close(self) -> None:
        """Let go of the database; never raises."""
        if self._purging is not None:
            self._purging.cancel()
            await asyncio.gather(self._purging, return_exceptions=True)
        await self._backend.close()

    async def _purge_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(PURGE_EVERY_S)
            try:
                await self.purge_expired()
            except StateUnavailable as error:
                log.error("state store away", reason=error.detail)

    def _row(self, record: Record) -> Row:
        expires_us = None if record.expires_at is None else micros(record.expires_at)
        sealed = self._keys.seal(record.body, kind=record.kind, key=record.key, site=record.site)
        created_us = micros(record.created_at)
        return Row(
            record.kind, record.key, record.version, record.site, created_us, expires_us, sealed
        )

    def _record(self, held: Held) -> Record:
        row = held.row
        return Record(
            kind=row.kind,
            key=row.key,
            version=row.version,
            created_at=moment_of(row.created_us),
            body=self._keys.open(row.sealed, kind=row.kind, key=row.key, site=row.site),
            expires_at=None if row.expires_us is None else moment_of(row.expires_us),
            site=row.site,
            tags=held.tags,
        )


def _expired(row: Row, now_us: int) -> bool:
    return row.expires_us is not None and row.expires_us <= now_us
