"""What people did with cards is counted by tool and site, and lost by no race."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from careweir.adjudication import ReactionCounts
from careweir.adjudication.reactions import Reactions
from careweir.state import StateKeys, open_state

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def test_counts_are_of_one_tool_and_site_and_of_all_sites_together(tmp_path: Path) -> None:
    async def story() -> None:
        state = await open_state(data_dir=tmp_path, database_url=None, clock=lambda: NOW,
                                 keys=StateKeys.of({1: b"s" * 32}))  # fmt: skip
        counts = ReactionCounts(state)
        try:
            await asyncio.gather(
                *(counts.add("acme", "overridden", reason="disagree", site="north")
                  for _ in range(8)),
                counts.add("acme", "overridden", reason=None, site="south"),
                counts.add("acme", "accepted", reason=None, site=None),
                counts.add("other", "accepted", reason=None, site="north"),
            )  # fmt: skip
            assert await counts.of("acme", site="north") == Reactions(0, 8, {"disagree": 8})
            assert await counts.of("acme", site="south") == Reactions(0, 1, {"none-given": 1})
            assert await counts.of("acme", site=None) == Reactions(
                1, 9, {"disagree": 8, "none-given": 1})  # fmt: skip
            assert await counts.of("never", site=None) == Reactions()
        finally:
            await state.close()

    asyncio.run(story())
