"""Which tools wait for a person: kept on the record, so that no restart lets one go.

A tool is held by the replica that saw its wrong answer, at once; the others read it from the
record within ``LOOK_S``. The newest entry of type ``hold`` decides for each tool.
"""

from __future__ import annotations

import asyncio
from typing import Final, Literal, get_args

import msgspec

from careweir.access import Actor
from careweir.audit import AuditTrail, Query
from careweir.errors import AccessDenied, AuditUnavailable, NotFound, QuestionInvalid
from careweir.fanout import Guards
from careweir.ledger import Ledger
from careweir.log import log

LOOK_S: Final = 5.0
RELEASERS: Final = frozenset({"operator", "governance-board"})
ReleaseReason = Literal["vendor_mended", "mapping_mended", "false_alarm", "drill"]
REASONS: Final[tuple[ReleaseReason, ...]] = get_args(ReleaseReason)


class _Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: ReleaseReason


async def look(trail: AuditTrail, guards: Guards) -> None:
    """Hold and let go what the record says; raises AuditUnavailable.

    A hold of this process that is not on the record yet stays.
    """
    newest: dict[str, tuple[str, str]] = {}
    seen: set[str] = set()
    async for row in trail.read(Query(type="hold", newest_first=True)):
        entry = row.entry
        newest.setdefault(str(entry.tool), (str(entry.outcome), str(entry.disclosure)))
        if entry.outcome == "held":
            seen.add(str(entry.disclosure))
    for tool, (outcome, disclosure) in newest.items():
        here = guards.held(tool)
        if outcome == "held":
            guards.hold(tool, disclosure)
        elif here is not None and here.disclosure in seen:
            guards.let_go(tool)


async def keep_looking(trail: AuditTrail, guards: Guards) -> None:
    """``look`` every few seconds, for what other replicas hold and let go."""
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            await look(trail, guards)
        except AuditUnavailable:
            log.warning("holds not read")


def read_reason(body: bytes) -> ReleaseReason:
    """The coded reason of a release, or QuestionInvalid: free text has no place on the record."""
    try:
        return msgspec.json.decode(body, type=_Release).reason
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise QuestionInvalid("must be one of " + ", ".join(REASONS), path="reason") from None


async def release(
    guards: Guards, ledger: Ledger, actor: Actor, tool: str, reason: ReleaseReason
) -> None:
    """A person lets a tool go; raises AccessDenied, NotFound when it is not held, AuditUnavailable.

    INVARIANT: a held tool is let go only after the release is durable.
    """
    if actor.role not in RELEASERS:
        raise AccessDenied("letting a tool go needs the role operator or governance-board")
    hold = guards.held(tool)
    if hold is None:
        raise NotFound("this tool is not held")
    await ledger.released(actor, tool, hold.disclosure, reason)
    guards.let_go(tool)
    log.info("tool let go", tool=tool, role=actor.role)
