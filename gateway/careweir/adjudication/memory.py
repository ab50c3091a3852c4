"""What earlier answers said of a patient: kept sealed, compared later, gone when its time is up.

Found by the keyed hash of the patient at one site. Only the newest word of a
tool about one occasion is compared: a tool that has looked again has replaced what it said before.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from careweir.access import Actor, PolicySet
from careweir.adjudication.rights import may_see
from careweir.log import log
from careweir.state import Record, State
from careweir_fhir.model import Finding

KIND = "answered-findings"
RECORDS_MAX = 200  # of one patient within the time that findings are kept; the newest count
ANSWERS_MAX = 50  # in one record: as many tools as may answer one question
TRIES = 5
NO_SITE = "-"


class Seen(msgspec.Struct, frozen=True):
    """What one tool was given: paths that left for it, and paths kept back with their reason."""

    sent: tuple[str, ...] = ()
    withheld: dict[str, str] = {}


class Answered(msgspec.Struct, frozen=True):
    """The findings of one answer, with what decides who may hear of them.

    ``sensitivity`` are the sensitive categories that the asker's rights opened; ``override`` marks
    an emergency override.
    """

    inference: str
    capability: str
    site: str | None
    at: str
    asker: str
    override: bool
    sensitivity: tuple[str, ...]
    findings: tuple[dict[str, Any], ...]
    seen: dict[str, Seen] = {}
    kept: float = 0.0  # when it was put into memory, in seconds since 1970

    @property
    def facts(self) -> dict[str, Any]:
        """All but the findings, as plain data: ``msgspec.convert`` makes it again."""
        facts: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(self, findings=()))
        return facts

    def models(self) -> list[Finding]:
        """The findings as what they are."""
        return [Finding.model_validate(finding) for finding in self.findings]


class Held(NamedTuple):
    """A record of a patient as it was read, and what of it has not expired."""

    record: Record
    answers: tuple[Answered, ...]


@dataclass(frozen=True, slots=True)
class Recalled:
    """Earlier answers that may be compared, and the records that they came from, by key."""

    answers: list[Answered]
    held: Mapping[str, Held]


class Memory:
    """Recall what earlier answers said, and keep what this one says.

    One record for each patient, site, capability, study and encounter: a question that is asked
    again and again makes it no longer.
    """

    def __init__(
        self,
        state: State,
        *,
        keyed: Callable[[str], str],
        remember_h: float,
        clock: Callable[[], datetime],
    ) -> None:
        self._state = state
        self._keyed = keyed
        self._remember = timedelta(hours=remember_h)
        self._clock = clock

    async def remember(self, subject: str, answered: Answered, recalled: Recalled) -> None:
        """Keep an answer's findings, if it has any; raises StateUnavailable."""
        if not answered.findings or not self._remember:
            return
        fresh = msgspec.structs.replace(answered, kept=self._clock().timestamp())
        key = self._key(subject, answered)
        held = recalled.held.get(key)
        for _ in range(TRIES):
            if held is None:
                put = await self._state.put_new(
                    KIND,
                    key,
                    msgspec.json.encode([fresh]),
                    site=answered.site or NO_SITE,
                    tags={"patient": self._keyed(subject)},
                    expires_at=self._clock() + self._remember,
                )
                if put.stored:
                    return
                held = self._held(put.record)
            kept = [fresh, *newest_words(fresh, held.answers)]
            changed = dataclasses.replace(
                held.record,
                body=msgspec.json.encode(kept[:ANSWERS_MAX]),
                expires_at=self._clock() + self._remember,
            )
            if await self._state.replace(changed) is not None:
                return
            record = await self._state.get(KIND, key)
            held = None if record is None else self._held(record)
        log.error("an answer was not remembered", attempts=TRIES)

    async def recall(
        self, subject: str, *, now: Answered, actor: Actor, policies: PolicySet
    ) -> Recalled:
        """Earlier answers about the patient, newest first; raises StateUnavailable.

        Only those of the same site, of capabilities that the asker's grants cover, and that opened
        no more than the asker may see; of each, only what its tool has not said anew since.
        """
        if not self._remember:
            return Recalled([], {})
        records = await self._state.find(
            KIND,
            site=now.site or NO_SITE,
            tags={"patient": self._keyed(subject)},
            limit=RECORDS_MAX,
            newest_first=True,
        )
        held = {record.key: self._held(record) for record in records}
        earlier = sorted(
            (one for each in held.values() for one in each.answers),
            key=lambda one: one.kept,
            reverse=True,
        )
        fitting = [one for one in earlier if _fits(one, now, actor, policies)]
        return Recalled(newest_words(now, fitting), held)

    def _held(self, record: Record) -> Held:
        oldest = (self._clock() - self._remember).timestamp()
        answers = msgspec.json.decode(record.body, type=tuple[Answered, ...])
        return Held(record, tuple(one for one in answers if one.kept > oldest))

    def _key(self, subject: str, answered: Answered) -> str:
        """One key for all answers to a capability's question about one occasion."""
        occasions = sorted(
            {(f.get("study") or "", f.get("encounter") or "") for f in answered.findings}
        )
        named = [subject, answered.site, answered.capability, occasions, answered.override,
                 answered.sensitivity]  # fmt: skip
        return self._keyed(msgspec.json.encode(named).decode())


def _fits(earlier: Answered, now: Answered, actor: Actor, policies: PolicySet) -> bool:
    if earlier.inference == now.inference or (earlier.override and not now.override):
        return False
    if not set(earlier.sensitivity) <= set(now.sensitivity):
        return False
    return may_see(actor, earlier.capability, site=earlier.site, policies=policies)


def newest_words(now: Answered, earlier: Sequence[Answered]) -> list[Answered]:
    """Without what a tool has said anew since, of the same study, specimen or encounter."""
    said = {_word(now.capability, finding) for finding in now.findings}
    kept = []
    for one in earlier:
        fresh = tuple(f for f in one.findings if _word(one.capability, f) not in said)
        said.update(_word(one.capability, finding) for finding in one.findings)
        if fresh:
            kept.append(msgspec.structs.replace(one, findings=fresh))
    return kept


def _word(capability: str, finding: Mapping[str, Any]) -> tuple[Any, ...]:
    occasion = (finding.get("study"), finding.get("specimen"), finding.get("encounter"))
    return (capability, finding.get("tool"), *occasion)
