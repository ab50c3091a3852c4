"""What the rest of the gateway knows of the trail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from careweir.audit.entry import Entry, Query, Receipt, Stored
from careweir.audit.proofs import Extension, Proof


class AuditTrail(Protocol):
    """A trail that is open."""

    writer: str

    def submit(self, entry: Entry) -> asyncio.Future[Receipt]:
        """Queue an entry in order. The future resolves when it is durable.

        Raises AuditUnavailable, at once when the trail is closed or full, else from the future.
        A caller that is cancelled before it has the receipt of an intent must not send.
        """
        ...

    async def append(self, entry: Entry) -> Receipt:
        """Submit and wait until it is durable, or raise AuditUnavailable."""
        ...

    async def healthy(self) -> bool:
        """Can the trail record now? After a failure this tries to write."""
        ...

    def read(self, query: Query) -> AsyncIterator[Stored]:
        """The entries that match, oldest first unless asked otherwise, page by page."""
        ...

    async def follow(self, writer: str, first: int, limit: int) -> list[Stored]:
        """Some entries of one chain from ``first`` on, in order; their ``position`` is not told."""
        ...

    async def count(self, query: Query) -> int:
        """How many entries match, counted no further than the query's ``limit``."""
        ...

    async def checkpoint(self) -> str | None:
        """The last signed checkpoint (a C2SP note); None if nothing is sealed yet."""
        ...

    async def proof(self, writer: str, seq: int) -> Proof | None:
        """That an entry stands under the last checkpoint; None if it is not sealed yet."""
        ...

    async def extension(self, first: int, second: int | None = None) -> Extension | None:
        """That a checkpoint begins with an earlier one; None if there is none of such a size."""
        ...

    def export(self) -> AsyncIterator[bytes]:
        """The whole trail as NDJSON lines that ``verify(export=...)`` reads."""
        ...

    async def close(self) -> None:
        """Write all that waits and an entry ``close``, then let go of the database."""
        ...
