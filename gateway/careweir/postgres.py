"""What both stores in PostgreSQL do alike: bring a schema up to date, and show one site's rows."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from careweir.errors import ConfigInvalid

CONNECT_S = 5
COMMAND_S = 10
SITE_SETTING = "careweir.site"  # what the policies of row security compare a row's site with


async def migrate(url: str, *, what: str, schema: str, steps: Sequence[str], lock: int) -> None:
    """Bring a schema up to date (that needs its owner); refuse one that is newer.

    ``what`` names the database in words; step n leads from schema n to schema n + 1, and ``lock``
    is the advisory lock under which one replica does it. Raises ConfigInvalid.
    """
    db = await asyncpg.connect(url, timeout=CONNECT_S, command_timeout=COMMAND_S)
    try:
        async with db.transaction():
            await db.execute("SELECT pg_advisory_xact_lock($1)", lock)
            version = await _version(db, schema)
            if version > len(steps):
                raise ConfigInvalid(
                    f"{what} has schema {version}; this careweir knows {len(steps)}"
                )
            for number, step in enumerate(steps[version:], start=version + 1):
                await db.execute(step)
                await db.execute(f"INSERT INTO {schema}.schema_version VALUES ($1)", number)  # noqa: S608 - our own name
    finally:
        await db.close()


async def _version(db: asyncpg.Connection, schema: str) -> int:
    if await db.fetchval("SELECT to_regnamespace($1)", schema) is None:
        return 0
    return int(await db.fetchval(f"SELECT max(version) FROM {schema}.schema_version") or 0)  # noqa: S608 - our own name


async def see_only(db: asyncpg.Connection, role: str, site: str) -> None:
    """Until the transaction ends, row security shows this role the rows of one site alone."""
    await db.execute("SELECT set_config($1, $2, true)", SITE_SETTING, site)
    await db.execute(f"SET LOCAL ROLE {role}")
