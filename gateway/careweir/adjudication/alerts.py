"""Others hear of a conflict: an outbox of events, posted signed, tried again, and posted once.

An event says that there is something to look at and where, never a clinical value: receivers are
pagers and ticket systems. Its key is the conflict and what happened, so that neither two replicas
nor a conflict that is found again make two of it.
"""

from __future__ import annotations

import dataclasses
import hmac
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import msgspec
import orjson

from careweir.adjudication.dispute import Dispute
from careweir.adjudication.policy import AlertRules
from careweir.log import log
from careweir.state import Record, State

KIND = "conflict-alert"
_KEEP = timedelta(days=7)
_FIRST_WAIT_S = 5.0
_WAIT_S_MAX = 3600.0
_LEASE_S = 60.0
_TIMEOUT_S = 10.0


class Waiting(msgspec.Struct, frozen=True):
    """An event that is to be posted: its bytes, and when next."""

    body: bytes
    attempts: int = 0
    next_at: float = 0.0
    done: bool = False


class Webhook:
    """Posts one event; True when the receiver took it.

    ``Careweir-Signature: t=<unix seconds>,v1=<hex>``: HMAC-SHA256 under the shared secret over
    ``<t>.<body>``. No redirect is followed and the answer's body is not read.
    """

    def __init__(
        self,
        url: str,
        secret: bytes,
        *,
        clock: Callable[[], datetime],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = url
        self._secret = secret
        self._clock = clock
        self._client = httpx.AsyncClient(
            timeout=_TIMEOUT_S, follow_redirects=False, trust_env=False, transport=transport
        )

    async def post(self, event: str, body: bytes) -> bool:
        """Send one event under its id."""
        moment = int(self._clock().timestamp())
        signed = hmac.digest(self._secret, f"{moment}.".encode() + body, "sha256").hex()
        headers = {
            "Content-Type": "application/json",
            "Careweir-Event": event,
            "Careweir-Signature": f"t={moment},v1={signed}",
        }
        try:
            async with self._client.stream(
                "POST", self._url, content=body, headers=headers
            ) as answer:
                return 200 <= answer.status_code < 300
        except httpx.HTTPError:
            return False

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()


class Alerts:
    """The outbox. Without a webhook nothing is put in."""

    def __init__(
        self,
        state: State,
        rules: AlertRules,
        webhook: Webhook | None,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._state = state
        self._rules = rules
        self._webhook = webhook
        self._clock = clock

    def wanted(self, dispute: Dispute) -> bool:
        """Does anybody want to hear of this one?"""
        return dispute.severity in self._rules.severities or dispute.type in self._rules.types

    async def put(self, dispute: Dispute, what: str) -> None:
        """Put an event into the outbox, once for each conflict and ``what``."""
        if self._webhook is None or not self.wanted(dispute):
            return
        waiting = Waiting(orjson.dumps(_event(dispute, what)))
        await self._state.put_new(
            KIND,
            f"{dispute.id}.{what}",
            msgspec.json.encode(waiting),
            tags={"waiting": "yes"},
            expires_at=self._clock() + _KEEP,
        )

    async def deliver(self) -> int:
        """Post what is due; how many were taken. Raises StateUnavailable."""
        if self._webhook is None:
            return 0
        taken = 0
        for record in await self._state.find(KIND, site=None, tags={"waiting": "yes"}, limit=100):
            taken += await self._deliver(record, self._webhook)
        return taken

    async def _deliver(self, record: Record, webhook: Webhook) -> bool:
        """Take a lease first, so that of several replicas one posts."""
        waiting = msgspec.json.decode(record.body, type=Waiting)
        now = self._clock().timestamp()
        if waiting.next_at > now:
            return False
        leased = msgspec.structs.replace(
            waiting, attempts=waiting.attempts + 1, next_at=now + _LEASE_S
        )
        held = await self._state.replace(_with(record, leased))
        if held is None:
            return False
        taken = await webhook.post(record.key, waiting.body)
        given_up = not taken and leased.attempts >= self._rules.attempts_max
        if given_up:
            log.error("conflict alert given up", attempts=leased.attempts)
        wait_s = min(_FIRST_WAIT_S * 2**waiting.attempts, _WAIT_S_MAX)
        after = msgspec.structs.replace(leased, done=taken, next_at=now + wait_s)
        await self._state.replace(_with(held, after, again=not (taken or given_up)))
        return taken


def _with(record: Record, waiting: Waiting, *, again: bool = True) -> Record:
    tags = {"waiting": "yes" if again else "no"}
    return dataclasses.replace(record, body=msgspec.json.encode(waiting), tags=tags)


def _event(dispute: Dispute, what: str) -> dict[str, Any]:
    return {
        "event": what,
        "conflict": dispute.id,
        "type": dispute.type,
        "severity": dispute.severity,
        "site": dispute.site,
        "queue": dispute.queue,
        "due": dispute.due,
        "tools": list(dispute.tools),
        "capabilities": sorted(dispute.capabilities),
        "across_capabilities": len(dispute.capabilities) > 1,
        "override": dispute.override,
        "link": f"/console/conflicts/{dispute.id}",
    }
