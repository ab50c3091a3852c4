"""A clock that goes when told, and the state on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from careweir.state import State, StateKeys, open_state
from support.postgres import new_database, server  # noqa: F401

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


class Clock:
    """Stands still until ``tick``."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def tick(self, **delta: float) -> datetime:
        self.now += timedelta(**delta)
        return self.now


@dataclass
class Place:
    """Where one test's state lies."""

    data_dir: Path
    database_url: str | None
    clock: Clock = field(default_factory=Clock)
    keys: StateKeys = field(default_factory=lambda: StateKeys.of({1: b"s" * 32}))

    @asynccontextmanager
    async def open(self, keys: StateKeys | None = None) -> AsyncIterator[State]:
        state = await open_state(
            data_dir=self.data_dir,
            database_url=self.database_url,
            keys=keys or self.keys,
            clock=self.clock,
        )
        try:
            yield state
        finally:
            await state.close()

    def run(self, story: Callable[[State], object]) -> None:
        """Run one asynchronous story with an open state."""

        async def main() -> None:
            async with self.open() as state:
                await story(state)  # type: ignore[misc]

        asyncio.run(main())


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place(tmp_path, None)
    return Place(tmp_path, asyncio.run(new_database(request.getfixturevalue("server"))))
