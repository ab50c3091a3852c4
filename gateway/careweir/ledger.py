"""What the gateway puts on the record, in the words of the audit trail: one method an event.

Who asked (the human and the client application), in which role, why, about whom (a keyed hash,
so that it can be forgotten), what each tool would get (the field manifest), what became of each
attempt, and what was answered (a digest and the shape, never a clinical value).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson

from careweir.access import Actor, Decision
from careweir.audit import AuditKeys, AuditTrail, Entry, Query, Receipt
from careweir.errors import AnswerUnrecorded, AuditUnavailable, GatewayError, LeaseLost
from careweir.fanout import Intent, Prepared
from careweir.ids import NewId
from careweir.question import Question, Reply
from careweir_fhir.model import Conflict
from careweir_kit.adapter import VendorRequest


@dataclass(frozen=True, slots=True)
class Who:
    """The part of every entry that says who asked, why and about whom."""

    inference: str
    actor: Actor
    purpose: str
    capability: str
    site: str | None
    patient_key: str | None

    def entry(self, kind: str, body: dict[str, Any], **columns: str | None) -> Entry:
        """An entry of this inference with the shared facts in its body."""
        facts: dict[str, Any] = {
            "role": self.actor.role,
            "token": self.actor.jti,
            "purpose": self.purpose,
            "capability": self.capability,
            "site": self.site,
        }
        if self.actor.break_glass is not None:
            facts["break_glass_reason"] = self.actor.break_glass
        return Entry(
            type=kind,
            body=facts | body,
            inference=self.inference,
            patient_key=self.patient_key,
            actor=self.actor.subject,
            client=self.actor.client,
            **columns,
        )


class Ledger:
    """Everything one inference puts on the record. Implements ``AttemptLedger`` for fan-out."""

    def __init__(self, trail: AuditTrail, keys: AuditKeys, *, new_id: NewId) -> None:
        self._trail = trail
        self._keys = keys
        self._new_id = new_id

    def about(
        self,
        inference: str,
        actor: Actor,
        question: Question,
        *,
        fence: Callable[[], bool] | None = None,
    ) -> InferenceLedger:
        """The ledger of one inference; ``fence`` is false when another process may have it."""
        who = Who(
            inference=inference,
            actor=actor,
            purpose=question.purpose,
            capability=question.capability,
            site=question.site or actor.site,
            patient_key=self._keys.patient_key(question.subject),
        )
        return InferenceLedger(self._trail, who, new_id=self._new_id, fence=fence)

    async def reloaded(self, *, before: str, after: str, alarm: str | None) -> Receipt:
        """A policy that was read again: the revision in force before and after, or the alarm."""
        body = {"before": before, "after": after, "alarm": alarm}
        outcome = "refused" if alarm else "reloaded"
        return await self._trail.append(Entry(type="policy", body=body, outcome=outcome))

    async def released(self, actor: Actor, tool: str, disclosure: str, reason: str) -> Receipt:
        """A person lets a held tool go; durable before it is asked again."""
        body = {"role": actor.role, "token": actor.jti, "reason": reason}
        return await self._trail.append(
            Entry(type="hold", body=body, actor=actor.subject, client=actor.client, tool=tool,
                  disclosure=disclosure, outcome="released")
        )  # fmt: skip

    async def read(
        self, actor: Actor, *, what: str, found: int, patient_key: str | None = None
    ) -> Receipt:
        """Reading the record is itself on the record; of one patient, on that patient's too."""
        body = {
            "role": actor.role, "token": actor.jti, "site": actor.site, "what": what,
            "found": found,
        }  # fmt: skip
        return await self._trail.append(
            Entry(
                type="read",
                body=body,
                patient_key=patient_key,
                actor=actor.subject,
                client=actor.client,
            )
        )

    async def feedback(
        self,
        actor: Actor,
        *,
        inference: str,
        tool: str | None,
        card: str,
        outcome: str,
        reason: str | None,
    ) -> Receipt:
        """What a person did with a card; the reason's code, never a free comment."""
        body = {"role": actor.role, "site": actor.site, "card": card, "reason": reason}
        return await self._trail.append(
            Entry(type="feedback", body=body, inference=inference, tool=tool, outcome=outcome,
                  actor=actor.subject, client=actor.client)
        )  # fmt: skip

    async def conflict(
        self,
        actor: Actor | None,
        *,
        action: str,
        inference: str | None,
        patient_key: str,
        body: dict[str, Any],
    ) -> Receipt:
        """A step in settling a conflict between tools; by the gateway itself without an actor."""
        who = {} if actor is None else {"role": actor.role, "token": actor.jti}
        return await self._trail.append(
            Entry(
                type="conflict",
                body=who | body,
                inference=inference,
                patient_key=patient_key,
                actor=None if actor is None else actor.subject,
                client=None if actor is None else actor.client,
                outcome=action,
            )
        )


class InferenceLedger:
    """The record of one inference, in the order of its pipeline."""

    def __init__(
        self,
        trail: AuditTrail,
        who: Who,
        *,
        new_id: NewId,
        fence: Callable[[], bool] | None = None,
    ) -> None:
        self._trail = trail
        self._who = who
        self._new_id = new_id
        self._fence = fence
        self._intended = False
        self._rule: str | None = None
        self._concluded: list[asyncio.Future[Receipt]] = []

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Say of an error whether anything may have been disclosed before it."""
        try:
            yield
        except GatewayError as error:
            error.sent = self._intended
            raise

    async def asked_before(self) -> dict[str, str]:
        """The tools to which something may have been sent for this inference, by the record."""
        query = Query(inference=self._who.inference, type=("intent", "outcome"))
        sent: dict[str, str] = {}
        async for row in self._trail.read(query):
            entry = row.entry
            if entry.type == "intent":
                sent[str(entry.disclosure)] = str(entry.tool)
            elif entry.outcome == "not_sent":
                sent.pop(str(entry.disclosure), None)
        return {tool: disclosure for disclosure, tool in sent.items()}

    async def refused(self, code: str, because: Sequence[str], *, revision: str) -> Receipt:
        """A question that goes no further: durable before the refusal is given."""
        body = {"because": list(because), "policy_revision": revision}
        return await self._trail.append(self._who.entry("refusal", body, outcome=code))

    def decided(
        self, decision: Decision, live: Sequence[Prepared], withheld: Sequence[Prepared]
    ) -> None:
        """The decision and its rule; durable no later than the first intent after it.

        A tool that gets nothing has an entry of its own, which says which rule kept what back.
        """
        self._rule = decision.because[0] if decision.because else None
        body = {
            "because": list(decision.because),
            "break_glass": decision.break_glass,
            "policy_revision": decision.revision,
            "tools": [one.tool.tool for one in live],
        }
        self._submit(self._who.entry("decision", body, outcome=decision.effect))
        for one in withheld:
            manifest = one.minimised.manifest.model_dump(mode="json")
            tool = one.tool.tool
            self._submit(
                self._who.entry("withheld", {"manifest": manifest}, tool=tool, outcome="withheld")
            )

    async def fetched(self, source: str, asked: Sequence[str], pages: int) -> Receipt:
        """A chart was pulled: from where, by which types and parameters; never their values."""
        body = {"source": source, "asked": list(asked), "pages": pages}
        return await self._trail.append(self._who.entry("fetched", body, outcome="fetched"))

    async def intend(self, prepared: Prepared, request: VendorRequest, attempt: int) -> Intent:
        """Commit one attempt's intent with its field manifest; raises AuditUnavailable."""
        disclosure = self._new_id("dis")
        manifest = prepared.minimised.manifest.sealed(id=disclosure, body=request.body)
        body = {
            "tool_version": prepared.tool.version,
            "vendor": prepared.tool.vendor,
            "vendor_host": urlsplit(prepared.endpoint).hostname,
            "region": prepared.tool.region,
            "policy_revision": manifest.policy_revision,
            "rule": self._rule,
            "sent": list(manifest.sent),
            "attempt": attempt,
            "request": request.request_id,
            "manifest": manifest.model_dump(mode="json"),
        }
        intent = Intent(disclosure=disclosure, tool=prepared.tool.tool, attempt=attempt)
        receipt = self._trail.submit(
            self._who.entry("intent", body, tool=prepared.tool.tool, disclosure=disclosure)
        )
        try:
            await receipt
        except asyncio.CancelledError:
            if receipt.done() and not receipt.cancelled() and receipt.exception() is None:
                self.conclude(intent, outcome="not_sent", answer_sha256=None)
            raise
        if self._fence is not None and not self._fence():
            self.conclude(intent, outcome="not_sent", answer_sha256=None)
            raise LeaseLost("another process may be answering this question", retry_after_s=5)
        self._intended = True
        return intent

    def conclude(self, intent: Intent, *, outcome: str, answer_sha256: str | None) -> None:
        """What became of one attempt; durable before the answer (``answered`` awaits it)."""
        body = {"attempt": intent.attempt, "answer_sha256": answer_sha256}
        self._submit(
            self._who.entry(
                "outcome", body, tool=intent.tool, disclosure=intent.disclosure, outcome=outcome
            )
        )

    def held(self, tool: str, disclosure: str) -> None:
        """A tool is asked no more until a person lets it go; durable before the answer."""
        body = {"because": "wrong_patient"}
        self._submit(
            self._who.entry("hold", body, tool=tool, disclosure=disclosure, outcome="held")
        )

    def computed(self, prepared: Prepared, *, outcome: str) -> None:
        """A score computed in this process: nobody was told anything."""
        manifest = prepared.minimised.manifest.model_dump(mode="json")
        body = {"version": prepared.tool.version, "inputs": manifest}
        entry = self._who.entry("computed", body, tool=prepared.tool.tool, outcome=outcome)
        self._submit(entry)

    async def answered(
        self,
        outcome: str,
        replies: Sequence[Reply],
        conflicts: Sequence[Conflict],
        *,
        findings_json: bytes,
        by: float | None = None,
        previous: Sequence[Mapping[str, Any]] = (),
        ladder: Sequence[Mapping[str, Any]] = (),
        told_unsent: Sequence[str] = (),
    ) -> Receipt:
        """The outcome, durable before it is given; raises AnswerUnrecorded.

        ``by`` (loop time) is when it is waited for no longer; it is recorded all the same.
        ``told_unsent`` names tools that told what they were not sent. Of ``previous`` answers:
        whose, how old, of which inference, and the SHA-256 of their rows.
        """
        body: dict[str, Any] = {
            "tools": [
                {"tool": r.tool, "version": r.version, "status": r.status, "mode": r.mode,
                 "latency_ms": r.latency_ms, "attempts": r.attempts, "findings": len(r.findings)}
                for r in replies
            ],
            "conflicts": [{"type": c.type, "rule": c.rule, "severity": c.severity}
                          for c in conflicts],
            "findings_sha256": hashlib.sha256(findings_json).hexdigest(),
        }  # fmt: skip
        if told_unsent:
            body["told_unsent"] = list(told_unsent)
        if ladder:
            body["ladder"] = [one["step"] for one in ladder if one["taken"]]
        if previous:
            body["previous"] = [
                {"tool": one["tool"], "inference": one["inference"], "age_s": one["age_s"],
                 "findings": len(one["findings"])}
                for one in previous
            ]  # fmt: skip
            rows = orjson.dumps(list(previous), option=orjson.OPT_SORT_KEYS)
            body["previous_sha256"] = hashlib.sha256(rows).hexdigest()
        try:
            async with asyncio.timeout_at(by):
                receipt = await self._trail.append(self._who.entry("answer", body, outcome=outcome))
            for done in self._concluded:
                done.result()  # earlier entries of one writer are durable before later ones
        except AuditUnavailable as error:
            raise AnswerUnrecorded(retry_after_s=error.retry_after_s) from None
        except TimeoutError:
            raise AnswerUnrecorded("the record is too slow", retry_after_s=1) from None
        return receipt

    def _submit(self, entry: Entry) -> None:
        future = self._trail.submit(entry)
        future.add_done_callback(_retrieved)
        self._concluded.append(future)


def _retrieved(future: asyncio.Future[Receipt]) -> None:
    """A failed submit is reported by the append that follows; here it is only marked as seen."""
    if not future.cancelled():
        future.exception()
