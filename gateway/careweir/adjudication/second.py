"""The second reader: one answer held against itself and against what was said before."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from careweir.access import Actor, PolicySet
from careweir.adjudication.desk import Desk
from careweir.adjudication.memory import Answered, Memory
from careweir.adjudication.opening import Compared, Opener, explained, fresh, gathered, trimmed
from careweir.errors import AuditUnavailable, StateUnavailable
from careweir.log import log
from careweir_fhir.model import Conflict, Finding

Detect = Callable[[Sequence[Finding]], Awaitable[tuple[Conflict, ...]]]


@dataclass(frozen=True, slots=True)
class Reading:
    """What was compared and found. ``whole`` is False where earlier answers could not be read."""

    conflicts: tuple[Conflict, ...]
    compared: Compared
    answered: Answered
    whole: bool

    @property
    def earlier(self) -> list[dict[str, Any]]:
        """The earlier findings that a conflict names."""
        return list(self.compared.earlier)


class SecondReader:
    """Compares, keeps and opens; a state that is away costs memory, never the answer."""

    def __init__(
        self,
        memory: Memory,
        desk: Desk,
        opener: Opener,
        *,
        patient_key: Callable[[str], str],
        clock: Callable[[], datetime],
    ) -> None:
        self._memory = memory
        self._desk = desk
        self._opener = opener
        self._patient_key = patient_key
        self._clock = clock

    async def compare(
        self,
        subject: str,
        findings: Sequence[Finding],
        answered: Answered,
        *,
        actor: Actor,
        policies: PolicySet,
        detect: Detect,
    ) -> Reading:
        """The conflicts of an answer, with earlier answers about the same patient."""
        whole = True
        try:
            earlier = await self._memory.recall(
                subject, now=answered, actor=actor, policies=policies
            )
        except StateUnavailable as error:
            log.error("earlier answers not compared", reason=error.detail)
            earlier, whole = [], False
        compared = gathered(findings, answered, earlier)
        conflicts = fresh(await detect(compared.findings), compared)
        conflicts, compared = trimmed(conflicts, compared)
        told = [explained(conflict, compared) for conflict in conflicts]
        named = self._opener.named(told, compared, patient_key=self._patient_key(subject))
        return Reading(named, compared, answered, whole)

    async def keep(self, subject: str, reading: Reading) -> None:
        """Remember the answer and put its conflicts on the work list; never raises."""
        disputes = self._opener.disputes(
            reading.conflicts,
            reading.compared,
            subject=subject,
            patient_key=self._patient_key(subject),
            now=self._clock(),
        )
        done = await asyncio.gather(
            self._memory.remember(subject, reading.answered),
            self._desk.open(disputes),
            return_exceptions=True,
        )
        for error in done:
            if isinstance(error, StateUnavailable | AuditUnavailable):
                log.error("conflicts not kept", reason=error.detail, conflicts=len(disputes))
            elif error is not None:
                raise error
