"""A tool's score card: how often people ruled against it, and in which kind of conflict.

A card counts verdicts of people, not agreement between tools. It is no measure of accuracy: only
conflicts are looked at, and only those that somebody settled.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from careweir.adjudication.dispute import Dispute, Event
from careweir.adjudication.policy import Counts
from careweir.state import State

KIND = "tool-score"
Mark = Literal["upheld", "overruled", "cleared"]


class Tally(msgspec.Struct, frozen=True):
    """How often a tool's finding was preferred, another's was, or there was nothing to choose."""

    upheld: int = 0
    overruled: int = 0
    cleared: int = 0


class Card(msgspec.Struct, frozen=True):
    """All settled conflicts of a tool, and by type."""

    total: Tally = Tally()
    by_type: dict[str, Tally] = {}


class ScoreCards:
    """The cards of all tools, in the state."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def of(self, tool: str) -> Card:
        """The card of a tool; an empty one where nothing was settled yet."""
        record = await self._state.get(KIND, tool)
        return Card() if record is None else msgspec.json.decode(record.body, type=Card)

    async def count(self, dispute: Dispute, ruling: Event, counts: Counts, *, by: int) -> None:
        """Add a verdict to the cards of its tools (``by`` 1), or take it back (``by`` -1)."""
        for tool in dispute.tools:
            mark = _mark(dispute, ruling, counts, tool)
            if mark is not None:
                await self._add(tool, dispute.type, mark, by)

    async def _add(self, tool: str, kind: str, mark: Mark, by: int) -> None:
        def changed(body: bytes | None) -> bytes:
            card = Card() if body is None else msgspec.json.decode(body, type=Card)
            of_kind = _plus(card.by_type.get(kind, Tally()), mark, by)
            total = _plus(card.total, mark, by)
            return msgspec.json.encode(Card(total, {**card.by_type, kind: of_kind}))

        await self._state.update(KIND, tool, changed)


def _plus(tally: Tally, mark: Mark, by: int) -> Tally:
    return msgspec.structs.replace(tally, **{mark: max(getattr(tally, mark) + by, 0)})


def _mark(dispute: Dispute, ruling: Event, counts: Counts, tool: str) -> Mark | None:
    """A tool with a preferred finding is upheld, whatever else it said."""
    if counts == "none":
        return None
    if counts != "prefer":
        return counts
    assert ruling.preferred_finding is not None
    preferred = dispute.sides[ruling.preferred_finding].tool
    return "upheld" if tool == preferred else "overruled"
