"""Put the parts together, and run what has to be done now and then."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from careweir.access import PolicySet
from careweir.adjudication.alerts import Alerts, Webhook
from careweir.adjudication.desk import Desk
from careweir.adjudication.memory import Memory
from careweir.adjudication.opening import Opener
from careweir.adjudication.policy import AdjudicationPolicy, AlertRules
from careweir.adjudication.reactions import ReactionCounts
from careweir.adjudication.score import ScoreCards
from careweir.adjudication.second import SecondReader
from careweir.audit import AuditKeys
from careweir.errors import ConfigInvalid
from careweir.ledger import Ledger
from careweir.state import State

_LOOPBACK = ("127.0.0.1", "localhost")


@dataclass(frozen=True, slots=True)
class Adjudication:
    """Everything between a conflict and its verdict."""

    second: SecondReader
    desk: Desk
    alerts: Alerts
    webhook: Webhook | None
    reactions: ReactionCounts

    def start(self) -> asyncio.Task[None]:
        """Escalate and deliver from now on; cancel the task to end it."""
        return asyncio.create_task(self.desk.watch(), name="conflicts")

    async def close(self) -> None:
        """Let go of connections."""
        if self.webhook is not None:
            await self.webhook.close()


def build_adjudication(
    policy: AdjudicationPolicy,
    state: State,
    *,
    keys: AuditKeys,
    ledger: Ledger,
    policies: Callable[[], PolicySet],
    secret: Callable[[str], str | None],
    clock: Callable[[], datetime],
) -> Adjudication:
    """Raises ConfigInvalid where the webhook cannot be used as it is configured."""
    webhook = _webhook(policy.alerts, secret, clock)
    alerts = Alerts(state, policy.alerts, webhook, clock=clock)
    desk = Desk(
        state, policy, policies=policies, ledger=ledger, cards=ScoreCards(state), alerts=alerts,
        clock=clock,
    )  # fmt: skip
    second = SecondReader(
        Memory(state, keyed=keys.patient_key, remember_h=policy.remember_h, clock=clock),
        desk,
        Opener(policy, hmac.digest(keys.patient, b"careweir names of conflicts", "sha256")),
        patient_key=keys.patient_key,
        clock=clock,
    )
    return Adjudication(second, desk, alerts, webhook, ReactionCounts(state))


def _webhook(
    rules: AlertRules, secret: Callable[[str], str | None], clock: Callable[[], datetime]
) -> Webhook | None:
    if rules.url is None:
        return None
    place = urlsplit(rules.url)
    if place.scheme != "https" and place.hostname not in _LOOPBACK:
        raise ConfigInvalid("adjudication.yaml: the webhook must be https")
    key = secret(rules.secret)
    if key is None or len(key) < 16:
        raise ConfigInvalid("adjudication.yaml: its secret is missing or shorter than 16")
    return Webhook(rules.url, key.encode(), clock=clock)
