"""The trail of one running gateway: callers hand entries in, one committer makes them durable.

    submit ──▶ waiting ──▶ one transaction with all that gathered during the last ──▶ receipts

INVARIANT: entries of one writer stand in the order in which they were submitted, and where one is
durable every earlier one is, but for intents whose callers were told ``AuditUnavailable``.

When a commit fails, waiting intents are refused: nobody may send what is not on the record. All
other entries describe what did happen, so they are kept: fsynced to the spool, and written before
anything else as soon as the database takes writes again, behind an entry ``recovered`` that says
since when it did not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from careweir.audit.chain import Chain
from careweir.audit.entry import (
    JSON,
    Encoded,
    Entry,
    Query,
    Receipt,
    Row,
    Stored,
    encode,
    stored,
    timestamp,
)
from careweir.audit.export import export_lines
from careweir.audit.keys import AuditKeys, mac_id
from careweir.audit.proofs import Extension, Proof, prove, prove_extension
from careweir.audit.seal import Sealer
from careweir.audit.spool import Spool
from careweir.audit.store import Head, Store
from careweir.errors import AuditUnavailable

WAITING_INTENTS_MAX = 10_000
WAITING_MAX = 100_000
BATCH_MAX = 5_000
PAGE_ROWS = 500
RETRY_S = 1.0
LAST_ENTRIES = 20_000


class _Waiting(NamedTuple):
    entry: Encoded
    receipt: asyncio.Future[Receipt]


class Trail:
    """Keeps ``AuditTrail`` over any ``Store``; belongs to the event loop that started it."""

    def __init__(
        self,
        store: Store,
        spool: Spool,
        keys: AuditKeys,
        clock: Callable[[], datetime],
        writer: str,
        sealer: Sealer | None = None,
    ) -> None:
        self._sealer = sealer
        self.writer = writer
        self.store = store
        self._spool = spool
        self._clock = clock
        self._chain = Chain(writer, keys.mac)
        self._mac_id = mac_id(keys.mac)
        self._waiting: list[_Waiting] = []
        self._kept: list[Encoded] = []  # not taken by the database; written before all else
        self._doubtful: list[Row] = []  # the rows of a commit that failed
        self._doubtful_kept = 0  # how many of ``_kept`` they hold
        self._failed_since: str | None = None
        self._refused = 0
        self._probes: list[asyncio.Future[None]] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._committer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, open the chain, and settle what earlier writers left open."""
        try:
            await self.store.start(self.writer)
            rows = self._chain.extend(await self._first_entries())
            await self.store.commit(rows)
        except BaseException:
            await self.store.close()
            raise
        self._chain.advance(rows)
        self._spool.clear()
        self._committer = asyncio.create_task(self._run(), name="audit committer")
        if self._sealer is not None:
            self._sealer.start()

    def submit(self, entry: Entry) -> asyncio.Future[Receipt]:
        limit = WAITING_INTENTS_MAX if entry.type == "intent" else WAITING_MAX
        if self._closing or self._committer is None:
            raise AuditUnavailable("the audit trail is closed")
        if entry.type == "intent" and self._sealer is not None and self._sealer.refuses:
            raise AuditUnavailable("no witness takes the checkpoints", retry_after_s=1)
        if len(self._waiting) + len(self._kept) >= limit:
            raise AuditUnavailable("too many entries wait for the audit trail", retry_after_s=1)
        encoded = encode(entry, timestamp(self._clock()))
        receipt: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(encoded, receipt))
        self._wake.set()
        return receipt

    async def append(self, entry: Entry) -> Receipt:
        return await self.submit(entry)

    async def healthy(self) -> bool:
        if self._closing or self._committer is None or self._committer.done():
            return False
        if self._sealer is not None and self._sealer.refuses:
            return False
        if self._failed_since is None:
            return await self.store.alive()
        probe: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._probes.append(probe)
        self._wake.set()
        await probe
        return self._failed_since is None

    async def read(self, query: Query) -> AsyncIterator[Stored]:
        left = query.limit
        while left is None or left > 0:
            size = PAGE_ROWS if left is None else min(left, PAGE_ROWS)
            page = await self.store.page(query, size)
            for position, row in page:
                yield stored(position, row)
            if len(page) < size:
                return
            query = replace(query, after=page[-1][0])
            left = None if left is None else left - size

    async def follow(self, writer: str, first: int, limit: int) -> list[Stored]:
        rows = await self.store.rows(writer, first, first + limit - 1)
        return [stored(0, row) for row in rows]

    async def count(self, query: Query) -> int:
        return await self.store.count(query)

    async def checkpoint(self) -> str | None:
        seals = await self.store.seals()
        return seals[-1].note if seals else None

    async def proof(self, writer: str, seq: int) -> Proof | None:
        return await prove(self.store, writer, seq)

    async def extension(self, first: int, second: int | None = None) -> Extension | None:
        return await prove_extension(self.store, first, second)

    async def export(self) -> AsyncIterator[bytes]:
        async for line in export_lines(self.store):
            yield line

    async def close(self) -> None:
        if self._closing or self._committer is None:
            return
        last = self.submit(Entry(type="close"))
        self._closing = True
        self._wake.set()
        await self._committer
        assert last.done()
        if self._sealer is not None:
            await self._sealer.stop()
        await self.store.close()

    # --- the committer ------------------------------------------------------------------------

    async def _run(self) -> None:
        while not self._closing or self._waiting:
            await self._woken()
            while self._waiting or self._probes or self._kept:
                await self._commit(self._take())
                if self._failed_since is not None:
                    break

    async def _woken(self) -> None:
        """Wait for work; while entries are kept back, try again after a while."""
        if self._closing:
            return
        try:
            async with asyncio.timeout(RETRY_S if self._kept else None):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    def _take(self) -> list[_Waiting]:
        """The next batch. An intent that its caller gave up is not recorded: it is not sent."""
        batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
        return [w for w in batch if not (w.receipt.cancelled() and w.entry.type == "intent")]

    async def _commit(self, batch: list[_Waiting]) -> None:
        probes, self._probes = self._probes, []
        attempted: list[Row] = []
        try:
            before = await self._before()
            attempted = self._chain.extend([*before, *(w.entry for w in batch)])
            if attempted:
                await self.store.commit(attempted)
        except Exception as error:  # whatever it is: no caller may wait for ever
            await self._refuse(batch, _unavailable(error))
            if attempted:
                self._doubtful, self._doubtful_kept = attempted, len(self._kept)
        else:
            await self._settle(attempted, batch)
        for probe in probes:
            if not probe.done():
                probe.set_result(None)

    async def _before(self) -> list[Encoded]:
        """What must be written first: nothing, or after a failure all that was kept."""
        if self._failed_since is None:
            return []
        await self._find_head()
        body: dict[str, JSON] = {
            "since": self._failed_since,
            "refused": self._refused,
            "replayed": len(self._kept),
        }
        return [self._encode(Entry(type="recovered", body=body)), *self._kept]

    async def _find_head(self) -> None:
        """After a failed commit: did the database take it after all?"""
        head = await self.store.head(self.writer)
        if self._doubtful and head == _head_of(self._doubtful[-1]):
            lost = [row for row in self._doubtful if row.type == "intent"]
            self._chain.advance(self._doubtful)
            self._kept = self._kept[self._doubtful_kept :]
            self._kept[:0] = [self._not_sent(Encoded(*row[5:])) for row in lost]
            self._doubtful = []
        elif head != Head(self.writer, self._chain.seq, self._chain.hash):
            raise AuditUnavailable("the audit database does not hold this writer's chain")

    async def _settle(self, rows: list[Row], batch: list[_Waiting]) -> None:
        """The rows are durable: hand out receipts."""
        self._chain.advance(rows)
        if self._failed_since is not None:
            self._failed_since, self._refused, self._kept = None, 0, []
            await asyncio.to_thread(self._spool.clear)
        self._doubtful = []
        for row, waiting in zip(rows[len(rows) - len(batch) :], batch, strict=True):
            if not waiting.receipt.done():
                waiting.receipt.set_result(Receipt(row.writer, row.seq, row.hash.hex()))
            elif row.type == "intent":
                self._queue(self._not_sent(waiting.entry))

    async def _refuse(self, batch: list[_Waiting], error: AuditUnavailable) -> None:
        """Keep what happened, refuse what has not happened yet."""
        if self._failed_since is None:
            self._failed_since = timestamp(self._clock())
        facts = [w.entry for w in batch if w.entry.type not in ("intent", "close")]
        self._refused += sum(w.entry.type == "intent" for w in batch)
        self._kept += facts
        await asyncio.to_thread(self._spool.append, facts)
        for waiting in batch:
            if not waiting.receipt.done():
                refusal = AuditUnavailable(error.detail, retry_after_s=error.retry_after_s)
                waiting.receipt.set_exception(refusal)
                waiting.receipt.exception()  # whoever does not wait for it need not hear of it

    # --- entries that the trail itself makes ----------------------------------------------------

    def _encode(self, entry: Entry) -> Encoded:
        return encode(entry, timestamp(self._clock()))

    def _queue(self, entry: Encoded) -> None:
        self._waiting.append(_Waiting(entry, asyncio.get_running_loop().create_future()))
        self._wake.set()

    def _not_sent(self, intent: Encoded) -> Encoded:
        """INVARIANT: without its receipt an intent is not sent, so this is known."""
        body: dict[str, JSON] = {"because": "the caller was gone before the intent was durable"}
        return self._encode(_outcome_of(intent, "not_sent", body))

    async def _first_entries(self) -> list[Encoded]:
        heads = [head for head in await self.store.heads() if head.writer != self.writer]
        alive = await self.store.living([head.writer for head in heads])
        named = await self._named_before()
        fresh = [head for head in heads if named.get(head.writer, 0) < head.seq]
        waiting = self._spool.load()
        spooled = [entry for entry in waiting if not await self.store.holds(entry)]
        settled = {entry.disclosure for entry in spooled if entry.type == "outcome"}
        first = [self._opening(fresh)]
        if spooled or self._spool.rejected:
            body: dict[str, JSON] = {"replayed": len(spooled), "rejected": self._spool.rejected}
            first += [self._encode(Entry(type="spooled", body=body)), *spooled]
        for head in fresh:
            if head.writer not in alive:
                intents = await self.store.open_intents(head.writer, await self._doubted(head))
                first += [self._unknown(row) for row in intents if row.disclosure not in settled]
        return first

    async def _doubted(self, head: Head) -> int:
        """From where on an earlier writer may have left intents open.

        One that ended in good order has concluded all but, at the most, its last ones.
        """
        (last,) = await self.store.rows(head.writer, head.seq, head.seq)
        return max(1, head.seq - LAST_ENTRIES) if last.type == "close" else 1

    def _opening(self, fresh: list[Head]) -> Encoded:
        predecessors: list[JSON] = [
            {"writer": head.writer, "seq": head.seq, "hash": head.hash.hex()} for head in fresh
        ]
        body: dict[str, JSON] = {"predecessors": predecessors, "mac_key": self._mac_id}
        return self._encode(Entry(type="open", body=body))

    async def _named_before(self) -> dict[str, int]:
        """How far earlier ``open`` entries vouch for each writer."""
        named: dict[str, int] = {}
        async for opening in self.read(Query(type="open")):
            for writer, seq, _ in predecessors_of(opening.entry):
                named[writer] = max(seq, named.get(writer, 0))
        return named

    def _unknown(self, intent: Row) -> Encoded:
        body: dict[str, JSON] = {
            "because": "its writer ended before an outcome was recorded",
            "intent": {"writer": intent.writer, "seq": intent.seq},
        }
        return self._encode(_outcome_of(Encoded(*intent[5:]), "unknown", body))


def predecessors_of(opening: Entry) -> list[tuple[str, int, str]]:
    """Writer, seq and hash (hex) of each head that an ``open`` entry names."""
    named: Any = opening.body.get("predecessors")
    return [(head["writer"], head["seq"], head["hash"]) for head in named]


def _head_of(row: Row) -> Head:
    return Head(row.writer, row.seq, row.hash)


def _unavailable(error: Exception) -> AuditUnavailable:
    if isinstance(error, AuditUnavailable):
        return error
    return AuditUnavailable(f"the audit trail failed ({type(error).__name__})")


def _outcome_of(intent: Encoded, outcome: str, body: dict[str, JSON]) -> Entry:
    return Entry(
        type="outcome",
        body=body,
        inference=intent.inference,
        disclosure=intent.disclosure,
        patient_key=intent.patient_key,
        actor=intent.actor,
        client=intent.client,
        tool=intent.tool,
        outcome=outcome,
    )
