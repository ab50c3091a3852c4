"""A trail of schema 1 goes on under this program: what was recorded stays, and still verifies."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest

from audit.conftest import intent, outcome
from audit.test_contract import Backend, backend, entries, postgres, server  # noqa: F401
from careweir.audit import AuditKeys, Entry, Query, postgres_schema, sqlite_schema
from careweir.audit.chain import Chain
from careweir.audit.entry import Encoded, Row
from careweir.audit.merged import count_any, read_any

OLD = ("actor", "client", "disclosure", "inference", "outcome", "patient_key", "recorded", "tool",
       "type")  # fmt: skip
PLACE = ("writer", "seq", "prev_hash", "hash", "mac", "body")
SITE = {"site": "north", "purpose": "TREAT", "token": "tok-1", "policy_revision": "sha256:0a"}


def old_rows(backend: Backend) -> list[Row]:  # noqa: F811
    """A chain as schema 1 had it: an opening and an orderly end."""
    encoded = []
    for kind, what in (("open", {"predecessors": []}), ("refusal", {**SITE}), ("close", {})):
        facts = dict.fromkeys(OLD) | {"recorded": "2026-03-01T08:00:00.000001Z", "type": kind}
        body = orjson.dumps({**facts, "what": what})
        fresh: dict[str, Any] = {name: facts.get(name) for name in Encoded._fields[1:]}
        encoded.append(Encoded(body, **fresh))
    return Chain("gw.0a0a0a0a0a0a0a0a", backend.keys.mac).extend(encoded)


def columns(rows: list[Row]) -> list[tuple[Any, ...]]:
    return [tuple(getattr(row, name) for name in (*PLACE, *OLD)) for row in rows]


def write_old(backend: Backend) -> None:  # noqa: F811
    """Make schema 1 and put the chain in, as a program of that time did."""
    rows, names = columns(old_rows(backend)), ", ".join((*PLACE, *OLD))
    if backend.database_url is None:
        with sqlite3.connect(backend.data_dir / "audit.db") as db:
            for statement in sqlite_schema.STEPS[0]:
                db.execute(statement)
            db.execute("INSERT INTO audit_schema VALUES (1)")
            marks = ", ".join("?" * len(rows[0]))
            db.executemany(f"INSERT INTO audit_entry ({names}) VALUES ({marks})", rows)
        return

    async def write() -> None:
        db = await asyncpg.connect(backend.database_url)
        await db.execute(postgres_schema.STEPS[0])
        await db.execute("INSERT INTO careweir_audit.schema_version VALUES (1)")
        await db.execute("SELECT careweir_audit.make_partition('2026-03-01')")
        marks = ", ".join(f"${n}" for n in range(1, len(rows[0]) + 1))
        insert = f"INSERT INTO careweir_audit.entry ({names}) VALUES ({marks})"
        await db.executemany(insert, rows)
        await db.close()

    asyncio.run(write())


def test_an_old_trail_is_brought_up_to_date_and_verifies(backend: Backend) -> None:  # noqa: F811
    write_old(backend)
    before = backend.verify()
    assert (before.status, before.problems[0].problem) == ("incomplete", "schema_unknown")

    async def story() -> None:
        async with backend.open() as trail:
            await trail.append(intent(1))
            await trail.append(outcome(1))
            found = [e.entry.type for e in await entries(trail)]
            assert found == ["open", "refusal", "close", "open", "intent", "outcome"]

    asyncio.run(story())
    report = backend.verify()
    assert (report.status, report.entries) == ("clean", 7), report.problems


def test_new_facts_are_searchable_on_every_backend(backend: Backend) -> None:  # noqa: F811
    async def story() -> None:
        async with backend.open() as trail:
            for n in range(4):
                body = {**SITE, "site": "north" if n % 2 else "south"}
                facts = {"inference": f"inf_{n}", "disclosure": f"dis_{n}"}
                await trail.append(Entry(
                    "intent", body, actor="dr-1", client="ehr", tool="acme", **facts))  # fmt: skip
            await trail.append(outcome(0, "vendor_timed_out"))
            await trail.append(outcome(1, "answered"))

            async def found(query: Query) -> list[str | None]:
                return [e.entry.disclosure for e in await entries(trail, query)]

            assert await found(Query(site="north")) == ["dis_1", "dis_3"]
            assert await found(Query(token="tok-1", site="south")) == ["dis_0", "dis_2"]
            narrow = Query(policy="sha256:0a", purpose="TREAT", type="intent",
                           inference=("inf_3", "inf_0"))  # fmt: skip
            assert await found(narrow) == ["dis_0", "dis_3"]
            assert await found(Query(purpose="HMARKT")) == []
            assert await found(Query(client=())) == []
            ended = ("vendor_timed_out", "failed")
            assert await found(Query(type="intent", ended=ended)) == ["dis_0"]
            assert await found(Query(type="intent", ended_not=ended)) == ["dis_1"]
            without = Query(type_not=("intent", "outcome"), outcome_not=("x",))
            assert [e.entry.type for e in await entries(trail, without)] == ["open"]
            first = (await entries(trail, Query(site="north")))[0].receipt
            assert await found(Query(writer=first.writer, seq=first.seq)) == ["dis_1"]
            assert await trail.count(Query(site="north")) == 2
            assert await trail.count(Query(site="north", limit=1)) == 1
            both = [Query(site="north"), Query(inference=("inf_3", "inf_2"))]
            merged = await read_any(trail, both, after=None, newest_first=True, limit=2)
            assert [e.entry.disclosure for e in merged] == ["dis_3", "dis_2"]
            assert await count_any(trail, both) == 3
            assert await count_any(trail, []) == 0

    asyncio.run(story())


@pytest.mark.parametrize("name", ["site", "purpose", "token", "policy"])
def test_a_new_column_that_was_changed_is_named(tmp_path: Path, keys: AuditKeys, name: str) -> None:
    held = Backend(tmp_path, None, keys)

    async def story() -> None:
        async with held.open() as trail:
            await trail.append(Entry("refusal", SITE))

    asyncio.run(story())
    for value in ("'elsewhere'", "NULL"):
        with sqlite3.connect(tmp_path / "audit.db") as db:
            trigger = db.execute("SELECT sql FROM sqlite_master WHERE name='audit_no_update'")
            made = trigger.fetchone()[0]
            db.execute("DROP TRIGGER audit_no_update")
            db.execute(f"UPDATE audit_entry SET {name} = {value} WHERE type = 'refusal'")
            db.execute(made)
        bad = held.verify().first_bad
        assert bad is not None
        assert (bad.problem, bad.detail) == ("column_mismatch", name)
