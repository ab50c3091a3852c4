"""Ask now, ask once, ask later, read again: what stands between the routes and the pipeline."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from careweir.access import Actor
from careweir.errors import (
    GatewayError,
    KeyInUse,
    KeyReused,
    LeaseLost,
)
from careweir.ids import NewId
from careweir.jobs.answers import Answers
from careweir.jobs.kept import Kept
from careweir.jobs.late import Announce
from careweir.jobs.later import Later
from careweir.jobs.record import LateLedger
from careweir.jobs.runner import Runner
from careweir.pipeline import Gateway, Run
from careweir.question import Answer, Question
from careweir.state import State

KEY_LIVES_S = 24 * 3600
CLAIM_SPARE_S = 2.0
WAIT_FIRST_S, WAIT_MAX_S = 0.02, 0.5
KEY = "idempotency"
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
        ledger: LateLedger,
        announce: Announce,
    ) -> None:
        self._gateway = gateway
        self._state = state
        self._clock = clock
        self._new_id = new_id
        self.answers = Answers(state, kept_s=limits.kept_s, clock=clock, patient_key=patient_key)
        self._later = Later(
            gateway, state, runner, self.answers, ledger, job_s=limits.job_s, announce=announce
        )

    async def now(self, question: Question, actor: Actor, *, arrived: float) -> Kept:
        """Ask and wait. That the answer can be read again is not worth losing it for."""
        answer = await self._gateway.answer(question, actor, run=Run(arrived=arrived))
        return await self.answers.keep_beside(answer, actor)

    async def shown(self, question: Question, actor: Actor, *, arrived: float) -> Answer:
        """The same, for a door that shows the answer in a form of its own."""
        answer = await self._gateway.answer(question, actor, run=Run(arrived=arrived))
        await self.answers.keep_beside(answer, actor)
        return answer

    async def once(
        self, key: str, body: bytes, question: Question, actor: Actor, *, arrived: float
    ) -> Kept:
        """Ask and wait, once for each key of this caller; raises KeyReused, KeyInUse."""
        return await self._once(_name(key, actor), body, question, actor, arrived)

    async def later(self, key: str | None, body: bytes, question: Question, actor: Actor) -> Kept:
        """Accept a question and answer it in a job; refusals that are certain come at once."""
        inference, resumed = self._new_id("inf"), False
        name = None if key is None else _name(key, actor)
        if name is not None:
            claim = await self._claim(name, body, question, actor, inference, CLAIM_SPARE_S)
            if claim.inference != inference:
                if (found := await self.answers.get(claim.inference)) is not None:
                    return found[0]
                if await self._taken_over(name, claim, CLAIM_SPARE_S) is None:
                    raise KeyInUse(_BUSY, retry_after_s=1)
                inference, resumed = claim.inference, True
        try:
            await self._gateway.admit(inference, question, actor)
            return await self._later.accept(inference, body, question, actor, resumed=resumed)
        except GatewayError:
            if name is not None and not resumed:
                await self._state.delete(KEY, name)
            raise

    async def cancel(self, inference: str, actor: Actor) -> None:
        """End a question that is answered later; see ``Later.cancel``."""
        await self._later.cancel(inference, actor)

    async def resume(self, inference: str, actor: Actor) -> None:
        """Take up a question that was given up; see ``Later.resume``."""
        await self._later.resume(inference, actor)

    # --- once for each key --------------------------------------------------------------------

    async def _once(
        self, name: str, body: bytes, question: Question, actor: Actor, arrived: float
    ) -> Kept:
        loop, since = asyncio.get_running_loop(), arrived
        patience, pause = arrived + question.deadline_ms / 1000 + 1, WAIT_FIRST_S
        while True:
            inference = self._new_id("inf")
            seconds = question.deadline_ms / 1000 + CLAIM_SPARE_S
            claim = await self._claim(name, body, question, actor, inference, seconds)
            if claim.inference == inference:
                return await self._first(name, claim, question, actor, since, seconds)
            if (found := await self.answers.get(claim.inference)) and found[0].state != "running":
                return found[0]
            taken = await self._taken_over(name, claim, seconds)
            if taken is not None and found is None:
                return await self._first(name, taken, question, actor, since, seconds)
            if loop.time() + pause > patience:
                raise KeyInUse(_BUSY, retry_after_s=1)
            await asyncio.sleep(pause)
            pause, since = min(pause * 2, WAIT_MAX_S), loop.time()

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
            expires_at=self.answers.expiry(KEY_LIVES_S),
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
        self,
        name: str,
        claim: _Claim,
        question: Question,
        actor: Actor,
        since: float,
        seconds: float,
    ) -> Kept:
        """Ask under a claim. A key whose question disclosed nothing is free again."""
        loop = asyncio.get_running_loop()
        run = Run(
            inference=claim.inference,
            fence=lambda: loop.time() < since + seconds,
            resumed=claim.takes > 1,
            arrived=since,
        )
        try:
            answer = await self._gateway.answer(question, actor, run=run)
        except GatewayError as error:
            if not error.sent and claim.takes == 1 and not isinstance(error, LeaseLost):
                await self._state.delete(KEY, name)
            raise
        return await self.answers.keep(answer, actor, seconds=KEY_LIVES_S)

    async def _until_us(self, seconds: float) -> int:
        moment = await self._state.now() + timedelta(seconds=seconds)
        return int(moment.timestamp() * 1_000_000)


def _name(key: str, actor: Actor) -> str:
    """The record of a key: bound to the application and the person who used it."""
    facts = "\n".join((actor.client, actor.subject, key))
    return hashlib.sha256(facts.encode()).hexdigest()
