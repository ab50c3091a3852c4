"""What earlier answers said of a patient: kept sealed, compared later, gone when its time is up.

One record an answer, found by the keyed hash of the patient at one site. Only the newest word of a
tool about one occasion is compared: a tool that has looked again has replaced what it said before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from careweir.access import Actor, PolicySet
from careweir.adjudication.rights import may_see
from careweir.state import State
from careweir_fhir.model import Finding

KIND = "answered-findings"
ANSWERS_MAX = 200  # of one patient within the time that findings are kept; the newest count
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

    def models(self) -> list[Finding]:
        """The findings as what they are."""
        return [Finding.model_validate(finding) for finding in self.findings]


class Memory:
    """Recall what earlier answers said, and keep what this one says."""

    def __init__(
        self,
        state: State,
        *,
        patient_key: Callable[[str], str],
        remember_h: float,
        clock: Callable[[], datetime],
    ) -> None:
        self._state = state
        self._patient_key = patient_key
        self._remember = timedelta(hours=remember_h)
        self._clock = clock

    async def remember(self, subject: str, answered: Answered) -> None:
        """Keep an answer's findings, if it has any; raises StateUnavailable."""
        if answered.findings and self._remember:
            await self._state.put_new(
                KIND,
                answered.inference,
                msgspec.json.encode(answered),
                site=answered.site or NO_SITE,
                tags={"patient": self._patient_key(subject)},
                expires_at=self._clock() + self._remember,
            )

    async def recall(
        self, subject: str, *, now: Answered, actor: Actor, policies: PolicySet
    ) -> list[Answered]:
        """Earlier answers about the patient, newest first; raises StateUnavailable.

        Only those of the same site, of capabilities that the asker's grants cover, and that opened
        no more than the asker may see; of each, only what its tool has not said anew since.
        """
        if not self._remember:
            return []
        records = await self._state.find(
            KIND,
            site=now.site or NO_SITE,
            tags={"patient": self._patient_key(subject)},
            limit=ANSWERS_MAX,
            newest_first=True,
        )
        earlier = [msgspec.json.decode(record.body, type=Answered) for record in records]
        fitting = [one for one in earlier if _fits(one, now, actor, policies)]
        return newest_words(now, fitting)


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
