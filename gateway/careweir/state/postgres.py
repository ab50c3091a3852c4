"""The state in PostgreSQL, in a schema of its own beside the audit trail: a small pool."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar, cast

import asyncpg

from careweir.errors import StateUnavailable
from careweir.postgres import COMMAND_S, CONNECT_S, SITE_SETTING, migrate, see_only
from careweir.state.record import Find, Row
from careweir.state.sql import ROW_SQL, find_sql, numbered
from careweir.state.store import Held, Tags

POOL_MAX = 8
_MIGRATION_LOCK = 0x63727774

_T = TypeVar("_T")

READER_ROLE = "careweir_state_reader"
_SCHEMA_1 = """
CREATE SCHEMA careweir_state;
CREATE TABLE careweir_state.schema_version (version integer PRIMARY KEY);
CREATE TABLE careweir_state.record (
  kind text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  site text,
  created_us bigint NOT NULL,
  expires_us bigint,
  sealed bytea NOT NULL,
  PRIMARY KEY (kind, key)
);
CREATE TABLE careweir_state.tag (
  kind text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  value text COLLATE "C" NOT NULL,
  created_us bigint NOT NULL,
  key text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  PRIMARY KEY (kind, key, version, name),
  FOREIGN KEY (kind, key) REFERENCES careweir_state.record (kind, key) ON DELETE CASCADE
);
CREATE INDEX record_order ON careweir_state.record (kind, created_us, key);
CREATE INDEX record_expiry ON careweir_state.record (expires_us) WHERE expires_us IS NOT NULL;
CREATE INDEX tag_search ON careweir_state.tag (kind, name, value, created_us, key);
"""
# Sites are tenants: whoever looks through the records of one site does so as a role that sees no
# other's. A tag is seen with its record. The owner, as whom all else is done, is not held to it.
_SCHEMA_2 = f"""
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{READER_ROLE}') THEN
    CREATE ROLE {READER_ROLE} NOLOGIN;
  END IF;
  GRANT {READER_ROLE} TO CURRENT_USER;
EXCEPTION WHEN insufficient_privilege THEN NULL;
END $$;
GRANT USAGE ON SCHEMA careweir_state TO {READER_ROLE};
GRANT SELECT ON careweir_state.record, careweir_state.tag TO {READER_ROLE};
ALTER TABLE careweir_state.record ENABLE ROW LEVEL SECURITY;
ALTER TABLE careweir_state.tag ENABLE ROW LEVEL SECURITY;
CREATE POLICY record_of_the_readers_site ON careweir_state.record FOR SELECT TO {READER_ROLE}
  USING (site = current_setting('{SITE_SETTING}', true));
CREATE POLICY tag_of_the_readers_site ON careweir_state.tag FOR SELECT TO {READER_ROLE}
  USING (EXISTS (SELECT FROM careweir_state.record AS r WHERE r.kind = tag.kind
    AND r.key = tag.key AND r.site = current_setting('{SITE_SETTING}', true)));
"""  # noqa: S608
STEPS = (_SCHEMA_1, _SCHEMA_2)  # step n leads from schema n to schema n + 1
# A tag carries the version of its record, so that old and new ones never meet in one statement.
_TAGGED = """, gone AS (
  DELETE FROM careweir_state.tag WHERE kind = $1 AND key = $2 AND version <> $3
    AND EXISTS (SELECT FROM put)
), tagged AS (
  INSERT INTO careweir_state.tag
  SELECT $1, t.name, t.value, $5, $2, $3 FROM put, unnest($8::text[], $9::text[]) AS t(name, value)
) SELECT 1 FROM put"""
_INSERT = (
    """WITH put AS (
  INSERT INTO careweir_state.record AS r VALUES ($1, $2, $3, $4, $5, $6, $7)
  ON CONFLICT (kind, key) DO UPDATE SET version = $3, site = $4, created_us = $5, expires_us = $6,
    sealed = $7 WHERE r.expires_us <= $10 RETURNING 1
)"""  # noqa: S608
    + _TAGGED
)
_REPLACE = (
    """WITH put AS (
  UPDATE careweir_state.record SET version = $3, site = $4, created_us = $5, expires_us = $6,
    sealed = $7 WHERE kind = $1 AND key = $2 AND version = $10 RETURNING 1
)"""  # noqa: S608
    + _TAGGED
)
_GET = f"SELECT {ROW_SQL} FROM careweir_state.record AS r WHERE r.kind = $1 AND r.key = $2"  # noqa: S608
_TAGS = "SELECT key, name, value FROM careweir_state.tag WHERE kind = $1 AND key = ANY($2)"


class PostgresBackend:
    """Keeps ``Backend`` over one database."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    async def start(self) -> None:
        async def work(_db: asyncpg.Connection) -> None: ...

        await self._call(work)

    async def insert(self, row: Row, tags: Tags, *, now_us: int) -> bool:
        return await self._change(_INSERT, row, tags, now_us)

    async def replace(self, row: Row, tags: Tags, *, expected: int) -> bool:
        return await self._change(_REPLACE, row, tags, expected)

    async def get(self, kind: str, key: str) -> Held | None:
        held = await self._call(lambda db: _held(db, _GET, [kind, key]))
        return held[0] if held else None

    async def find(self, find: Find) -> list[Held]:
        sql, values = find_sql(find, record="careweir_state.record", tag="careweir_state.tag")

        async def work(db: asyncpg.Connection) -> list[Held]:
            if find.site is None:
                return await _held(db, numbered(sql), values)
            async with db.transaction(readonly=True):
                await see_only(db, READER_ROLE, find.site)
                return await _held(db, numbered(sql), values)

        return await self._call(work)

    async def delete(self, kind: str, key: str) -> bool:
        sql = "DELETE FROM careweir_state.record WHERE kind = $1 AND key = $2"
        done = await self._call(lambda db: db.execute(sql, kind, key))
        return str(done) == "DELETE 1"

    async def purge(self, now_us: int) -> int:
        sql = "DELETE FROM careweir_state.record WHERE expires_us <= $1"
        done = await self._call(lambda db: db.execute(sql, now_us))
        return int(str(done).rpartition(" ")[2])

    async def now_us(self) -> int:
        sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
        return int(await self._call(lambda db: db.fetchval(sql)) or 0)

    async def close(self) -> None:
        if self._pool is not None:
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                await asyncio.wait_for(self._pool.close(), CONNECT_S)
            self._pool.terminate()
            self._pool = None

    async def _change(self, sql: str, row: Row, tags: Tags, condition: int) -> bool:
        names, values = list(tags), list(tags.values())
        changed = await self._call(lambda db: db.fetchval(sql, *row, names, values, condition))
        return bool(changed == 1)

    async def _call(self, work: Callable[[asyncpg.Connection], Awaitable[_T]]) -> _T:
        try:
            pool = await self._open()
            async with pool.acquire(timeout=CONNECT_S) as db:
                return await work(cast("asyncpg.Connection", db))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            raise StateUnavailable("the state database does not work", retry_after_s=1) from None

    async def _open(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                await _migrate(self._url)
                self._pool = await asyncpg.create_pool(
                    self._url,
                    min_size=0,
                    max_size=POOL_MAX,
                    timeout=CONNECT_S,
                    command_timeout=COMMAND_S,
                )
        return self._pool


async def _held(
    db: asyncpg.Connection, sql: str, values: list[str | int | bytes | None]
) -> list[Held]:
    rows = [Row(*row) for row in await db.fetch(sql, *values)]
    tags: dict[str, dict[str, str]] = {row.key: {} for row in rows}
    if rows:
        found = await db.fetch(_TAGS, rows[0].kind, list(tags))
        for key, name, value in sorted(found):
            tags[key][name] = value
    return [Held(row, tags[row.key]) for row in rows]


async def _migrate(url: str) -> None:
    await migrate(
        url, what="the state database", schema="careweir_state", steps=STEPS, lock=_MIGRATION_LOCK
    )
