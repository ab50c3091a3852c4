"""What a tool said before to the very same inputs: kept sealed for a while, and shown as stale.

The same inputs are the same bytes under the same rights: patient, site, role, purpose, policy
revision, tool and version, study, encounter, and what the tool would be sent, minimised anew under
pseudonyms that never leave. Nothing of it is compared, and none of it is a finding of the answer.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
import orjson

from careweir.errors import StateUnavailable
from careweir.fanout import Prepared
from careweir.log import log
from careweir.question import Question, Reply, rfc3339
from careweir.state import State
from careweir.state.record import micros, moment_of
from careweir_fhir.model import Finding

KIND = "previous-answer"
# A tool that answered about somebody else, nonsense, or in part is not covered for by its past.
OUTAGES = frozenset(
    {"timed_out", "unavailable", "throttled", "circuit_open", "overloaded", "unknown"}
)


class _Kept(msgspec.Struct, frozen=True):
    inference: str
    version: str
    answered_us: int
    findings: list[dict[str, Any]]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class Previous:
    """The rows that an answer shows, or why there are none."""

    rows: tuple[dict[str, Any], ...] = ()
    because: str | None = None


class PreviousAnswers:
    """Keeps what tools say, for as long as policy lets it stand in."""

    def __init__(
        self, state: State, *, keyed: Callable[[str], str], clock: Callable[[], datetime]
    ) -> None:
        self._state = state
        self._keyed = keyed
        self._clock = clock

    def key(self, one: Prepared, question: Question) -> str:
        """The name of a tool's answer to exactly these inputs, which tells nothing of them."""
        manifest = one.minimised.manifest
        payload = orjson.dumps(one.minimised.payload, option=orjson.OPT_SORT_KEYS)
        facts = (
            question.subject, manifest.site, manifest.role, manifest.purpose,
            manifest.policy_revision, question.capability, question.study, question.encounter,
            one.tool.tool, one.tool.version, hashlib.sha256(payload).hexdigest(),
        )  # fmt: skip
        return self._keyed(orjson.dumps(facts).decode())

    async def keep(
        self,
        keys: Mapping[str, str],
        replies: Sequence[Reply],
        findings: Sequence[Finding],
        *,
        inference: str,
        site: str | None,
        age_max: timedelta,
    ) -> None:
        """Remember each whole answer with findings; raises nothing where that cannot be done."""
        now = self._clock()
        for reply in replies:
            mine = [one.model_dump(mode="json") for one in findings if one.tool == reply.tool]
            if reply.tool not in keys or reply.status != "answered" or not mine:
                continue
            kept = _Kept(inference, reply.version or "", micros(now), mine, list(reply.notes))
            try:
                await self._put(keys[reply.tool], msgspec.msgpack.encode(kept), site, now + age_max)
            except StateUnavailable as error:
                log.error("previous answer not kept", reason=error.detail)
                return

    async def recall(
        self, keys: Mapping[str, str], replies: Sequence[Reply], *, age_max: timedelta
    ) -> Previous:
        """What the tools that are out said before, as rows of ``previous``."""
        now, rows = micros(self._clock()), []
        try:
            for reply in replies:
                if reply.tool not in keys or reply.status not in OUTAGES:
                    continue
                record = await self._state.get(KIND, keys[reply.tool])
                if record is None:
                    continue
                kept = msgspec.msgpack.decode(record.body, type=_Kept)
                age_us = max(0, now - kept.answered_us)
                if age_us <= age_max / timedelta(microseconds=1):
                    rows.append(_row(reply.tool, kept, age_us))
        except StateUnavailable:
            return Previous(because="state_store_away")
        return Previous(tuple(rows))

    async def _put(self, key: str, body: bytes, site: str | None, expires: datetime) -> None:
        """Put a newer answer in the place of an older one; of two at once either may stay."""
        put = await self._state.put_new(KIND, key, body, site=site, expires_at=expires)
        if not put.stored:
            await self._state.replace(
                dataclasses.replace(put.record, body=body, expires_at=expires)
            )


def marked(replies: Sequence[Reply], previous: Previous) -> list[Reply]:
    """The replies, each tool with a previous answer saying in its reason that it is stale."""
    ages = {row["tool"]: row["age_s"] for row in previous.rows}
    return [
        reply if reply.tool not in ages else dataclasses.replace(
            reply,
            reason=f"{reply.reason or reply.status}; its previous answer, {ages[reply.tool]} s "
            "old and stale, is told apart from the findings (`previous` of /v1)",
        )
        for reply in replies
    ]  # fmt: skip


def _row(tool: str, kept: _Kept, age_us: int) -> dict[str, Any]:
    """Each finding carries the mark too: whoever copies one out of here copies the mark."""
    answered = moment_of(kept.answered_us)
    return {
        "tool": tool,
        "version": kept.version,
        "stale": True,
        "age_s": age_us // 1_000_000,
        "answered": rfc3339(answered),
        "inference": kept.inference,
        "findings": [finding | {"stale": True} for finding in kept.findings],
        "notes": kept.notes,
    }
