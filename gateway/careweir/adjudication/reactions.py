"""What people did with the cards of a tool: how often they took them up, or waved them off and why.

Counted for each site apart, and shown on the tool's score card. It is no measure of accuracy
either: most cards are neither accepted nor overridden. The record has each single feedback.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

import msgspec

from careweir.state import State

KIND = "tool-reaction"
SITES_MAX = 500
NO_REASON = "none-given"


class Reactions(msgspec.Struct, frozen=True):
    """How many cards were accepted and overridden; the latter by the reason that was given."""

    accepted: int = 0
    overridden: int = 0
    reasons: dict[str, int] = {}


class ReactionCounts:
    """The counts of all tools, in the state."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def of(self, tool: str, *, site: str | None) -> Reactions:
        """What was counted at a site; None: at all of them together."""
        found = await self._state.find(KIND, site=site, tags={"tool": tool}, limit=SITES_MAX)
        counted = [msgspec.json.decode(one.body, type=Reactions) for one in found]
        reasons = sum((Counter(one.reasons) for one in counted), Counter[str]())
        return Reactions(
            accepted=sum(one.accepted for one in counted),
            overridden=sum(one.overridden for one in counted),
            reasons=dict(sorted(reasons.items())),
        )

    async def add(
        self,
        tool: str,
        outcome: Literal["accepted", "overridden"],
        *,
        reason: str | None,
        site: str | None,
    ) -> None:
        """Count one feedback. Raises StateUnavailable."""

        def changed(body: bytes | None) -> bytes:
            known = Reactions() if body is None else msgspec.json.decode(body, type=Reactions)
            return msgspec.json.encode(_plus(known, outcome, reason or NO_REASON))

        key = f"{tool}\n{site or ''}"
        await self._state.update(KIND, key, changed, site=site, tags={"tool": tool})


def _plus(known: Reactions, outcome: str, reason: str) -> Reactions:
    if outcome == "accepted":
        return msgspec.structs.replace(known, accepted=known.accepted + 1)
    reasons = {**known.reasons, reason: known.reasons.get(reason, 0) + 1}
    return msgspec.structs.replace(known, overridden=known.overridden + 1, reasons=reasons)
