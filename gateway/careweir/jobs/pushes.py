"""Results that vendors send by themselves: who sent it, what it answers, and whom it is about.

Nothing in a message is believed. It must come from a sender that the tool's file names; the
pseudonym that it echoes must be one that this tool was sent, for one question; a request id in it
must be one that was sent with it. What binds is stored before the vendor hears so, and compared
as late. What is about somebody else is kept as a digest on the record, and goes no further.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from careweir.access import Actor
from careweir.audit import Entry
from careweir.errors import (
    AccessDenied,
    AuditUnavailable,
    NotAuthenticated,
    NotFound,
    StateUnavailable,
    UnsupportedMedia,
)
from careweir.fanout import Prepared
from careweir.jobs.late import JOB, Late, late_findings, put_late
from careweir.jobs.record import LateLedger, Sender
from careweir.jobs.runner import Runner
from careweir.log import log
from careweir.pipeline import Gateway
from careweir.question import rfc3339
from careweir.state import State
from careweir.webhook import holds
from careweir_kit.errors import VendorError
from careweir_kit.push import Binding, Push, PushAdapter, Pushed, PushReply, Receipt
from careweir_kit.tool import Tool

EXPECTED, SEEN = "expected", "push-seen"
REPEATS_KNOWN = timedelta(days=7)
Outcome = Literal["late", "wrong_patient", "protocol_broken", "repeated"]


@dataclass(frozen=True, slots=True)
class Expected:
    """Remembers which pseudonym was sent to which pushing tool for which question."""

    state: State
    clock: Callable[[], datetime]
    lives_s: int

    async def __call__(
        self, inference: str, site: str | None, prepared: Sequence[Prepared]
    ) -> None:
        """Before anything is sent. Without it a push cannot be bound, but a call can be made."""
        expires = self.clock() + timedelta(seconds=self.lives_s)
        try:
            for one in prepared:
                await self.state.put_new(
                    EXPECTED,
                    f"{one.tool.tool}/{one.subject}",
                    inference.encode(),
                    site=site,
                    expires_at=expires,
                )
        except StateUnavailable as error:
            log.error("pushes cannot be bound", inference=inference, reason=error.detail)


class Pushes:
    """Takes pushed messages for the tools whose files name their senders."""

    def __init__(
        self,
        gateway: Gateway,
        state: State,
        runner: Runner,
        ledger: LateLedger,
        *,
        secrets: Mapping[str, bytes],
        clock: Callable[[], datetime],
    ) -> None:
        self._gateway = gateway
        self._state = state
        self._runner = runner
        self._ledger = ledger
        self._secrets = secrets
        self._clock = clock

    async def take(self, name: str, push: Push, actor: Actor | None) -> PushReply:
        """One message, from the bearer of a token or with a signature; raises CallerError."""
        tool = self._gateway.house.tools.get(name)
        adapter = None if tool is None else self._gateway.house.adapters[tool.adapter]
        if tool is None or tool.push is None or adapter is None or adapter.push is None:
            raise NotFound("no such tool, or none that sends results by itself")
        sender = self._sender(tool, push, actor)
        media_type = push.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type not in adapter.manifest.pushes:
            raise UnsupportedMedia("this tool sends " + ", ".join(adapter.manifest.pushes))
        try:
            receipt = await self._received(tool, adapter.push, push, sender)
        except (StateUnavailable, AuditUnavailable) as error:
            log.error("push not taken", tool=name, reason=error.detail)
            receipt = "failed"
        return adapter.push.acknowledge(tool, push, receipt)

    def _sender(self, tool: Tool, push: Push, actor: Actor | None) -> Sender:
        """Who it is from; raises NotAuthenticated, AccessDenied."""
        assert tool.push is not None
        if actor is not None:
            if actor.role != "vendor" or actor.subject not in tool.push.senders:
                raise AccessDenied("only the senders that the tool's file names may push for it")
            return Sender(actor.subject, actor.client)
        secret = self._secrets.get(tool.tool)
        if secret is None or not holds(secret, push.headers, push.body, now=self._clock()):
            raise NotAuthenticated("send a vendor's token, or sign the message in time")
        return Sender(f"signature of {tool.tool}", None)

    async def _received(
        self, tool: Tool, adapter: PushAdapter, push: Push, sender: Sender
    ) -> Receipt:
        digest = hashlib.sha256(push.body).hexdigest()
        try:
            pushed = adapter.parse_push(tool, push)
        except VendorError:
            await self._record(tool, sender, "protocol_broken", digest, None)
            return "broken"
        except Exception as error:
            log.error("adapter crashed", tool=tool.tool, exc_info=error)
            await self._record(tool, sender, "protocol_broken", digest, None)
            return "broken"
        intent, nearest = await self._bound(tool, pushed)
        if intent is None:
            await self._record(tool, sender, "wrong_patient", digest, None)
            await self._hold(tool, digest, nearest)
            return "rejected"
        return await self._stored(tool, pushed, sender, digest, intent)

    async def _bound(self, tool: Tool, pushed: Pushed) -> tuple[Entry | None, Entry | None]:
        """The intent that this message answers, or None, and the one that comes nearest.

        INVARIANT: a pushed result is of exactly the patient and question that its tool was sent.
        """
        echoes = {echo.removeprefix("Patient/") for echo in pushed.parsed.echoes}
        if len(echoes) != 1:
            return None, None
        record = await self._state.get(EXPECTED, f"{tool.tool}/{echoes.pop()}")
        if record is None:
            return None, None
        intents = await self._ledger.intents(record.body.decode(), tool.tool)
        wanted = pushed.binding.request_id
        fitting = [one for one in intents if wanted in (None, one.body.get("request"))]
        return (fitting[-1] if fitting else None), (intents[-1] if intents else None)

    async def _hold(self, tool: Tool, digest: str, nearest: Entry | None) -> None:
        """As after a wrong answer: on the record, then nobody asks the tool without a person."""
        about = None if nearest is None else nearest.disclosure
        name = about or f"push_{digest[:26]}"
        self._gateway.guards.hold(tool.tool, name)
        log.error("tool held", tool=tool.tool, disclosure=name)
        await self._ledger.held_unasked(tool.tool, name, "wrong_patient_pushed", about=nearest)

    async def _stored(
        self, tool: Tool, pushed: Pushed, sender: Sender, digest: str, intent: Entry
    ) -> Receipt:
        """Durable before the vendor hears of it; the same message again changes nothing."""
        key = hashlib.sha256(f"{tool.tool}\n{pushed.binding.message_id}".encode()).hexdigest()
        known = self._clock() + REPEATS_KNOWN
        late = Late(
            inference=str(intent.inference),
            tool=tool.tool,
            version=pushed.parsed.model_version or tool.version,
            disclosure=str(intent.disclosure),
            received=rfc3339(self._clock()),
            findings=late_findings(pushed.parsed.findings),
            notes=list(pushed.parsed.notes),
            partial=pushed.parsed.completeness == "partial",
        )
        seen = await self._state.get(SEEN, key)
        if seen is None:
            job = await put_late(
                self._state, self._runner, key, late, site=_site(intent), expires_at=known
            )
            await self._record(tool, sender, "late", digest, intent, pushed.binding)
            put = await self._state.put_new(SEEN, key, digest.encode(), expires_at=known)
            self._runner.begin(JOB, job)
            seen = put.record
        else:
            await self._record(tool, sender, "repeated", digest, intent, pushed.binding)
        return "accepted" if seen.body == digest.encode() else "rejected"

    async def _record(
        self,
        tool: Tool,
        sender: Sender,
        outcome: Outcome,
        digest: str,
        intent: Entry | None,
        binding: Binding | None = None,
    ) -> None:
        named = None if binding is None else binding.message_id
        message = None if named is None else hashlib.sha256(named.encode()).hexdigest()
        body = {"message_sha256": message, "answer_sha256": digest}
        await self._ledger.pushed(sender, tool.tool, outcome, body, about=intent)


def _site(intent: Entry) -> str | None:
    site = intent.body.get("site")
    return site if isinstance(site, str) else None
