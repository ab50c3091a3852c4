"""New policies and tools without a restart: replaced whole, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from careweir.errors import ConfigInvalid, PolicyInvalid
from careweir.ledger import Ledger
from careweir.log import log
from careweir.pipeline import Gateway
from careweir.stages import House


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload did; ``alarm`` names file, line and rule of what was refused."""

    before: str
    after: str
    alarm: str | None


async def reload(gateway: Gateway, ledger: Ledger, read: Callable[[], House]) -> Reloaded:
    """Read policies, tools and conflict rules again; a broken file leaves all of the old in force.

    A request that is under way keeps what it began with, its connections too: they are closed
    when the last request that uses them has ended. Adapters are code and stay those of the start.
    The change, or the alarm, is durable before this returns.
    """
    before = gateway.house.policies.revision
    alarm: str | None = None
    try:
        gateway.house = replace(read(), adapters=gateway.house.adapters)
        gateway.guards.renew(gateway.house.tools)
    except (PolicyInvalid, ConfigInvalid) as refused:
        alarm = str(refused)
    done = Reloaded(before, gateway.house.policies.revision, alarm)
    if alarm is None:
        log.info("policy reloaded", policy_revision=done.after)
    else:
        log.error("policy refused, the old one stays", policy_revision=done.after)
    await ledger.reloaded(before=done.before, after=done.after, alarm=done.alarm)
    return done
