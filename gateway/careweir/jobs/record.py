"""What late results put on the record: pushes, polls past the deadline, comparisons, holds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from careweir.access import Actor
from careweir.audit import AuditTrail, Entry, Query, Receipt


@dataclass(frozen=True, slots=True)
class Sender:
    """Who pushed a message: the subject and client of a token, or the holder of a secret."""

    subject: str
    client: str | None


class LateLedger:
    """The entries of results that come after their answer, or that nobody asked for."""

    def __init__(self, trail: AuditTrail) -> None:
        self._trail = trail

    async def intents(self, inference: str, tool: str) -> list[Entry]:
        """What was sent to a tool for one inference."""
        query = Query(inference=inference, tool=tool, type="intent")
        return [row.entry async for row in self._trail.read(query)]

    async def pushed(
        self,
        sender: Sender,
        tool: str,
        outcome: str,
        body: dict[str, str | None],
        *,
        about: Entry | None,
    ) -> Receipt:
        """A message that a vendor sent by itself: digests, and the intent that it answers."""
        entry = Entry(
            type="pushed",
            body={**body, "site": None if about is None else about.body.get("site")},
            inference=None if about is None else about.inference,
            disclosure=None if about is None else about.disclosure,
            patient_key=None if about is None else about.patient_key,
            actor=sender.subject,
            client=sender.client,
            tool=tool,
            outcome=outcome,
        )
        return await self._trail.append(entry)

    async def job(self, actor: Actor, inference: str, step: str) -> Receipt:
        """What a person did with a question that is answered later: cancelled, or resumed."""
        entry = Entry(
            type="job",
            body={"role": actor.role, "token": actor.jti, "site": actor.site},
            inference=inference,
            actor=actor.subject,
            client=actor.client,
            outcome=step,
        )
        return await self._trail.append(entry)

    async def held_unasked(
        self, tool: str, name: str, because: str, *, about: Entry | None
    ) -> Receipt:
        """A tool is asked no more: what it sent later or by itself is about somebody else.

        ``name`` is the disclosure that it came nearest to, or made from the message's digest.
        """
        entry = Entry(
            type="hold",
            body={"because": because},
            inference=None if about is None else about.inference,
            patient_key=None if about is None else about.patient_key,
            tool=tool,
            disclosure=name,
            outcome="held",
        )
        return await self._trail.append(entry)

    async def polled(
        self,
        inference: str,
        tool: str,
        disclosure: str,
        *,
        outcome: str,
        number: int,
        answer_sha256: str | None,
    ) -> Receipt:
        """A vendor's job past its deadline: ``asked`` before each poll leaves, and how it ended."""
        about = next(iter(await self.intents(inference, tool)), None)
        entry = Entry(
            type="polled",
            body={
                "site": None if about is None else about.body.get("site"),
                "number": number,
                "answer_sha256": answer_sha256,
            },
            inference=inference,
            disclosure=disclosure,
            patient_key=None if about is None else about.patient_key,
            tool=tool,
            outcome=outcome,
        )
        return await self._trail.append(entry)

    async def late(
        self,
        inference: str,
        tool: str,
        disclosure: str,
        *,
        findings: int,
        conflicts: Sequence[str],
        findings_json: bytes,
    ) -> Receipt:
        """A result that came after its answer was compared; durable before anybody can read it."""
        (about, *_) = await self.intents(inference, tool)
        body = {
            "site": about.body.get("site"),
            "findings": findings,
            "conflicts": list(conflicts),
            "findings_sha256": hashlib.sha256(findings_json).hexdigest(),
        }
        entry = Entry(
            type="late",
            body=body,
            inference=inference,
            disclosure=disclosure,
            patient_key=about.patient_key,
            tool=tool,
            outcome="late",
        )
        return await self._trail.append(entry)
