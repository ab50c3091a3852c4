"""The trail as the gateway uses it: order, receipts, failure and recovery."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest

from audit.conftest import Clock, Opener, intent, outcome
from careweir.audit import AuditKeys, AuditTrail, Entry, Query, Stored, open_trail, verify
from careweir.errors import AuditUnavailable, ConfigInvalid


async def entries(trail: AuditTrail, query: Query | None = None) -> list[Stored]:
    return [entry async for entry in trail.read(query or Query())]


async def kinds(trail: AuditTrail) -> list[str]:
    return [stored.entry.type for stored in await entries(trail)]


def test_a_receipt_names_the_place_and_the_hash_of_a_durable_entry(
    opener: Opener, tmp_path: Path
) -> None:
    async def story() -> None:
        async with opener() as trail:
            receipt = await trail.append(intent())
            row = (
                sqlite3.connect(tmp_path / "audit.db")
                .execute("SELECT writer, seq, hex(hash) FROM audit_entry WHERE type = 'intent'")
                .fetchone()
            )
            assert row == (receipt.writer, receipt.seq, receipt.hash.upper())
            assert receipt.writer == trail.writer

    asyncio.run(story())


def test_entries_stand_in_the_order_in_which_they_were_submitted(opener: Opener) -> None:
    async def story() -> None:
        async with opener() as trail:
            futures = [trail.submit(Entry("read", {"n": n})) for n in range(200)]
            receipts = await asyncio.gather(*futures)
            assert [r.seq for r in receipts] == list(range(2, 202))
            read = await entries(trail, Query(type="read"))
            assert [e.entry.body["n"] for e in read] == list(range(200))

    asyncio.run(story())


def test_what_gathers_during_a_commit_shares_the_next_one(opener: Opener) -> None:
    async def story() -> int:
        async with opener() as trail:
            store = trail.store  # type: ignore[attr-defined]
            commits, real = 0, store.commit

            async def counted(rows: object) -> None:
                nonlocal commits
                commits += 1
                await real(rows)

            store.commit = counted
            await asyncio.gather(*(trail.append(intent(n)) for n in range(64)))
            return commits

    assert asyncio.run(story()) <= 2


def test_the_trail_opens_and_closes_with_entries_of_its_own(opener: Opener, tmp_path: Path) -> None:
    async def story() -> None:
        async with opener():
            pass
        async with opener() as second:
            assert await kinds(second) == ["open", "close", "open"]
            opening: Any = (await entries(second))[-1].entry.body["predecessors"]
            assert [head["seq"] for head in opening] == [2]

    asyncio.run(story())


def test_a_closed_trail_takes_nothing(opener: Opener) -> None:
    async def story() -> None:
        async with opener() as trail:
            pass
        with pytest.raises(AuditUnavailable):
            trail.submit(intent())
        assert not await trail.healthy()

    asyncio.run(story())


def test_closing_drains_what_waits(opener: Opener) -> None:
    async def story() -> None:
        async with opener() as trail:
            futures = [trail.submit(outcome(n)) for n in range(50)]
        assert all(future.done() and future.exception() is None for future in futures)

    asyncio.run(story())


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (Query(inference="inf_3"), 2),
        (Query(disclosure="dis_3", type="outcome"), 1),
        (Query(tool="acme-sepsis", type="intent"), 5),
        (Query(actor="dr-1"), 10),
        (Query(outcome="answered", limit=3), 3),
        (Query(actor="nobody"), 0),
        (Query(patient_key="k" * 32), 1),
    ],
)
def test_reading_filters_by_every_fact(opener: Opener, query: Query, found: int) -> None:
    async def story() -> None:
        async with opener() as trail:
            for n in range(5):
                await trail.append(intent(n, **({"patient_key": "k" * 32} if n == 4 else {})))
                await trail.append(outcome(n))
            assert len(await entries(trail, query)) == found

    asyncio.run(story())


def test_reading_by_time_takes_the_start_and_leaves_the_end(opener: Opener, clock: Clock) -> None:
    async def story() -> None:
        async with opener() as trail:
            await trail.append(intent(1))
            since = clock.now
            await trail.append(intent(2))
            await trail.append(intent(3))
            assert len(await entries(trail, Query(since=since))) == 3
            assert len(await entries(trail, Query(since=since, until=clock.now))) == 2

    asyncio.run(story())


def test_pages_by_position_give_each_entry_once_in_both_directions(opener: Opener) -> None:
    async def story() -> None:
        async with opener() as trail:
            await asyncio.gather(*(trail.append(intent(n)) for n in range(1_200)))
            oldest_first = await entries(trail)
            newest_first = await entries(trail, Query(newest_first=True))
            assert oldest_first == newest_first[::-1]
            assert len({e.position for e in oldest_first}) == len(oldest_first) == 1_201
            after = await entries(trail, Query(after=oldest_first[600].position, limit=2))
            assert after == oldest_first[601:603]

    asyncio.run(story())


def test_the_files_are_for_their_owner_only(opener: Opener, tmp_path: Path) -> None:
    async def story() -> list[int]:
        async with opener():
            paths = [tmp_path / f"audit.db{suffix}" for suffix in ("", "-wal", "-shm")]
            return [stat.S_IMODE(path.stat().st_mode) for path in paths]

    assert asyncio.run(story()) == [0o600] * 3
    AuditKeys.load_or_create(tmp_path / "keys")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "keys").iterdir()}
    assert modes == {0o600}


def test_the_database_refuses_to_change_or_remove_an_entry(opener: Opener, tmp_path: Path) -> None:
    async def story() -> None:
        async with opener() as trail:
            await trail.append(intent())

    asyncio.run(story())
    db = sqlite3.connect(tmp_path / "audit.db")
    copied = "SELECT position, writer, 9, prev_hash, hash, mac, body, actor, client, disclosure,"
    copied += " inference, outcome, patient_key, recorded, tool, type,"
    copied += " policy, purpose, site, token FROM audit_entry LIMIT 1"
    for attack in (
        "UPDATE audit_entry SET actor = 'x'",
        "DELETE FROM audit_entry",
        f"INSERT OR REPLACE INTO audit_entry {copied}",
    ):
        with pytest.raises(sqlite3.IntegrityError):
            db.execute(attack)
    db.close()


def test_a_newer_schema_is_refused_and_an_own_one_taken(opener: Opener, tmp_path: Path) -> None:
    async def story() -> None:
        async with opener():
            pass

    asyncio.run(story())
    asyncio.run(story())
    with sqlite3.connect(tmp_path / "audit.db") as db:
        db.execute("INSERT INTO audit_schema VALUES (99)")
    db.close()
    with pytest.raises(ConfigInvalid):
        asyncio.run(story())
    assert verify(data_dir=tmp_path).status == "incomplete"


def test_an_entry_that_is_no_json_is_refused_without_its_content(opener: Opener) -> None:
    async def story() -> None:
        async with opener() as trail:
            with pytest.raises(ValueError, match="not JSON") as caught:
                trail.submit(Entry("read", {"CANARY-1": object()}))  # type: ignore[dict-item]
            assert "CANARY" not in str(caught.value)
            assert caught.value.__cause__ is None

    asyncio.run(story())


def test_a_clock_without_a_zone_is_refused(opener: Opener, keys: AuditKeys, tmp_path: Path) -> None:
    async def story() -> None:
        await open_trail(
            data_dir=tmp_path,
            database_url=None,
            replica="gw",
            keys=keys,
            clock=lambda: Clock().now.replace(tzinfo=None),
        )

    with pytest.raises(ValueError, match="zone"):
        asyncio.run(story())


def test_a_patient_key_is_stable_and_needs_the_key(keys: AuditKeys) -> None:
    other = AuditKeys(mac=b"m" * 32, patient=b"q" * 32)

    assert keys.patient_key("Patient/1") == keys.patient_key("Patient/1")
    assert keys.patient_key("Patient/1") != keys.patient_key("Patient/2")
    assert keys.patient_key("Patient/1") != other.patient_key("Patient/1")
    assert "p" * 32 not in repr(keys)


def test_keys_are_made_once_and_read_afterwards(tmp_path: Path) -> None:
    assert AuditKeys.load(tmp_path / "keys") is None
    made = AuditKeys.load_or_create(tmp_path / "keys")

    assert AuditKeys.load_or_create(tmp_path / "keys") == made == AuditKeys.load(tmp_path / "keys")
    (tmp_path / "keys" / "audit-mac.key").write_bytes(b"short")
    with pytest.raises(ConfigInvalid):
        AuditKeys.load_or_create(tmp_path / "keys")
