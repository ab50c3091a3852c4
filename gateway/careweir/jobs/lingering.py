"""Ask on past the deadline: a vendor's job that was still running is polled by whoever has time.

Where to ask is put down as soon as the vendor says that it is at work, so that not even a kill
loses it. Each poll is a job of its own under a lease, and on the record before it leaves. It sends
nothing but the address of the vendor's own job. What comes is a late result like any other.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
import orjson

from careweir.errors import GatewayError, StateUnavailable
from careweir.fanout import Errand, Prepared, classed, raise_unless_usable, read_answer
from careweir.jobs.late import JOB, Late, late_findings, put_late
from careweir.jobs.record import LateLedger
from careweir.jobs.runner import Again, Job, Runner
from careweir.log import log
from careweir.minimise import Manifest, Minimised
from careweir.pipeline import Gateway
from careweir.question import rfc3339
from careweir.state import Record, State
from careweir_kit.adapter import Ask, Parsed, VendorAnswer, VendorRequest
from careweir_kit.errors import (
    VendorError,
    VendorThrottled,
    VendorTimedOut,
    VendorUnavailable,
    WrongPatient,
)

KIND, SORT = "lingering", "poll"
PAUSE_MAX_S = 30.0
GROWS = 1.5
SPARE = timedelta(hours=1)  # the last poll may be late; what nobody deletes expires


class _Waiting(msgspec.Struct, frozen=True):
    inference: str
    tool: str
    disclosure: str
    endpoint: str
    path: str
    headers: dict[str, str]
    accept: list[str]
    subject: str
    payload: bytes
    manifest: dict[str, Any]
    request_id: str
    as_of: str
    until_us: int
    wait_s: float
    polls: int = 0

    @property
    def request(self) -> VendorRequest:
        """What is sent: no part of a chart."""
        return VendorRequest("GET", self.path, b"", self.headers, tuple(self.accept))

    @property
    def ask(self) -> Ask:
        """What the answer is read against."""
        return Ask(self.subject, self.request_id, orjson.loads(self.payload), self.as_of, 0)


@dataclass(frozen=True, slots=True)
class Lingering:
    """Puts errands down. Without the state store a job is polled until its deadline only."""

    state: State
    runner: Runner
    clock: Callable[[], datetime]

    def about(self, inference: str, site: str | None) -> _OfInference:
        """What one question's attempts tell of their errands."""
        return _OfInference(self, inference, site)


@dataclass(frozen=True, slots=True)
class _OfInference:
    by: Lingering
    inference: str
    site: str | None

    async def begun(self, errand: Errand) -> None:
        tool, state = errand.prepared.tool, self.by.state
        if not tool.late_poll_s:
            return
        until = self.by.clock() + timedelta(seconds=tool.late_poll_s)
        body = msgspec.msgpack.encode(_waiting(self.inference, errand, until))
        try:
            put = await state.put_new(
                KIND, errand.disclosure, body, site=self.site, expires_at=until + SPARE
            )
            if put.stored:
                after_s = errand.left_s + errand.wait_s
                key = f"{errand.disclosure}-0"
                await self.by.runner.plan(SORT, key, site=self.site, after_s=after_s)
            else:  # the vendor has named another place to ask at
                await state.replace(dataclasses.replace(put.record, body=body))
        except StateUnavailable as error:
            log.warning("job is not polled past its deadline", tool=tool.tool, reason=error.detail)

    async def ended(self, disclosure: str) -> None:
        try:
            await self.by.state.delete(KIND, disclosure)
        except StateUnavailable as error:  # then it is polled once more, for nothing
            log.warning("job is polled for nothing", reason=error.detail)


def _waiting(inference: str, errand: Errand, until: datetime) -> _Waiting:
    prepared, request = errand.prepared, errand.request
    return _Waiting(
        inference=inference,
        tool=prepared.tool.tool,
        disclosure=errand.disclosure,
        endpoint=prepared.endpoint,
        path=request.path,
        headers=dict(request.headers),
        accept=list(request.accept),
        subject=prepared.subject,
        payload=orjson.dumps(prepared.minimised.payload or {}),
        manifest=prepared.minimised.manifest.model_dump(mode="json"),
        request_id=errand.request_id,
        as_of=errand.as_of,
        until_us=int(until.timestamp() * 1_000_000),
        wait_s=errand.wait_s,
    )


class Polls:
    """Runs the errands: one poll a job."""

    def __init__(
        self,
        gateway: Gateway,
        state: State,
        runner: Runner,
        ledger: LateLedger,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._gateway = gateway
        self._state = state
        self._runner = runner
        self._ledger = ledger
        self._clock = clock
        runner.sort(SORT, self._work, give_up=self._give_up)

    async def _work(self, job: Job) -> None:
        record = await self._state.get(KIND, job.key.rpartition("-")[0])
        if record is None:
            return  # it was answered in time
        waiting = msgspec.msgpack.decode(record.body, type=_Waiting)
        prepared = self._prepared(waiting)
        over = self._clock().timestamp() * 1_000_000 > waiting.until_us
        try:
            if over or prepared is None:
                await self._end(waiting, "given_up")
            else:
                await self._ask(record, waiting, prepared)
        except GatewayError:  # the record or the state is away: nothing is sent without them
            raise Again from None

    async def _give_up(self, job: Job) -> None:
        record = await self._state.get(KIND, job.key.rpartition("-")[0])
        if record is not None:
            await self._end(msgspec.msgpack.decode(record.body, type=_Waiting), "given_up")

    def _prepared(self, waiting: _Waiting) -> Prepared | None:
        """As it was asked, if it may still be: known, not held, at an endpoint of its file."""
        house = self._gateway.house
        tool, transport = house.tools.get(waiting.tool), house.transports.get(waiting.tool)
        if tool is None or transport is None or self._gateway.guards.held(waiting.tool) is not None:
            return None
        if not any(waiting.endpoint in urls for urls in tool.endpoints.values()):
            return None
        minimised = Minimised(dict(waiting.ask.payload), Manifest.model_validate(waiting.manifest))
        adapter = house.adapters[tool.adapter]
        return Prepared(tool, adapter, minimised, waiting.subject, waiting.endpoint, transport)

    async def _ask(self, record: Record, waiting: _Waiting, prepared: Prepared) -> None:
        await self._polled(waiting, "asked")
        again = waiting
        try:
            async with asyncio.timeout(prepared.tool.deadline_ms / 1000):
                assert prepared.transport is not None
                answer = await prepared.transport.send(
                    waiting.endpoint, waiting.request, bytes_max=prepared.tool.answer_bytes_max
                )
            verdict = classed(prepared, answer)
            if verdict.answer_class != "pending":
                raise_unless_usable(prepared.tool, answer, verdict)
                parsed = read_answer(prepared, answer, waiting.ask)
                await self._late(record, waiting, prepared, parsed, answer)
                return
            again = _moved(waiting, verdict.follow_up, verdict.retry_after_s)
        except WrongPatient:
            await self._wrong(waiting)
            return
        except (TimeoutError, VendorTimedOut, VendorThrottled, VendorUnavailable):
            pass  # it may be there the next time
        except VendorError as error:
            await self._end(waiting, error.code)
            return
        await self._plan(record, msgspec.structs.replace(again, polls=waiting.polls + 1))

    async def _plan(self, record: Record, waiting: _Waiting) -> None:
        body = msgspec.msgpack.encode(waiting)
        await self._state.replace(dataclasses.replace(record, body=body))
        pause_s = min(PAUSE_MAX_S, max(1.0, waiting.wait_s) * GROWS**waiting.polls)
        key = f"{waiting.disclosure}-{waiting.polls}"
        await self._runner.plan(SORT, key, site=record.site, after_s=pause_s)

    async def _late(
        self,
        record: Record,
        waiting: _Waiting,
        prepared: Prepared,
        parsed: Parsed,
        answer: VendorAnswer,
    ) -> None:
        late = Late(
            inference=waiting.inference,
            tool=waiting.tool,
            version=parsed.model_version or prepared.tool.version,
            disclosure=waiting.disclosure,
            received=rfc3339(self._clock()),
            findings=late_findings(parsed.findings),
            notes=list(parsed.notes),
            partial=parsed.completeness == "partial",
        )
        job = await put_late(
            self._state, self._runner, waiting.disclosure, late, site=record.site,
            expires_at=self._clock() + timedelta(days=1),
        )  # fmt: skip
        await self._end(waiting, "late", hashlib.sha256(answer.body).hexdigest())
        self._runner.begin(JOB, job)

    async def _wrong(self, waiting: _Waiting) -> None:
        """As after any answer about somebody else: nothing of it goes on, and the tool is held."""
        self._gateway.guards.hold(waiting.tool, waiting.disclosure)
        log.error("tool held", tool=waiting.tool, disclosure=waiting.disclosure)
        intents = await self._ledger.intents(waiting.inference, waiting.tool)
        about = next((one for one in intents if one.disclosure == waiting.disclosure), None)
        await self._ledger.held_unasked(
            waiting.tool, waiting.disclosure, "wrong_patient_late", about=about
        )
        await self._end(waiting, WrongPatient.code)

    async def _end(self, waiting: _Waiting, outcome: str, digest: str | None = None) -> None:
        await self._polled(waiting, outcome, digest)
        await self._state.delete(KIND, waiting.disclosure)

    async def _polled(self, waiting: _Waiting, outcome: str, digest: str | None = None) -> None:
        await self._ledger.polled(
            waiting.inference,
            waiting.tool,
            waiting.disclosure,
            outcome=outcome,
            number=waiting.polls + 1,
            answer_sha256=digest,
        )


def _moved(waiting: _Waiting, again: VendorRequest | None, wait_s: float | None) -> _Waiting:
    """With the place that the vendor named last, and its wish for a pause."""
    waiting = msgspec.structs.replace(waiting, wait_s=wait_s or waiting.wait_s)
    if again is None or again.method != "GET":
        return waiting
    return msgspec.structs.replace(
        waiting, path=again.path, headers=dict(again.headers), accept=list(again.accept)
    )
