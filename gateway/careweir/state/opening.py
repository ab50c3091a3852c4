"""Open the state on the database that the settings name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from careweir.state.postgres import PostgresBackend
from careweir.state.seal import StateKeys
from careweir.state.sqlite import SqliteBackend
from careweir.state.state import State


async def open_state(
    *,
    data_dir: Path,
    database_url: str | None,
    keys: StateKeys,
    clock: Callable[[], datetime],
) -> State:
    """SQLite in ``data_dir``, or PostgreSQL; raises ConfigInvalid on a newer schema."""
    backend = SqliteBackend(data_dir) if database_url is None else PostgresBackend(database_url)
    state = State(backend, keys, clock=clock)
    try:
        await state.start()
    except BaseException:
        await state.close()
        raise
    return state
