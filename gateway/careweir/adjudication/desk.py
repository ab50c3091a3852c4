"""Where conflicts are settled: a work list, claims, verdicts, escalation, and nothing forgotten.

Every step is on the audit trail before it is made. A verdict never changes a finding: both stay as
their tools gave them, and the history keeps every step, reopened verdicts included.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from careweir.access import Actor, PolicySet
from careweir.adjudication.alerts import Alerts
from careweir.adjudication.dispute import Dispute, Event
from careweir.adjudication.memory import NO_SITE
from careweir.adjudication.policy import AdjudicationPolicy
from careweir.adjudication.rights import Rights
from careweir.adjudication.ruling import Ruling, checked_rationale, preferred_side, verdict_of
from careweir.adjudication.score import ScoreCards
from careweir.errors import (
    AccessDenied,
    AuditUnavailable,
    ConflictSettled,
    NotFound,
    StateUnavailable,
)
from careweir.ledger import Ledger
from careweir.log import log
from careweir.question import parse_moment, rfc3339
from careweir.state import Cursor, Record, State

KIND = "conflict"
SEVERITIES = ("high", "moderate", "low")
PAGE_MAX = 100
SWEEP_S = 15.0
_LOOK = 100


@dataclass(frozen=True, slots=True)
class Filters:
    """What of the work list is wanted; None is any."""

    state: str | None = None  # open, claimed, settled; "unsettled" for both of the first
    severity: str | None = None
    type: str | None = None
    queue: str | None = None


Place = tuple[int, Cursor]  # severity step and the record after which a page goes on


class Desk:
    """All disputes of all sites; every method asks whose they may be."""

    def __init__(
        self,
        state: State,
        policy: AdjudicationPolicy,
        *,
        policies: Callable[[], PolicySet],
        ledger: Ledger,
        cards: ScoreCards,
        alerts: Alerts,
        clock: Callable[[], datetime],
    ) -> None:
        self.policy = policy
        self.rights = Rights(policy, policies)
        self.cards = cards
        self._state = state
        self._ledger = ledger
        self._alerts = alerts
        self._clock = clock

    # --- opening -------------------------------------------------------------------------------

    async def open(self, disputes: Sequence[Dispute]) -> None:
        """Put disputes on the work list; one that is there already is not made twice."""
        for dispute in disputes:
            record = await self._state.put_new(
                KIND,
                dispute.id,
                msgspec.json.encode(dispute),
                site=dispute.site or NO_SITE,
                tags=_tags(dispute),
                expires_at=self._clock() + timedelta(days=self.policy.keep_days),
            )
            if record.stored:
                await self._record(None, dispute, "opened")
                await self._alerts.put(dispute, "opened")
            else:
                await self._seen_again(dispute)

    async def _seen_again(self, fresh: Dispute) -> None:
        """The same tools disagree again: a settled one is opened anew only if they say new things.

        What is open takes the newest findings and the gravest severity.
        """

        def change(known: Dispute) -> tuple[str, Dispute] | None:
            if known.says() == fresh.says():
                return None
            now = rfc3339(self._clock())
            settled = known.state == "settled"
            action = "reopened" if settled else "seen_again"
            return action, known.with_event(
                Event(now, action),
                sides=fresh.sides,
                reasons=fresh.reasons,
                severity=fresh.severity,
                askers=tuple(dict.fromkeys((*known.askers, *fresh.askers))),
                override=known.override or fresh.override,
                state="open" if settled else known.state,
                due=fresh.due if settled else known.due,
                queue=fresh.queue if settled else known.queue,
                escalated=False if settled else known.escalated,
            )

        before = await self._held(fresh.id)
        if before is None:
            return
        changed = await self._change(before, None, change)
        if changed is not None and before[1].state == "settled":
            await self._count(before[1], by=-1)
            await self._alerts.put(changed, f"reopened.{len(changed.history)}")

    # --- reading -------------------------------------------------------------------------------

    async def page(
        self, actor: Actor, filters: Filters, *, after: Place | None = None, limit: int = 50
    ) -> tuple[list[Dispute], Place | None]:
        """A page of the work list: gravest first, then oldest; and where the next one begins.

        What the actor may not see takes no part: neither rows nor page lengths tell of it.
        """
        found: list[Dispute] = []
        step, cursor = after if after is not None else (0, None)
        for level in range(step, len(SEVERITIES)):
            severity = SEVERITIES[level]
            if filters.severity not in (None, severity):
                continue
            place = cursor if level == step else None
            while True:
                records = await self._find(actor, severity, filters, place)
                for record in records:
                    place = record.cursor
                    dispute = _read(record)
                    if _matches(dispute, filters) and self.rights.sees(actor, dispute):
                        found.append(dispute)
                        if len(found) == limit:
                            return found, (level, place)
                if len(records) < _LOOK:
                    break
        return found, None

    async def _find(
        self, actor: Actor, severity: str, filters: Filters, after: Cursor | None
    ) -> list[Record]:
        tags = {"severity": severity}
        if filters.state is not None:
            tags["settled"] = "yes" if filters.state == "settled" else "no"
        return await self._state.find(KIND, site=actor.site, tags=tags, after=after, limit=_LOOK)

    async def get(self, actor: Actor, name: str) -> Dispute:
        """One dispute; raises NotFound where there is none that this actor may know of."""
        held = await self._held(name)
        if held is None or not self.rights.sees(actor, held[1]):
            raise NotFound("no such conflict, or not for this reader")
        return held[1]

    # --- settling ------------------------------------------------------------------------------

    async def claim(self, actor: Actor, name: str) -> Dispute:
        """Say that one is at it, so that nobody else begins; or take it over from who said so."""

        def change(known: Dispute) -> tuple[str, Dispute]:
            self._unsettled(known)
            event = self._event(actor, "claimed")
            return "claimed", known.with_event(event, state="claimed", claimed_by=actor.subject)

        return await self._step(actor, name, change)

    async def settle(self, actor: Actor, name: str, ruling: Ruling) -> Dispute:
        """Give a verdict.

        Raises QuestionInvalid, AccessDenied (the asker of an override, another's claim) or
        ConflictSettled.
        """
        verdict = verdict_of(ruling, self.policy)
        rationale = checked_rationale(ruling.rationale)

        def change(known: Dispute) -> tuple[str, Dispute]:
            self._unsettled(known)
            if ruling.seen not in (None, known.mark):
                raise ConflictSettled("it has changed since it was read; look at it again")
            self.rights.check_settler(actor, known)
            preferred = preferred_side(known, verdict, self.policy, ruling.preferred_finding)
            event = self._event(actor, "settled", verdict=verdict, preferred_finding=preferred,
                                rationale=rationale)  # fmt: skip
            return "settled", known.with_event(event, state="settled", claimed_by=None)

        settled = await self._step(actor, name, change)
        await self._count(settled, by=1)
        return settled

    async def reopen(self, actor: Actor, name: str, rationale: str) -> Dispute:
        """Take a verdict back; it stays in the history."""
        why = checked_rationale(rationale)
        before = await self.get(actor, name)

        def change(known: Dispute) -> tuple[str, Dispute]:
            if known.state != "settled":
                raise ConflictSettled("it is not settled")
            minutes = self.policy.escalate_after_min[known.severity]
            due = rfc3339(self._clock() + timedelta(minutes=minutes))
            event = self._event(actor, "reopened", rationale=why)
            return "reopened", known.with_event(event, state="open", due=due, escalated=False)

        reopened = await self._step(actor, name, change)
        await self._count(before, by=-1)
        await self._alerts.put(reopened, f"reopened.{len(reopened.history)}")
        return reopened

    def _unsettled(self, known: Dispute) -> None:
        if known.state == "settled":
            raise ConflictSettled("it is settled already; reopen it to give another verdict")

    def _event(self, actor: Actor, action: str, **more: Any) -> Event:
        return Event(rfc3339(self._clock()), action, actor.subject, actor.role, **more)

    async def _count(self, dispute: Dispute, *, by: int) -> None:
        ruling = dispute.ruling
        if ruling is not None and ruling.verdict in self.policy.verdicts:
            counts = self.policy.verdicts[ruling.verdict].counts
            await self.cards.count(dispute, ruling, counts, by=by)

    # --- escalation ----------------------------------------------------------------------------

    async def sweep(self) -> int:
        """Hand what nobody settled in time to the next queue; how many. Raises StateUnavailable."""
        count, after = 0, None
        while True:
            records = await self._state.find(
                KIND, site=None, tags={"settled": "no"}, after=after, limit=_LOOK
            )
            for record in records:
                after = record.cursor
                count += await self._escalate(record)
            if len(records) < _LOOK:
                return count

    async def _escalate(self, record: Record) -> bool:
        def change(known: Dispute) -> tuple[str, Dispute] | None:
            late = parse_moment(known.due, path="due") <= self._clock()
            if known.escalated or known.state == "settled" or not late:
                return None
            event = Event(rfc3339(self._clock()), "escalated")
            return "escalated", known.with_event(
                event, queue=self.policy.escalate_to, escalated=True, state="open", claimed_by=None
            )

        changed = await self._change((record, _read(record)), None, change)
        if changed is not None:
            await self._alerts.put(changed, f"escalated.{len(changed.history)}")
        return changed is not None

    async def watch(self) -> None:
        """Escalate and deliver alerts now and then, until cancelled; outages are waited out."""
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                await self.sweep()
                await self._alerts.deliver()
            except (StateUnavailable, AuditUnavailable) as error:
                log.error("conflicts not swept", reason=error.detail)

    # --- the state -----------------------------------------------------------------------------

    async def _step(
        self, actor: Actor, name: str, change: Callable[[Dispute], tuple[str, Dispute]]
    ) -> Dispute:
        held = await self._held(name)
        if held is None or not self.rights.sees(actor, held[1]):
            raise NotFound("no such conflict, or not for this reader")
        if not self.rights.settles(actor, held[1]):
            raise AccessDenied("this role reads conflicts and does not settle them")
        changed = await self._change(held, actor, change)
        assert changed is not None
        return changed

    async def _change(
        self,
        held: tuple[Record, Dispute],
        actor: Actor | None,
        change: Callable[[Dispute], tuple[str, Dispute] | None],
    ) -> Dispute | None:
        """Decide, record, store; who is overtaken by another decides again on what is there now."""
        record, known = held
        while True:
            decided = change(known)
            if decided is None:
                return None
            action, changed = decided
            await self._record(actor, changed, action)
            stored = await self._state.replace(
                dataclasses.replace(record, body=msgspec.json.encode(changed), tags=_tags(changed))
            )
            if stored is not None:
                return changed
            await self._record(actor, changed, "overtaken")
            again = await self._held(known.id)
            if again is None:
                raise NotFound("no such conflict, or not for this reader")
            record, known = again

    async def _record(self, actor: Actor | None, dispute: Dispute, action: str) -> None:
        event = dispute.history[-1]
        preferred = event.preferred_finding
        rationale = event.rationale
        await self._ledger.conflict(
            actor,
            action=action,
            inference=dispute.sides[0].inference,
            patient_key=dispute.patient_key,
            body={
                "conflict": dispute.id,
                "kind": dispute.type,
                "severity": dispute.severity,
                "rule": dispute.rule,
                "site": dispute.site,
                "queue": dispute.queue,
                "tools": list(dispute.tools),
                "override": dispute.override,
                "verdict": event.verdict,
                "preferred_tool": None if preferred is None else dispute.sides[preferred].tool,
                "rationale_sha256": None if rationale is None else _digest(rationale),
            },
        )

    async def _held(self, name: str) -> tuple[Record, Dispute] | None:
        record = await self._state.get(KIND, name) if 0 < len(name) <= 64 else None
        return None if record is None else (record, _read(record))


def _read(record: Record) -> Dispute:
    return msgspec.json.decode(record.body, type=Dispute)


def _tags(dispute: Dispute) -> dict[str, str]:
    settled = "yes" if dispute.state == "settled" else "no"
    return {"severity": dispute.severity, "settled": settled, "patient": dispute.patient_key}


def _matches(dispute: Dispute, filters: Filters) -> bool:
    if filters.state not in (None, "unsettled", dispute.state):
        return False
    return filters.type in (None, dispute.type) and filters.queue in (None, dispute.queue)


def _digest(rationale: str) -> str:
    """What the trail keeps of a rationale, which may hold a patient's words."""
    return hashlib.sha256(rationale.encode()).hexdigest()
