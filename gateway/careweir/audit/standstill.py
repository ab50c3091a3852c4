"""Keep the record from being written for a while: what a drill does, and nobody else."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import asyncpg

from careweir.errors import AuditUnavailable

WAIT_S = 5


@asynccontextmanager
async def standstill(database_url: str) -> AsyncIterator[None]:
    """Hold the write lock of the record; raises AuditUnavailable when it cannot be had.

    ``database_url`` is ``sqlite:///FILE`` or a PostgreSQL URL. Reading goes on; nothing is changed.
    """
    if database_url.startswith("sqlite:///"):
        file = database_url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(f"file:{file}?mode=rw", uri=True, timeout=WAIT_S)) as lock:
            try:
                lock.execute("BEGIN EXCLUSIVE")
            except sqlite3.Error:
                raise AuditUnavailable("the record could not be locked") from None
            try:
                yield
            finally:
                lock.execute("ROLLBACK")
        return
    try:
        connection = await asyncpg.connect(database_url, timeout=WAIT_S)
    except (TimeoutError, OSError, asyncpg.PostgresError):
        raise AuditUnavailable("the record could not be reached") from None
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE careweir_audit.entry IN EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()
