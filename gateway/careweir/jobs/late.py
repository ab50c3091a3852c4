"""Findings that come after their answer: added where everybody sees that they are late.

The findings and conflicts of the answer stay as they were given, so that they still fit the digest
on the record. What is late stands in ``late``, with when it came and a receipt of its own, and its
tool's row says ``late``. It is compared with the answer and with earlier answers about the patient,
and its conflicts go to the same work list.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import msgspec

from careweir.adjudication import Answered
from careweir.jobs.kept import Json, Kept, decoded
from careweir.jobs.record import LateLedger
from careweir.jobs.runner import Again, Job, Runner
from careweir.jobs.second_look import Looked, Places, looked
from careweir.log import log
from careweir.pipeline import Gateway
from careweir.stages import compared, digestible, shifts_dates
from careweir.state import Record, State
from careweir_fhir.model import Finding
from careweir_kit.tool import Tool

JOB, PUSHED = "late", "pushed"
Announce = Callable[[Kept, Record, str], Awaitable[None]]
_GIVEN = ("answered", "partial", "late")


class Late(msgspec.Struct, frozen=True):
    """One late result as it waits to be compared."""

    inference: str
    tool: str
    version: str
    disclosure: str
    received: str
    findings: list[Json]
    notes: list[str]
    partial: bool

    def encoded(self) -> bytes:
        """The body of its record."""
        return msgspec.msgpack.encode(self)


def late_findings(findings: Sequence[Finding]) -> list[Json]:
    """Findings as they are kept."""
    return [finding.model_dump(mode="json") for finding in findings]


async def put_late(
    state: State,
    runner: Runner,
    key: str,
    late: Late,
    *,
    site: str | None,
    expires_at: datetime,
) -> Job:
    """Put a late result down, and a job to compare it that is yet to be begun."""
    await state.put_new(PUSHED, key, late.encoded(), site=site, expires_at=expires_at)
    return await runner.reserve(JOB, key, site=site)


class LateResults:
    """Compares late results with what was answered, in jobs, and tells who wants to know."""

    def __init__(
        self,
        gateway: Gateway,
        state: State,
        runner: Runner,
        ledger: LateLedger,
        *,
        announce: Announce,
    ) -> None:
        self._gateway = gateway
        self._state = state
        self._ledger = ledger
        self._announce = announce
        runner.sort(JOB, self._work, give_up=self._give_up)

    async def _work(self, job: Job) -> None:
        waiting = await self._state.get(PUSHED, job.key)
        if waiting is None:
            return
        late = msgspec.msgpack.decode(waiting.body, type=Late)
        record = await self._state.get("inference", late.inference)
        if record is None or decoded(record.body).state == "running":
            raise Again  # its question is still being answered
        await self._add(job, record, late)

    async def _give_up(self, job: Job) -> None:
        """Its answer is not kept any more: it stays on the record as received, and alone."""
        log.warning("late result without an answer", attempts=job.takes)

    async def _add(self, job: Job, record: Record, late: Late) -> None:
        kept = decoded(record.body)
        tool = self._gateway.house.tools.get(late.tool)
        if kept.answer is None or kept.context is None or kept.compared_as is None or tool is None:
            return
        if any(one["message"] == job.key for one in kept.answer.get("late", ())):
            return  # added before an interruption
        findings = [
            Finding.model_validate(_attributed(one, late, tool, kept.context))
            for one in late.findings
        ]
        found = await self._compared(kept, record, findings)
        conflicts = [one.model_dump(mode="json") for one in found.conflicts]
        receipt = await self._ledger.late(
            late.inference,
            late.tool,
            late.disclosure,
            findings=len(findings),
            conflicts=[conflict.type for conflict in found.conflicts],
            findings_json=digestible(findings, found.conflicts),
        )
        second, subject = self._gateway.second, kept.context["subject"]
        await second.open(subject, found.reading)
        row: Json = {
            "message": job.key,
            "tool": late.tool,
            "version": late.version,
            "received": late.received,
            "first": len(kept.positions()),
            "findings": [one.model_dump(mode="json") for one in findings],
            "conflicts": len(conflicts),
            "notes": late.notes,
            "audit": dataclasses.asdict(receipt),
        }
        row |= {"earlier": list(found.earlier)} if found.earlier else {}
        row |= {} if found.reading.whole else {"earlier_compared": False}
        changed = msgspec.structs.replace(kept, answer=_merged(kept, late, row, conflicts))
        kept_tags = {name: value for name, value in record.tags.items() if name != "unknown"}
        stored = await self._state.replace(
            dataclasses.replace(record, body=changed.encoded(), tags={**kept_tags, **changed.tags})
        )
        if stored is None:
            raise Again  # another late result was first
        await second.remember_late(subject, found.reading, findings)
        await self._state.delete(PUSHED, job.key)
        await self._announce(changed, stored, "inference.late_result")

    async def _compared(self, kept: Kept, record: Record, findings: Sequence[Finding]) -> Looked:
        """With the answer it is late for, and with what was said before of the patient."""
        assert kept.answer is not None
        assert kept.context is not None
        house, subject = self._gateway.house, kept.context["subject"]
        places = Places.of(kept.answer)
        own = (*places.own, *findings)
        dumped = tuple(one.model_dump(mode="json") for one in own)
        facts = msgspec.convert(kept.compared_as, type=Answered)
        reading = await self._gateway.second.compare(
            subject,
            own,
            msgspec.structs.replace(facts, findings=dumped),
            actor=kept.reader.actor(record.site),
            policies=house.policies,
            detect=lambda found: compared(found, house.rules, patient=subject),
        )
        return looked(places, findings, reading)


def _merged(kept: Kept, late: Late, row: Json, conflicts: list[Json]) -> Json:
    """The answer with a late result behind it, the new conflicts, and its tool's row."""
    answer = copy.deepcopy(kept.answer or {})
    answer["conflicts"] += conflicts
    answer.setdefault("late", []).append(row)
    for tool in answer["tools"]:
        if tool["tool"] == late.tool and tool["status"] not in _GIVEN:
            tool |= {"status": "late", "reason": "its result came after the answer"}
    return answer


def _attributed(finding: Json, late: Late, tool: Tool, context: Json) -> Json:
    """With tool, study, encounter and moment from the question, never from the message."""
    effective = None if shifts_dates(tool) else finding.get("effective")
    return finding | {
        "tool": late.tool,
        "tool_version": late.version,
        "study": context["study"],
        "encounter": context["encounter"],
        "effective": effective or context["as_of"],
        "fallback": False,
        "completeness": "partial" if late.partial else finding["completeness"],
    }
