"""Questions that are answered later: put down, begun by some replica, ended exactly once.

A question that could not be brought to an end after several tries waits for a person: whoever asked
is told so, and an operator sees it in the work list and may have it taken up again.
"""

from __future__ import annotations

import dataclasses

import msgspec

from careweir.access import Actor
from careweir.errors import (
    AccessDenied,
    AnswerLost,
    CallerError,
    Cancelled,
    GatewayError,
    NotFound,
    NotRunning,
)
from careweir.jobs.answers import Answers
from careweir.jobs.kept import Kept, kept_refusal
from careweir.jobs.late import Announce
from careweir.jobs.record import LateLedger
from careweir.jobs.runner import Again, Job, Runner
from careweir.pipeline import Gateway, Run
from careweir.question import Question, read_question
from careweir.state import Record, State

ASKED, JOB = "asked", "ask"
STUCK_KEPT_S = 7 * 24 * 3600  # a weekend and more, for a person to see it


class _Asked(msgspec.Struct, frozen=True):
    """A question that is answered later: its body as sent, and who sent it."""

    body: bytes
    actor: dict[str, str | list[str] | None]
    resumed: bool


class Later:
    """Accepts questions, works on them as jobs, and lets people end or resume them."""

    def __init__(
        self,
        gateway: Gateway,
        state: State,
        runner: Runner,
        answers: Answers,
        ledger: LateLedger,
        *,
        job_s: int,
        announce: Announce,
    ) -> None:
        self._gateway = gateway
        self._state = state
        self._runner = runner
        self._answers = answers
        self._ledger = ledger
        self._job_s = job_s
        self._announce = announce
        runner.sort(JOB, self._work, give_up=self._give_up)

    async def accept(
        self, inference: str, body: bytes, question: Question, actor: Actor, *, resumed: bool
    ) -> Kept:
        """Put a question down so that whatever happens next, some replica answers it."""
        site = question.site or actor.site
        asked = msgspec.msgpack.encode(_Asked(body, _actor_out(actor), resumed))
        expires = self._answers.expiry(self._job_s + STUCK_KEPT_S)
        job = await self._runner.reserve(JOB, inference, site=site)
        await self._state.put_new(ASKED, inference, asked, site=site, expires_at=expires)
        kept = await self._answers.put_running(inference, question, actor, seconds=self._job_s)
        self._runner.begin(JOB, job)
        return kept

    async def cancel(self, inference: str, actor: Actor) -> None:
        """Who asked wants no answer any more; raises NotFound, NotRunning, AuditUnavailable.

        Nothing more is sent by this replica, and by another one as soon as it renews its lease.
        """
        kept, record = await self._answers.read(inference, actor)
        if kept.state != "running":
            raise NotRunning("the question has ended")
        await self._ledger.job(actor, inference, "cancelled")
        ended = kept_refusal(kept, Cancelled("cancelled by who asked it"))
        if await self._answers.change(record, ended) is None:
            raise NotRunning("the question has ended")
        await self._state.delete(ASKED, inference)
        await self._runner.drop(JOB, inference)

    async def resume(self, inference: str, actor: Actor) -> None:
        """An operator has a question that was given up taken up again; on the record first.

        Raises AccessDenied, NotFound, NotRunning when it was not given up, AuditUnavailable.
        """
        if actor.role != "operator":
            raise AccessDenied("taking a question up again needs the role operator")
        found, asked = await self._answers.get(inference), await self._state.get(ASKED, inference)
        if found is None or actor.site not in (None, found[1].site):
            raise NotFound("no such question")
        kept, record = found
        if not kept.stuck:
            raise NotRunning("only a question that was given up is taken up again")
        if asked is None:
            raise NotFound("its chart is not kept any more")
        await self._ledger.job(actor, inference, "resumed")
        sent = msgspec.structs.replace(_asked(asked), resumed=True)
        body = msgspec.msgpack.encode(sent)
        await self._state.replace(dataclasses.replace(asked, body=body))
        job = await self._runner.reserve(JOB, inference, site=record.site)
        again = msgspec.structs.replace(kept, state="running", status=202, problem=None)
        if not job.held() or await self._answers.change(record, again, seconds=self._job_s) is None:
            raise NotRunning("somebody else is taking it up")
        self._runner.begin(JOB, job)

    # --- the job ------------------------------------------------------------------------------

    async def _work(self, job: Job) -> None:
        """Answer one accepted question. What the record says was sent before is not sent again."""
        found, asked = await self._answers.get(job.key), await self._state.get(ASKED, job.key)
        if found is None or asked is None or found[0].state != "running":
            return
        (kept, record), sent = found, _asked(asked)
        question = dataclasses.replace(
            read_question(sent.body, deadline_ms_default=1), deadline_ms=self._job_s * 1000
        )
        run = Run(
            inference=job.key, fence=job.held, resumed=job.resumed or sent.resumed, later=True
        )
        try:
            answer = await self._gateway.answer(question, _actor_in(sent.actor), run=run)
            ended = self._answers.ended(answer, kept)
        except CallerError as refusal:
            ended = kept_refusal(kept, refusal)
        except GatewayError:
            raise Again from None
        await self._end(record, ended)

    async def _give_up(self, job: Job) -> None:
        """The job was begun too often without an end: say so, and leave it to a person."""
        found = await self._answers.get(job.key)
        if found is not None and found[0].state == "running":
            kept, record = found
            lost = AnswerLost("begun several times and never finished; an operator may resume it")
            stored = await self._answers.change(
                record, kept_refusal(kept, lost), seconds=STUCK_KEPT_S
            )
            if stored is not None:
                await self._announce(kept_refusal(kept, lost), stored, "inference.finished")

    async def _end(self, record: Record, kept: Kept) -> None:
        """The one end of an inference: whoever comes second finds that it has ended."""
        stored = await self._answers.change(record, kept)
        await self._state.delete(ASKED, kept.inference)
        if stored is not None:
            await self._announce(kept, stored, "inference.finished")


def _asked(record: Record) -> _Asked:
    return msgspec.msgpack.decode(record.body, type=_Asked)


def _actor_out(actor: Actor) -> dict[str, str | list[str] | None]:
    facts = dataclasses.asdict(actor)
    return facts | {"purposes": sorted(actor.purposes), "scopes": sorted(actor.scopes)}


def _actor_in(facts: dict[str, str | list[str] | None]) -> Actor:
    sets = {name: frozenset(facts[name] or ()) for name in ("purposes", "scopes")}
    return Actor(**{**facts, **sets})  # type: ignore[arg-type]
