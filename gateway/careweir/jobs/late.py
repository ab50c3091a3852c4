"""Findings that come after their answer: added where everybody sees that they are late.

The findings and conflicts of the answer stay as they were given, so that they still fit the digest
on the record. What is late stands in ``late``, with when it came and a receipt of its own, and its
tool's row says ``late``. Conflicts count positions over the answer's findings, the earlier ones
that it was compared with, and the late ones, in that order.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from careweir.jobs.kept import Json, Kept, decoded
from careweir.jobs.runner import Again, Job, Runner
from careweir.ledger import Ledger
from careweir.log import log
from careweir.pipeline import Gateway
from careweir.stages import compared, digestible, shifts_dates
from careweir.state import Record, State
from careweir_fhir.model import Conflict, Finding
from careweir_kit.tool import Tool

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


class LateResults:
    """Compares late results with what was answered, in jobs, and tells who wants to know."""

    def __init__(
        self,
        gateway: Gateway,
        state: State,
        runner: Runner,
        ledger: Ledger,
        *,
        sort: str,
        kind: str,
        announce: Announce,
    ) -> None:
        self._gateway = gateway
        self._state = state
        self._ledger = ledger
        self._kind = kind
        self._announce = announce
        runner.sort(sort, self._work, give_up=self._give_up)

    async def _work(self, job: Job) -> None:
        waiting = await self._state.get(self._kind, job.key)
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
        if kept.answer is None or kept.context is None or tool is None:
            return
        if any(one["message"] == job.key for one in kept.answer.get("late", ())):
            return  # added before an interruption
        answer, findings, conflicts = await self._merged(kept, late, tool)
        receipt = await self._ledger.late(
            late.inference,
            late.tool,
            late.disclosure,
            findings=len(findings),
            conflicts=[conflict["type"] for conflict in conflicts],
            findings_json=digestible(
                [Finding.model_validate(one) for one in findings],
                [Conflict.model_validate(one) for one in conflicts],
            ),
        )
        first = len(kept.positions())
        answer.setdefault("late", []).append(
            {
                "message": job.key,
                "tool": late.tool,
                "version": late.version,
                "received": late.received,
                "first": first,
                "findings": findings,
                "conflicts": len(conflicts),
                "notes": late.notes,
                "audit": dataclasses.asdict(receipt),
            }
        )
        kept_tags = {name: value for name, value in record.tags.items() if name != "unknown"}
        changed = msgspec.structs.replace(kept, answer=answer)
        row = dataclasses.replace(
            record, body=changed.encoded(), tags={**kept_tags, **changed.tags}
        )
        stored = await self._state.replace(row)
        if stored is None:
            raise Again  # another late result was first
        await self._state.delete(self._kind, job.key)
        await self._announce(changed, stored, "inference.late_result")

    async def _merged(
        self, kept: Kept, late: Late, tool: Tool
    ) -> tuple[Json, list[Json], list[Json]]:
        """The answer with the new conflicts behind its own; the late findings; those conflicts."""
        assert kept.answer is not None
        assert kept.context is not None
        answer = copy.deepcopy(kept.answer)
        findings = [_attributed(one, late, tool, kept.context) for one in late.findings]
        before = kept.positions()
        every = [*before, *(Finding.model_validate(one) for one in findings)]
        found = await compared(every, self._gateway.house.rules, patient=kept.context["subject"])
        conflicts = [c.model_dump(mode="json") for c in found if max(c.between) >= len(before)]
        answer["conflicts"] += conflicts
        for row in answer["tools"]:
            if row["tool"] == late.tool and row["status"] not in _GIVEN:
                row |= {"status": "late", "reason": "its result came after the answer"}
        return answer, findings, conflicts


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
