"""The answers that can be read again: kept, found, and read by who may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from careweir.access import Actor
from careweir.errors import NotFound, StateUnavailable
from careweir.jobs.kept import Kept, Reader, client_tag, decoded, kept_answer
from careweir.log import log
from careweir.question import Answer, Question, rfc3339
from careweir.state import Cursor, Record, State

INFERENCE = "inference"
PAGE = 100
KEEPING_MAX = 256  # answers that are being kept while nobody waits
WorkRow = dict[str, str | list[str] | None]


class Answers:
    """Keeps answers for ``kept_s`` seconds; ``patient_key`` is a keyed hash of the patient."""

    def __init__(
        self,
        state: State,
        *,
        kept_s: int,
        clock: Callable[[], datetime],
        patient_key: Callable[[str], str],
    ) -> None:
        self._state = state
        self._kept_s = kept_s
        self._clock = clock
        self._patient_key = patient_key
        self._keeping: dict[str, asyncio.Task[None]] = {}

    # --- keeping ------------------------------------------------------------------------------

    async def keep_beside(self, answer: Answer, actor: Actor) -> Kept:
        """Keep what was answered while it is given: only who reads it again waits for that."""
        kept = self._of(answer, actor)
        if self._kept_s > 0:
            site = answer.question.site or actor.site
            keeping = asyncio.create_task(self._keep(kept, site, 0), name="keep an answer")
            self._keeping[kept.inference] = keeping
            keeping.add_done_callback(lambda _done: self._keeping.pop(kept.inference, None))
            if len(self._keeping) > KEEPING_MAX:
                await keeping
        return kept

    async def keep(self, answer: Answer, actor: Actor, *, seconds: int) -> Kept:
        """Keep what was answered before it is given, for at least so long."""
        kept = self._of(answer, actor)
        await self._keep(kept, answer.question.site or actor.site, seconds)
        return kept

    async def put_running(
        self, inference: str, question: Question, actor: Actor, *, seconds: int
    ) -> Kept:
        """A question that is answered later; raises StateUnavailable."""
        started = rfc3339(self._clock())
        kept = Kept(inference, Reader.of(actor, question), "running", started)
        await self._put(kept, question.site or actor.site, seconds)
        return kept

    async def change(self, record: Record, kept: Kept, *, seconds: int = 0) -> Record | None:
        """Another state of an inference; None when somebody else has changed it meanwhile."""
        expires = self.expiry(max(seconds, self._kept_s))
        changed = replace(record, body=kept.encoded(), tags=kept.tags, expires_at=expires)
        return await self._state.replace(changed)

    def ended(self, answer: Answer, running: Kept) -> Kept:
        """What is kept of the answer to a question that was running."""
        key = self._patient_key(answer.question.subject)
        return kept_answer(answer, running.reader, running.started, patient_key=key)

    def expiry(self, seconds: int) -> datetime:
        """So many seconds from now."""
        return self._clock() + timedelta(seconds=seconds)

    async def close(self) -> None:
        """Wait for what is still being kept."""
        if self._keeping:
            await asyncio.wait(list(self._keeping.values()))

    # --- reading ------------------------------------------------------------------------------

    async def get(self, inference: str) -> tuple[Kept, Record] | None:
        """One inference as it stands, for whoever."""
        record = await self._state.get(INFERENCE, inference)
        return None if record is None else (decoded(record.body), record)

    async def read(self, inference: str, actor: Actor) -> tuple[Kept, Record]:
        """One inference as it stands; raises NotFound for whoever may not know of it."""
        await self.close()
        found = await self.get(inference)
        if found is None or not found[0].reader.admits(actor, found[1].site):
            raise NotFound("no such inference, or not for this reader")
        return found

    async def given_to(
        self, actor: Actor, *, patient: str | None, newest_first: bool
    ) -> AsyncIterator[tuple[Kept, Record]]:
        """The answers that this reader may read again; ``patient`` is a keyed hash, or None."""
        await self.close()
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

    async def work_list(
        self, tags: Mapping[str, str], *, site: str | None, after: str | None, limit: int
    ) -> list[WorkRow]:
        """The inferences with such tags that wait for a person, oldest first."""
        await self.close()
        last = None if after is None else await self._state.get(INFERENCE, after)
        found = await self._state.find(
            INFERENCE,
            site=site,
            tags=tags,
            after=None if last is None else last.cursor,
            limit=limit,
        )
        return [_work_row(record) for record in found]

    # --- leaves -------------------------------------------------------------------------------

    def _of(self, answer: Answer, actor: Actor) -> Kept:
        reader, key = Reader.of(actor, answer.question), self._patient_key(answer.question.subject)
        return kept_answer(answer, reader, rfc3339(self._clock()), patient_key=key)

    async def _keep(self, kept: Kept, site: str | None, seconds: int) -> None:
        """An answer is not withheld because it cannot be kept."""
        try:
            await self._put(kept, site, seconds)
        except StateUnavailable as error:
            log.error("answer not kept", inference=kept.inference, reason=error.detail)

    async def _put(self, kept: Kept, site: str | None, seconds: int) -> None:
        await self._state.put_new(
            INFERENCE,
            kept.inference,
            kept.encoded(),
            site=site,
            tags=kept.tags,
            expires_at=self.expiry(max(seconds, self._kept_s)),
        )


def _work_row(record: Record) -> WorkRow:
    kept = decoded(record.body)
    return {
        "id": kept.inference,
        "site": record.site,
        "started": kept.started,
        "tools": kept.unknown_tools,
    }
