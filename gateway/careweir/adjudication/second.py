"""The second reader: one answer held against itself and against what was said before."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from careweir.access import Actor, PolicySet
from careweir.adjudication.desk import Desk
from careweir.adjudication.memory import Answered, Memory, Recalled
from careweir.adjudication.opening import Compared, Opener, explained, fresh, gathered, trimmed
from careweir.errors import AuditUnavailable, StateUnavailable
from careweir.log import log
from careweir.question import parse_moment
from careweir_fhir.model import Conflict, Finding

Detect = Callable[[Sequence[Finding]], Awaitable[tuple[Conflict, ...]]]


@dataclass(frozen=True, slots=True)
class Reading:
    """What was compared and found. ``whole`` is False where earlier answers could not be read."""

    conflicts: tuple[Conflict, ...]
    compared: Compared
    answered: Answered
    recalled: Recalled
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
            recalled = await self._memory.recall(
                subject, now=answered, actor=actor, policies=policies
            )
        except StateUnavailable as error:
            log.error("earlier answers not compared", reason=error.detail)
            recalled, whole = Recalled([], {}), False
        compared = gathered(findings, answered, recalled.answers)
        conflicts = fresh(await detect(compared.findings), compared)
        conflicts, compared = trimmed(conflicts, compared)
        told = [explained(conflict, compared) for conflict in conflicts]
        named = self._opener.named(told, compared, patient_key=self._patient_key(subject))
        return Reading(named, compared, answered, recalled, whole)

    async def remember(self, subject: str, reading: Reading) -> None:
        """Keep the answer to be compared with later ones; raises nothing where it cannot be."""
        try:
            await self._memory.remember(subject, reading.answered, reading.recalled)
        except StateUnavailable as error:
            log.error("an answer was not remembered", reason=error.detail)

    async def remember_late(
        self, subject: str, reading: Reading, findings: Sequence[Finding]
    ) -> None:
        """Keep late findings too, unless their tool has said something newer since."""
        late = msgspec.structs.replace(
            reading.answered, findings=tuple(one.model_dump(mode="json") for one in findings)
        )
        tools = {one.tool for one in findings}
        newer = any(
            said.capability == late.capability
            and said.inference != late.inference
            and parse_moment(said.at, path="at") > parse_moment(late.at, path="at")
            and tools & {str(finding["tool"]) for finding in said.findings}
            for held in reading.recalled.held.values()
            for said in held.answers
        )
        if not newer:
            await self.remember(subject, dataclasses.replace(reading, answered=late))

    async def open(self, subject: str, reading: Reading) -> None:
        """Put the conflicts on the work list; raises nothing where that cannot be done."""
        if not reading.conflicts:
            return
        disputes = self._opener.disputes(
            reading.conflicts,
            reading.compared,
            subject=subject,
            patient_key=self._patient_key(subject),
            now=self._clock(),
        )
        try:
            await self._desk.open(disputes)
        except (StateUnavailable, AuditUnavailable) as error:
            log.error("conflicts not opened", reason=error.detail, conflicts=len(disputes))
