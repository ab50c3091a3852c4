"""What every backend promises, asked of each: SQLite, and a real PostgreSQL server."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from audit.conftest import Clock, intent, outcome
from careweir.audit import AuditKeys, AuditTrail, Entry, Query, Report, Stored, open_trail, verify
from careweir.audit.postgres import PostgresStore
from careweir.errors import AuditUnavailable, ConfigInvalid
from support.postgres import new_database, server  # noqa: F401


class Backend:
    """Where one test's trail lies."""

    def __init__(self, data_dir: Path, database_url: str | None, keys: AuditKeys) -> None:
        self.data_dir, self.database_url, self.keys = data_dir, database_url, keys
        self.clock = Clock()

    @asynccontextmanager
    async def open(self, replica: str = "gw") -> AsyncIterator[AuditTrail]:
        trail = await open_trail(
            data_dir=self.data_dir,
            database_url=self.database_url,
            replica=replica,
            keys=self.keys,
            clock=self.clock,
        )
        try:
            yield trail
        finally:
            await trail.close()

    def verify(self) -> Report:
        if self.database_url is not None:
            return verify(database_url=self.database_url, keys=self.keys)
        return verify(data_dir=self.data_dir, keys=self.keys)


@pytest.fixture
def postgres(request: pytest.FixtureRequest, tmp_path: Path, keys: AuditKeys) -> Backend:
    url = asyncio.run(new_database(request.getfixturevalue("server")))
    return Backend(tmp_path, url, keys)


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest, tmp_path: Path, keys: AuditKeys) -> Backend:
    if request.param == "sqlite":
        return Backend(tmp_path, None, keys)
    return request.getfixturevalue("postgres")  # type: ignore[no-any-return]


async def entries(trail: AuditTrail, query: Query | None = None) -> list[Stored]:
    return [entry async for entry in trail.read(query or Query())]


def test_entries_come_back_as_they_went_in_and_verify(backend: Backend) -> None:
    async def story() -> None:
        async with backend.open() as trail:
            receipts = await asyncio.gather(*(trail.append(intent(n)) for n in range(300)))
            await asyncio.gather(*(trail.append(outcome(n)) for n in range(300)))
            read = await entries(trail, Query(type="intent"))
            assert [e.entry for e in read] == [intent(n) for n in range(300)]
            assert [e.receipt for e in read] == receipts
            assert await trail.healthy()
            running = await asyncio.to_thread(backend.verify)
            assert running.status == "clean", running.problems

    asyncio.run(story())
    report = backend.verify()
    assert (report.status, report.entries, report.open_intents) == ("clean", 602, 0)
    assert [(head.seq, head.closed) for head in report.heads] == [(602, True)]


def test_filters_paging_and_time_agree_on_every_backend(backend: Backend) -> None:
    async def story() -> None:
        async with backend.open() as trail:
            for n in range(6):
                await trail.append(intent(n))
            since = backend.clock.now
            for n in range(6):
                await trail.append(outcome(n))
            everything = await entries(trail)
            assert await entries(trail, Query(newest_first=True)) == everything[::-1]
            assert len(await entries(trail, Query(since=since, actor="dr-1"))) == 7
            assert len(await entries(trail, Query(until=since, actor="dr-1"))) == 5
            assert await entries(trail, Query(after=everything[4].position)) == everything[5:]
            assert [e.entry.type for e in await entries(trail, Query(disclosure="dis_2"))] == [
                "intent",
                "outcome",
            ]
            assert await entries(trail, Query(limit=2)) == everything[:2]

    asyncio.run(story())


SITES = ("north", "south", None)


async def write_of_each_site(trail: AuditTrail) -> None:
    for number, site in enumerate(SITES):
        for entry in (intent(number), outcome(number)):
            await trail.append(replace(entry, body={**entry.body, "site": site}))


def test_a_reader_of_one_site_finds_and_counts_nothing_of_another(backend: Backend) -> None:
    async def story() -> None:
        async with backend.open() as trail:
            await write_of_each_site(trail)
            for within, mine in (
                ("north", {0}),
                ("south", {1}),
                ("west", set()),
                (None, {0, 1, 2}),
            ):
                for asked in (
                    Query(type="intent"),
                    Query(type="intent", ended=("answered",)),
                    Query(type="intent", disclosure=("dis_0", "dis_1", "dis_2")),
                ):
                    query = replace(asked, within=within)
                    found = await entries(trail, query)
                    assert {one.entry.disclosure for one in found} == {f"dis_{n}" for n in mine}
                    assert await trail.count(query) == len(mine)
            assert await entries(trail, Query(site="south", within="north")) == []
            assert len(await entries(trail, Query())) > 6  # the reader before leaves no trace

    asyncio.run(story())
    assert backend.verify().status == "clean"


def test_the_database_itself_shows_a_reader_of_one_site_no_other(postgres: Backend) -> None:
    """With no condition at all, as if the program had forgotten it; and only for this one."""

    async def story() -> None:
        async with postgres.open() as trail:
            await write_of_each_site(trail)
        store = PostgresStore(str(postgres.database_url))
        forgotten = "SELECT DISTINCT site FROM careweir_audit.entry"
        try:
            for within in ("north", "south"):
                assert [*await store._read(forgotten, [], within=within)] == [(within,)]
            assert await store._read(forgotten, [], within="west") == []
            assert {row[0] for row in await store._read(forgotten, [])} == set(SITES)
        finally:
            await store.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    "attempt",
    [
        "SELECT * FROM careweir_audit.seal",
        "SELECT * FROM careweir_audit.entry_2026_03",  # a partition, past the policy
        "INSERT INTO careweir_audit.seal VALUES (1, 1, '', '')",
        "SELECT careweir_audit.make_partition('2030-01-01')",
    ],
)
def test_the_role_of_a_reader_may_nothing_but_read_its_rows(
    postgres: Backend, attempt: str
) -> None:
    async def story() -> None:
        async with postgres.open() as trail:
            await write_of_each_site(trail)
        db = await asyncpg.connect(postgres.database_url)
        try:
            await db.execute("SET ROLE careweir_audit_reader")
            assert await db.fetch("SELECT * FROM careweir_audit.entry") == []  # no site, no row
            await db.execute("SET careweir.site = 'north'")
            assert len(await db.fetch("SELECT * FROM careweir_audit.entry")) == 2
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await db.execute(attempt)
        finally:
            await db.close()

    asyncio.run(story())


@asynccontextmanager
async def without_our_roles(url: str, name: str) -> AsyncIterator[str]:
    """The database of a plain owner, on a server that has not seen careweir before."""
    roles = ("careweir_audit_writer", "careweir_audit_reader")
    admin = await asyncpg.connect(url.replace(name, "postgres"))
    asked = "SELECT rolname::text FROM pg_roles WHERE rolname = ANY($1)"
    there = [row[0] for row in await admin.fetch(asked, roles)]
    try:
        for role in there:
            await admin.execute(f"ALTER ROLE {role} RENAME TO {role}_aside")
        await admin.execute("CREATE ROLE plain_owner LOGIN CREATEROLE")
        await admin.execute(f"ALTER DATABASE {name} OWNER TO plain_owner")
        yield url.replace("//postgres:", "//plain_owner:")
    finally:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.execute(f"DROP ROLE IF EXISTS {', '.join(roles)}, plain_owner")
        for role in there:
            await admin.execute(f"ALTER ROLE {role}_aside RENAME TO {role}")
        await admin.close()


def test_an_owner_who_is_no_superuser_is_enough(postgres: Backend) -> None:
    """Who may make a schema and roles; that its maker may not work as a role is new in 16."""
    url = str(postgres.database_url)

    async def story() -> None:
        async with without_our_roles(url, urlsplit(url).path[1:]) as postgres.database_url:
            async with postgres.open() as trail:
                await write_of_each_site(trail)
                assert len(await entries(trail, Query(type="intent", within="north"))) == 1
            report = await asyncio.to_thread(postgres.verify)
            assert report.status == "clean"

    asyncio.run(story())


@pytest.mark.parametrize("poison", ["a\0b", "a\ud800b"])
def test_an_entry_that_no_database_takes_is_refused_alone(backend: Backend, poison: str) -> None:
    def facts(*names: str) -> list[Entry]:
        return [Entry("outcome", disclosure=name, outcome="answered") for name in names]

    async def work() -> None:
        async with backend.open() as trail:
            before = [trail.submit(entry) for entry in facts("d1", "d2")]
            for kind in ("intent", "outcome"):
                with pytest.raises(ValueError, match="an audit entry"):
                    trail.submit(Entry(kind, actor=poison))
            after = [trail.submit(entry) for entry in facts("d3")]
            receipts = await asyncio.gather(*before, *after, trail.append(Entry("read")))
            assert [one.seq for one in receipts] == [2, 3, 4, 5]
            assert await trail.healthy()

    asyncio.run(work())
    assert backend.verify().status == "clean"


def test_a_successor_names_the_chain_before_it(backend: Backend) -> None:
    async def story() -> None:
        async with backend.open() as first:
            receipt = await first.append(Entry("decision"))
        async with backend.open() as second:
            opening = (await entries(second, Query(type="open")))[-1].entry.body
            assert opening["predecessors"][0]["writer"] == receipt.writer  # type: ignore
            assert opening["predecessors"][0]["seq"] == receipt.seq + 1  # type: ignore

    asyncio.run(story())
    assert backend.verify().status == "clean"


def test_writers_side_by_side_keep_a_chain_each(backend: Backend) -> None:
    async def story() -> None:
        async with backend.open("a") as a, backend.open("b") as b:
            work = [t.append(Entry("read", {"n": n})) for n in range(200) for t in (a, b)]
            await asyncio.gather(*work)
            await a.append(intent(1))
            report = await asyncio.to_thread(backend.verify)
            assert (report.status, report.open_intents) == ("clean", 1), report.problems
            await b.append(outcome(1))

    asyncio.run(story())
    report = backend.verify()
    assert (report.status, report.writers) == ("clean", 2)


def test_a_killed_writer_leaves_unknown_outcomes_and_no_gap(backend: Backend) -> None:
    script = """
import asyncio, os, sys
from datetime import UTC, datetime
from pathlib import Path
from careweir.audit import AuditKeys, Entry, open_trail
async def main():
    trail = await open_trail(data_dir=Path(sys.argv[1]), database_url=sys.argv[2] or None,
        replica="gw", keys=AuditKeys(mac=b"m" * 32, patient=b"p" * 32),
        clock=lambda: datetime.now(UTC))
    for n in (1, 2):
        await trail.append(Entry("intent", disclosure=f"dis_{n}", tool="acme-sepsis"))
    await trail.append(Entry("outcome", disclosure="dis_2", outcome="answered"))
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    arguments = [sys.executable, "-c", script, str(backend.data_dir), backend.database_url or ""]
    assert subprocess.run(arguments, env=environment, check=False).returncode == -9

    async def story() -> list[str | None]:
        for _ in range(100):  # the server notices the dead connection a moment later
            async with backend.open() as trail:
                found = await entries(trail, Query(type="outcome", disclosure="dis_1"))
                if found:
                    return [e.entry.outcome for e in found]
                await asyncio.sleep(0.05)
        return []

    assert asyncio.run(story()) == ["unknown"]
    assert backend.verify().status == "clean"


def test_a_month_that_begins_makes_room_for_itself(postgres: Backend) -> None:
    async def story() -> list[str]:
        async with postgres.open() as trail:
            postgres.clock.now = postgres.clock.now.replace(month=12, day=31, hour=23)
            await trail.append(Entry("read"))
            postgres.clock.now = postgres.clock.now.replace(year=2027, month=1, day=1)
            await trail.append(Entry("read"))
        db = await asyncpg.connect(postgres.database_url)
        names = await db.fetch("SELECT DISTINCT tableoid::regclass::text FROM careweir_audit.entry")
        await db.close()
        return sorted(name for (name,) in names)

    assert asyncio.run(story()) == [
        f"careweir_audit.entry_{month}" for month in ("2026_03", "2026_12", "2027_01")
    ]
    assert postgres.verify().status == "clean"


ATTACKS = [
    "UPDATE careweir_audit.entry SET actor = 'x'",
    "DELETE FROM careweir_audit.entry",
    "TRUNCATE careweir_audit.entry",
    "TRUNCATE careweir_audit.entry_2026_03",
    "DELETE FROM careweir_audit.entry_2026_03",
]


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("role", ["careweir_audit_writer", "postgres"])
def test_nobody_changes_or_removes_entries_not_even_the_owner(
    postgres: Backend, attack: str, role: str
) -> None:
    async def story() -> None:
        async with postgres.open() as trail:
            await trail.append(intent())
            await trail.append(outcome())
        db = await asyncpg.connect(postgres.database_url)
        try:
            await db.execute(f"SET ROLE {role}")
            with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.RaiseError)):
                await db.execute(attack)
        finally:
            await db.close()

    asyncio.run(story())
    assert postgres.verify().status == "clean"


@pytest.mark.parametrize(
    ("change", "problem", "seq"),
    [
        ("UPDATE careweir_audit.entry SET body = body || '\\x20' WHERE seq = 3", "body_changed", 3),
        ("UPDATE careweir_audit.entry SET actor = 'x' WHERE seq = 3", "column_mismatch", 3),
        ("UPDATE careweir_audit.entry SET hash = mac WHERE seq = 3", "hash_mismatch", 3),
        ("DELETE FROM careweir_audit.entry WHERE seq = 3", "sequence_gap", 4),
    ],
)
def test_an_owner_that_turns_the_triggers_off_is_caught(
    postgres: Backend, change: str, problem: str, seq: int
) -> None:
    async def story() -> None:
        async with postgres.open() as trail:
            for n in range(5):
                await trail.append(intent(n))
                await trail.append(outcome(n))
        db = await asyncpg.connect(postgres.database_url)
        await db.execute("SET session_replication_role = replica")
        await db.execute(change)
        await db.close()

    asyncio.run(story())
    bad = postgres.verify().first_bad
    assert bad is not None
    assert (bad.problem, bad.seq) == (problem, seq)


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE careweir_audit.entry DISABLE TRIGGER entry_no_change",
        "ALTER TABLE careweir_audit.entry DISABLE ROW LEVEL SECURITY",
        "DROP POLICY entry_of_the_readers_site ON careweir_audit.entry",
        "CREATE POLICY more ON careweir_audit.entry TO careweir_audit_reader USING (true)",
    ],
)
def test_a_guard_that_was_taken_away_is_caught(postgres: Backend, change: str) -> None:
    async def story() -> None:
        async with postgres.open():
            pass
        db = await asyncpg.connect(postgres.database_url)
        await db.execute(change)
        await db.close()

    asyncio.run(story())
    bad = postgres.verify().first_bad
    assert bad is not None
    assert bad.problem == "schema_changed"


def test_a_lost_connection_refuses_intents_and_recovers_without_a_restart(
    postgres: Backend,
) -> None:
    async def story() -> None:
        async with postgres.open() as trail:
            db = await asyncpg.connect(postgres.database_url)
            await db.execute("BEGIN; LOCK TABLE careweir_audit.entry IN SHARE MODE")
            decision = trail.submit(Entry("decision"))
            refused = trail.submit(intent(1))
            waiting = (
                "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT%'"
            )
            while not await db.fetchval(  # noqa: ASYNC110
                f"SELECT pg_terminate_backend(pid) {waiting}"
            ):
                await asyncio.sleep(0.01)
            await db.execute("ROLLBACK")
            with pytest.raises(AuditUnavailable):
                await refused
            assert decision.exception() is not None
            assert await trail.healthy()
            await trail.append(intent(2))
            kinds = [e.entry.type for e in await entries(trail)]
            assert kinds == ["open", "recovered", "decision", "intent"]
            await trail.append(outcome(2))
            await db.close()

    asyncio.run(story())
    assert postgres.verify().status == "clean"


def test_a_newer_schema_is_refused(postgres: Backend) -> None:
    async def story() -> None:
        async with postgres.open():
            pass
        db = await asyncpg.connect(postgres.database_url)
        await db.execute("INSERT INTO careweir_audit.schema_version VALUES (99)")
        await db.close()
        with pytest.raises(ConfigInvalid):
            async with postgres.open():
                pass

    asyncio.run(story())
    assert postgres.verify().status == "incomplete"


def test_a_database_that_does_not_answer_is_unavailable(tmp_path: Path, keys: AuditKeys) -> None:
    backend = Backend(tmp_path, "postgresql://nobody@127.0.0.1:9/none", keys)

    async def story() -> None:
        async with backend.open():
            pass

    with pytest.raises(AuditUnavailable, match="does not answer"):
        asyncio.run(story())
    assert backend.verify().status == "incomplete"
