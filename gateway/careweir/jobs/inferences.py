"""Ask now, ask once, ask later, read again: what stands between the routes and the pipeline."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from careweir.access import Actor
from careweir.errors import (
    AnswerLost,
    CallerError,
    GatewayError,
    KeyInUse,
    KeyReused,
    LeaseLost,
    NotFound,
    StateUnavailable,
)
from careweir.ids import NewId
from careweir.jobs.kept import Kept, Reader, client_tag, decoded, kept_answer, kept_refusal
from careweir.jobs.late import Announce
from careweir.jobs.runner import Again, Job, Runner
from careweir.log import log
from careweir.pipeline import Gateway, Run
from careweir.question import Answer, Question, read_question, rfc3339
from careweir.state import Cursor, Record, State

KEY_LIVES_S = 24 * 3600
CLAIM_SPARE_S = 2.0
PAGE = 100
WAIT_FIRST_S, WAIT_MAX_S = 0.02, 0.5
INFERENCE, ASKED, KEY = "inference", "asked", "idempotency"
JOB = "ask"
_BUSY = "the first request with this key is still being answered"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long answers are kept, and how long a job may take; seconds."""

    kept_s: int
    job_s: int


class _Claim(msgspec.Struct, frozen=True):
    """What an Idempotency-Key stands for, and until when (database time) its asker may send."""

    digest: bytes
    inference: str
    until_us: int
    takes: int = 1


class _Asked(msgspec.Struct, frozen=True):
    """A question that is answered later: its body as sent, and who sent it."""

    body: bytes
    actor: dict[str, str | list[str] | None]
    resumed: bool


class Inferences:
    """Every way in which a question is asked, and in which its answer is read again."""

    def __init__(
        self,
        gateway: Gateway,
        state: State,
        runner: Runner,
        *,
        limits: Limits,
        clock: Callable[[], datetime],
        new_id: NewId,
        patient_key: Callable[[str], str],
        announce: Announce,
    ) -> None:
        self._gateway = gateway
        self._state = state
        self._runner = runner
        self._limits = limits
        self._clock = clock
        self._new_id = new_id
        self._patient_key = patient_key
        self._announce = announce
        runner.sort(JOB, self._work, give_up=self._give_up)

    async def now(self, question: Question, actor: Actor) -> Kept:
        """Ask and wait. That the answer can be read again is not worth losing it for."""
        return await self._given(await self._gateway.answer(question, actor), actor, keyed=False)

    async def shown(self, question: Question, actor: Actor) -> Answer:
        """The same, for a door that shows the answer in a form of its own."""
        answer = await self._gateway.answer(question, actor)
        await self._given(answer, actor, keyed=False)
        return answer

    async def once(self, key: str, body: bytes, question: Question, actor: Actor) -> Kept:
        """Ask and wait, once for each key of this caller; raises KeyReused, KeyInUse."""
        return await self._once(_name(key, actor), body, question, actor)

    async def later(self, key: str | None, body: bytes, question: Question, actor: Actor) -> Kept:
        """Accept a question and answer it in a job; refusals that are certain come at once."""
        inference, resumed = self._new_id("inf"), False
        name = None if key is None else _name(key, actor)
        if name is not None:
            claim = await self._claim(name, body, question, actor, inference, CLAIM_SPARE_S)
            if claim.inference != inference:
                if (kept := await self._kept(claim.inference)) is not None:
                    return kept
                if await self._taken_over(name, claim, CLAIM_SPARE_S) is None:
                    raise KeyInUse(_BUSY, retry_after_s=1)
                inference, resumed = claim.inference, True
        try:
            await self._gateway.admit(inference, question, actor)
            return await self._accepted(inference, body, question, actor, resumed=resumed)
        except GatewayError:
            if name is not None and not resumed:
                await self._state.delete(KEY, name)
            raise

    async def read(self, inference: str, actor: Actor) -> tuple[Kept, Record]:
        """One inference as it stands; raises NotFound for whoever may not know of it."""
        record = await self._state.get(INFERENCE, inference)
        kept = None if record is None else decoded(record.body)
        if record is None or kept is None or not kept.reader.admits(actor, record.site):
            raise NotFound("no such inference, or not for this reader")
        return kept, record

    async def given_to(
        self, actor: Actor, *, patient: str | None, newest_first: bool
    ) -> AsyncIterator[tuple[Kept, Record]]:
        """The answers that this reader may read again; ``patient`` is a keyed hash, or None."""
        tags = {"state": "done", "client": client_tag(actor.client)}
        tags |= {"patient": patient} if patient is not None else {}
        after: Cursor | None = None
        while True:
            page = await self._state.find(
                INFERENCE, site=actor.site, tags=tags, after=after, limit=PAGE,
                newest_first=newest_first,
            )  # fmt: skip
            for record in page:
                kept = decoded(record.body)
                if kept.reader.admits(actor, record.site):
                    yield kept, record
            if len(page) < PAGE:
                return
            after = page[-1].cursor

    async def unknown(
        self, *, site: str | None, after: str | None, limit: int
    ) -> list[dict[str, str | list[str] | None]]:
        """The work list, oldest first, after one inference: which tools nobody heard of again."""
        last = None if after is None else await self._state.get(INFERENCE, after)
        found = await self._state.find(
            INFERENCE,
            site=site,
            tags={"unknown": "yes"},
            after=None if last is None else last.cursor,
            limit=limit,
        )
        return [_work_row(record) for record in found]

    # --- once for each key --------------------------------------------------------------------

    async def _once(self, name: str, body: bytes, question: Question, actor: Actor) -> Kept:
        loop = asyncio.get_running_loop()
        patience, pause = loop.time() + question.deadline_ms / 1000 + 1, WAIT_FIRST_S
        while True:
            inference, since = self._new_id("inf"), loop.time()
            seconds = question.deadline_ms / 1000 + CLAIM_SPARE_S
            claim = await self._claim(name, body, question, actor, inference, seconds)
            if claim.inference == inference:
                return await self._first(name, claim, question, actor, since + seconds)
            if (kept := await self._kept(claim.inference)) is not None and kept.state != "running":
                return kept
            taken = await self._taken_over(name, claim, seconds)
            if taken is not None and kept is None:
                return await self._first(name, taken, question, actor, since + seconds)
            if loop.time() + pause > patience:
                raise KeyInUse(_BUSY, retry_after_s=1)
            await asyncio.sleep(pause)
            pause = min(pause * 2, WAIT_MAX_S)

    async def _claim(
        self,
        name: str,
        body: bytes,
        question: Question,
        actor: Actor,
        inference: str,
        seconds: float,
    ) -> _Claim:
        """Our claim, or the one that was there first; raises KeyReused for another body."""
        digest = hashlib.sha256(body).digest()
        mine = _Claim(digest, inference, await self._until_us(seconds))
        put = await self._state.put_new(
            KEY,
            name,
            msgspec.msgpack.encode(mine),
            site=question.site or actor.site,
            expires_at=self._expiry(KEY_LIVES_S),
        )
        if put.stored:
            return mine
        found = msgspec.msgpack.decode(put.record.body, type=_Claim)
        if found.digest != digest:
            raise KeyReused("send a new key with another body")
        return found

    async def _taken_over(self, name: str, claim: _Claim, seconds: float) -> _Claim | None:
        """The claim of an asker who is gone for certain, as ours; None while he may yet send."""
        record = await self._state.get(KEY, name)
        if record is None or claim.until_us > await self._until_us(0):
            return None
        if msgspec.msgpack.decode(record.body, type=_Claim) != claim:
            return None
        ours = msgspec.structs.replace(
            claim, until_us=await self._until_us(seconds), takes=claim.takes + 1
        )
        body = msgspec.msgpack.encode(ours)
        done = await self._state.replace(dataclasses.replace(record, body=body))
        return None if done is None else ours

    async def _first(
        self, name: str, claim: _Claim, question: Question, actor: Actor, until: float
    ) -> Kept:
        """Ask under a claim. A key whose question disclosed nothing is free again."""
        loop = asyncio.get_running_loop()
        run = Run(
            inference=claim.inference,
            fence=lambda: loop.time() < until,
            resumed=claim.takes > 1,
        )
        try:
            answer = await self._gateway.answer(question, actor, run=run)
        except GatewayError as error:
            if not error.sent and claim.takes == 1 and not isinstance(error, LeaseLost):
                await self._state.delete(KEY, name)
            raise
        return await self._given(answer, actor, keyed=True)

    async def _until_us(self, seconds: float) -> int:
        moment = await self._state.now() + timedelta(seconds=seconds)
        return int(moment.timestamp() * 1_000_000)

    # --- later --------------------------------------------------------------------------------

    async def _accepted(
        self, inference: str, body: bytes, question: Question, actor: Actor, *, resumed: bool
    ) -> Kept:
        """Put the question down so that whatever happens next, some replica answers it."""
        site = question.site or actor.site
        kept = self._running_of(inference, question, actor)
        asked = msgspec.msgpack.encode(_Asked(body, _actor_out(actor), resumed))
        expires = self._expiry(self._limits.job_s)
        job = await self._runner.reserve(JOB, inference, site=site)
        await self._state.put_new(ASKED, inference, asked, site=site, expires_at=expires)
        await self._put(kept, site, self._limits.job_s)
        self._runner.begin(JOB, job)
        return kept

    def _running_of(self, inference: str, question: Question, actor: Actor) -> Kept:
        return Kept(inference, Reader.of(actor, question), "running", rfc3339(self._clock()))

    async def _work(self, job: Job) -> None:
        """Answer one accepted question. What the record says was sent before is not sent again."""
        record = await self._state.get(INFERENCE, job.key)
        asked = await self._state.get(ASKED, job.key)
        if record is None or asked is None or decoded(record.body).state != "running":
            return
        kept, sent = decoded(record.body), msgspec.msgpack.decode(asked.body, type=_Asked)
        actor = _actor_in(sent.actor)
        question = dataclasses.replace(
            read_question(sent.body, deadline_ms_default=1), deadline_ms=self._limits.job_s * 1000
        )
        resumed = job.resumed or sent.resumed
        run = Run(inference=job.key, fence=job.held, resumed=resumed)
        try:
            answer = await self._gateway.answer(question, actor, run=run)
            ended = self._kept_answer(answer, kept.reader, kept.started)
        except CallerError as refusal:
            ended = kept_refusal(kept, refusal)
        except GatewayError:
            raise Again from None
        await self._end(record, ended)

    async def _give_up(self, job: Job) -> None:
        """The job was begun too often without an end: say so instead of trying for ever."""
        record = await self._state.get(INFERENCE, job.key)
        if record is not None and decoded(record.body).state == "running":
            lost = AnswerLost("it was begun several times and never finished")
            await self._end(record, kept_refusal(decoded(record.body), lost))

    async def _end(self, record: Record, kept: Kept) -> None:
        """The one end of an inference: whoever comes second finds that it has ended."""
        expires = self._expiry(self._limits.kept_s)
        changed = dataclasses.replace(
            record, body=kept.encoded(), tags=kept.tags, expires_at=expires
        )
        stored = await self._state.replace(changed)
        await self._state.delete(ASKED, kept.inference)
        if stored is not None:
            await self._announce(kept, stored, "inference.finished")

    # --- kept ---------------------------------------------------------------------------------

    async def _given(self, answer: Answer, actor: Actor, *, keyed: bool) -> Kept:
        """Keep what was answered. An answer is not withheld because it cannot be kept."""
        kept = self._kept_answer(answer, Reader.of(actor, answer.question), rfc3339(self._clock()))
        if keyed or self._limits.kept_s > 0:
            try:
                await self._put(kept, answer.question.site or actor.site, KEY_LIVES_S * keyed)
            except StateUnavailable as error:
                log.error("answer not kept", inference=answer.id, reason=error.detail)
        return kept

    def _kept_answer(self, answer: Answer, reader: Reader, started: str) -> Kept:
        key = self._patient_key(answer.question.subject)
        return kept_answer(answer, reader, started, patient_key=key)

    async def _put(self, kept: Kept, site: str | None, seconds: int) -> None:
        await self._state.put_new(
            INFERENCE,
            kept.inference,
            kept.encoded(),
            site=site,
            tags=kept.tags,
            expires_at=self._expiry(max(seconds, self._limits.kept_s)),
        )

    async def _kept(self, inference: str) -> Kept | None:
        record = await self._state.get(INFERENCE, inference)
        return None if record is None else decoded(record.body)

    def _expiry(self, seconds: int) -> datetime:
        return self._clock() + timedelta(seconds=seconds)


def _work_row(record: Record) -> dict[str, str | list[str] | None]:
    kept = decoded(record.body)
    return {
        "id": kept.inference,
        "site": record.site,
        "started": kept.started,
        "tools": kept.unknown_tools,
    }


def _name(key: str, actor: Actor) -> str:
    """The record of a key: bound to the application and the person who used it."""
    facts = "\n".join((actor.client, actor.subject, key))
    return hashlib.sha256(facts.encode()).hexdigest()


def _actor_out(actor: Actor) -> dict[str, str | list[str] | None]:
    facts = dataclasses.asdict(actor)
    return facts | {"purposes": sorted(actor.purposes), "scopes": sorted(actor.scopes)}


def _actor_in(facts: dict[str, str | list[str] | None]) -> Actor:
    sets = {name: frozenset(facts[name] or ()) for name in ("purposes", "scopes")}
    return Actor(**{**facts, **sets})  # type: ignore[arg-type]
