"""What every backend of the state promises, asked of each: SQLite, and a real PostgreSQL."""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
from datetime import timedelta
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from careweir.errors import ConfigInvalid, StateUnavailable
from careweir.postgres import see_only
from careweir.state import Put, Record, State, StateKeys
from careweir.state.postgres import READER_ROLE, STEPS
from state.conftest import START, Place

CANARY = b"CANARY-patient-value"


def test_a_record_comes_back_as_it_went_in_after_a_restart(place: Place) -> None:
    expires = START + timedelta(hours=24)

    async def story() -> None:
        async with place.open() as state:
            put = await state.put_new("answer", "inf_1", b"body", site="north",
                                      tags={"patient": "ab12", "tool": "acme"},
                                      expires_at=expires)  # fmt: skip
            assert put.stored
        async with place.open() as state:
            found = await state.get("answer", "inf_1")
            assert found == put.record
            assert found is not None
            assert (found.body, found.site, found.created_at) == (b"body", "north", START)
            assert (found.expires_at, dict(found.tags)) == (
                expires, {"patient": "ab12", "tool": "acme"})  # fmt: skip
            assert await state.get("answer", "inf_2") is None
            assert await state.get("other", "inf_1") is None

    asyncio.run(story())


def test_of_many_that_put_the_same_key_exactly_one_stores(place: Place) -> None:
    async def story() -> None:
        async with place.open() as one, place.open() as other:
            puts = await asyncio.gather(
                *(state.put_new("key", "k", str(n).encode())
                  for n in range(20) for state in (one, other))
            )  # fmt: skip
            winners = [put.record for put in puts if put.stored]
            assert len(winners) == 1
            assert {put.record.body for put in puts} == {winners[0].body}

    asyncio.run(story())


def test_a_record_that_cannot_be_stored_fails_alone_among_those_stored_with_it(
    place: Place,
) -> None:
    async def story() -> None:
        async with place.open() as state:
            puts = [state.put_new("key", f"k{n}", b"body", tags={"tool": f"t{n}"})
                    for n in range(20)]  # fmt: skip
            poison = state.put_new("key", "poison", b"body", tags={"tool": "a\ud800b"})
            *stored, failed = await asyncio.gather(*puts, poison, return_exceptions=True)

            assert isinstance(failed, UnicodeEncodeError | StateUnavailable)
            assert [isinstance(one, Put) and one.stored for one in stored] == [True] * 20
            assert len(await state.find("key", site=None, limit=100)) == 20

    asyncio.run(story())


def test_of_many_that_replace_a_version_exactly_one_wins(place: Place) -> None:
    async def add_one(state: State) -> None:
        while True:
            record = await state.get("count", "c")
            assert record is not None
            body = str(int(record.body) + 1).encode()
            if await state.replace(dataclasses.replace(record, body=body)) is not None:
                return

    async def story() -> None:
        async with place.open() as one, place.open() as other:
            await one.put_new("count", "c", b"0")
            await asyncio.gather(*(add_one(state) for _ in range(10) for state in (one, other)))
            assert (await one.get("count", "c")).body == b"20"  # type: ignore[union-attr]

    asyncio.run(story())


def test_a_replaced_record_is_found_by_its_new_tags_only(place: Place) -> None:
    async def story(state: State) -> None:
        put = await state.put_new("conflict", "1", b"", tags={"status": "open", "type": "risk"})
        changed = dataclasses.replace(put.record, tags={"status": "settled", "type": "risk"})
        assert await state.replace(changed) is not None
        assert await state.replace(changed) is None

        assert await state.find("conflict", site=None, tags={"status": "open"}) == []
        (found,) = await state.find("conflict", site=None, tags={"status": "settled"})
        assert dict(found.tags) == {"status": "settled", "type": "risk"}
        both = {"type": "risk", "status": "settled"}
        assert await state.find("conflict", site=None, tags=both) == [found]

    place.run(story)


def test_pages_hold_each_record_once_whatever_is_added_meanwhile(place: Place) -> None:
    async def read(state: State, *, newest_first: bool, add: bool) -> list[str]:
        found: list[Record] = []
        while True:
            page = await state.find(
                "row", site=None, tags={"t": "x"}, limit=3, newest_first=newest_first,
                after=found[-1].cursor if found else None,
            )  # fmt: skip
            found += page
            if len(page) < 3:
                return [record.key for record in found]
            if add:
                place.clock.tick(seconds=1)
                await state.put_new("row", f"late{len(found)}", b"", tags={"t": "x"})

    async def story(state: State) -> None:
        for n in range(10):
            if n % 4 == 0:
                place.clock.tick(seconds=1)  # some share a moment: the key decides
            await state.put_new("row", f"k{n}", b"", tags={"t": "x"})
            await state.put_new("row", f"other{n}", b"", tags={"t": "y"})
        keys = [f"k{n}" for n in range(10)]

        assert await read(state, newest_first=False, add=False) == keys
        assert await read(state, newest_first=True, add=True) == keys[::-1]
        assert len(await state.find("row", site=None, limit=100)) == 23

    place.run(story)


def test_a_site_sees_its_own_records_only(place: Place) -> None:
    async def story(state: State) -> None:
        for n, site in enumerate(("north", "south", None)):
            await state.put_new("row", str(n), b"", site=site, tags={"t": "x"})

        north = await state.find("row", site="north")
        assert [record.key for record in north] == ["0"]
        assert await state.find("row", site="north", tags={"t": "x"}) == north
        assert len(await state.find("row", site=None)) == 3

    place.run(story)


def test_what_has_expired_is_gone_for_all_and_its_key_is_free(place: Place) -> None:
    async def story(state: State) -> None:
        expires = START + timedelta(hours=1)
        first = await state.put_new("key", "k", b"1", tags={"t": "x"}, expires_at=expires)
        await state.put_new("key", "stays", b"1")
        place.clock.tick(minutes=59)
        assert not (await state.put_new("key", "k", b"2", expires_at=expires)).stored

        place.clock.tick(minutes=1)

        assert await state.get("key", "k") is None
        assert await state.find("key", site=None, tags={"t": "x"}) == []
        again = await state.put_new("key", "k", b"3", tags={"t": "y"},
                                    expires_at=place.clock.now + timedelta(hours=1))  # fmt: skip
        assert again.stored
        assert again.record.version != first.record.version
        assert await state.replace(first.record) is None
        assert await state.purge_expired() == 0
        place.clock.tick(hours=1)
        assert await state.purge_expired() == 1
        assert await state.get("key", "stays") is not None
        assert await state.delete("key", "stays")
        assert not await state.delete("key", "stays")

    place.run(story)


def _raw(place: Place) -> bytes:
    if place.database_url is None:
        return b"".join(file.read_bytes() for file in place.data_dir.glob("state.sqlite*"))

    async def dump(url: str) -> bytes:
        db = await asyncpg.connect(url)
        rows = await db.fetch("SELECT key, sealed FROM careweir_state.record")
        await db.close()
        return b"".join(key.encode() + sealed for key, sealed in rows)

    return asyncio.run(dump(place.database_url))


def _execute(place: Place, sql: str) -> None:
    if place.database_url is None:
        db = sqlite3.connect(place.data_dir / "state.sqlite")
        db.execute(sql.replace("careweir_state.", "state_").replace("schema_version", "schema"))
        db.commit()
        db.close()
        return

    async def run(url: str) -> None:
        db = await asyncpg.connect(url)
        await db.execute(sql)
        await db.close()

    asyncio.run(run(place.database_url))


def test_a_body_lies_encrypted_and_opens_with_its_key_only(place: Place) -> None:
    place.run(lambda state: state.put_new("answer", "visible-key", CANARY))

    async def read(keys: StateKeys) -> bytes:
        async with place.open(keys) as state:
            record = await state.get("answer", "visible-key")
            assert record is not None
            return record.body

    assert b"visible-key" in _raw(place)
    assert CANARY not in _raw(place)
    assert asyncio.run(read(place.keys)) == CANARY
    with pytest.raises(StateUnavailable):
        asyncio.run(read(StateKeys.of({1: b"x" * 32})))
    with pytest.raises(StateUnavailable):
        asyncio.run(read(StateKeys.of({2: b"s" * 32})))


def test_a_rotated_key_seals_and_the_old_one_still_opens(place: Place) -> None:
    rotated = StateKeys.of({1: b"s" * 32, 2: b"t" * 32})
    place.run(lambda state: state.put_new("answer", "old", CANARY))

    async def story() -> None:
        async with place.open(rotated) as state:
            old = await state.get("answer", "old")
            assert old is not None
            assert old.body == CANARY
            await state.put_new("answer", "new", CANARY)
        async with place.open(StateKeys.of({2: b"t" * 32})) as state:
            assert (await state.get("answer", "new")).body == CANARY  # type: ignore[union-attr]

    asyncio.run(story())


@pytest.mark.parametrize("change", ["key = 'other'", "site = 'south'"])
def test_a_body_that_was_moved_to_another_record_does_not_open(place: Place, change: str) -> None:
    place.run(lambda state: state.put_new("answer", "mine", CANARY, site="north"))

    _execute(place, f"UPDATE careweir_state.record SET {change}")

    async def story(state: State) -> None:
        key = "other" if "other" in change else "mine"
        with pytest.raises(StateUnavailable, match="changed outside"):
            await state.get("answer", key)

    place.run(story)


async def remember_of_each_site(state: State) -> None:
    for site in ("north", "south", None):
        for number in range(2):
            await state.put_new("answer", f"{site}-{number}", b"body", site=site,
                                tags={"tool": "acme"})  # fmt: skip


def test_a_search_of_one_site_finds_nothing_of_another(place: Place) -> None:
    async def story(state: State) -> None:
        await remember_of_each_site(state)
        for tags in ({}, {"tool": "acme"}):
            for site in ("north", "south", "west"):
                found = await state.find("answer", site=site, tags=tags)
                assert {one.site for one in found} <= {site}
                assert len(found) == (0 if site == "west" else 2)
                assert all(dict(one.tags) == {"tool": "acme"} for one in found)
            assert len(await state.find("answer", site=None, tags=tags)) == 6

    place.run(story)


def test_the_database_itself_shows_a_search_of_one_site_no_other(place: Place) -> None:
    """With no condition at all, as if the program had forgotten it."""
    if place.database_url is None:
        pytest.skip("SQLite has no row security")
    place.run(remember_of_each_site)

    async def story() -> None:
        db = await asyncpg.connect(place.database_url)
        try:
            assert await db.fetchval("SELECT count(*) FROM careweir_state.record") == 6
            async with db.transaction():
                await see_only(db, READER_ROLE, "north")
                for table in ("record", "tag"):
                    keys = await db.fetch(f"SELECT key FROM careweir_state.{table}")
                    assert {row[0] for row in keys} == {"north-0", "north-1"}
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await db.execute("DELETE FROM careweir_state.record")
            assert await db.fetchval("SELECT count(*) FROM careweir_state.tag") == 6
        finally:
            await db.close()

    asyncio.run(story())


def test_an_older_state_is_brought_up_to_date(place: Place) -> None:
    if place.database_url is None:
        place.run(remember_of_each_site)
        _execute(place, "DELETE FROM careweir_state.schema_version WHERE version = 2")
        _execute(place, "INSERT INTO careweir_state.schema_version VALUES (1)")
    else:

        async def as_it_was() -> None:
            db = await asyncpg.connect(place.database_url)
            await db.execute(STEPS[0])
            await db.execute("INSERT INTO careweir_state.schema_version VALUES (1)")
            await db.close()

        asyncio.run(as_it_was())
        place.run(remember_of_each_site)

    async def story(state: State) -> None:
        assert len(await state.find("answer", site="north")) == 2
        assert len(await state.find("answer", site=None)) == 6

    place.run(story)


def test_a_newer_schema_refuses_to_start(place: Place) -> None:
    place.run(lambda state: state.put_new("answer", "a", b""))

    _execute(place, "INSERT INTO careweir_state.schema_version VALUES (99)")

    with pytest.raises(ConfigInvalid, match="schema 99"):
        place.run(lambda state: state.get("answer", "a"))


def test_a_database_that_is_away_fails_clearly_and_is_used_again_when_back(place: Place) -> None:
    file = place.data_dir / "state.sqlite"
    if place.database_url is None:
        file.write_bytes(b"no database at all" * 100)
        mend = file.unlink
    else:
        parts = urlsplit(place.database_url)
        name, server_url = parts.path[1:], urlunsplit(parts._replace(path="/postgres"))
        _rename(server_url, name, "hidden")
        mend = partial(_rename, server_url, "hidden", name)

    async def story(state: State) -> None:
        with pytest.raises(StateUnavailable):
            await state.put_new("answer", "a", b"")
        await asyncio.to_thread(mend)
        assert (await state.put_new("answer", "a", b"")).stored
        assert await state.find("answer", site=None) != []

    place.run(story)


def _rename(url: str, old: str, new: str) -> None:
    async def run() -> None:
        db = await asyncpg.connect(url)
        await db.execute(f"ALTER DATABASE {old} RENAME TO {new}")
        await db.close()

    asyncio.run(run())


def test_the_database_tells_the_time(place: Place) -> None:
    async def story(state: State) -> None:
        first, second = await state.now(), await state.now()
        assert first.tzinfo is not None
        assert first <= second

    place.run(story)


def test_names_that_are_no_names_are_refused(place: Place) -> None:
    async def story(state: State) -> None:
        for kind, key, tags in (("Bad Kind", "k", {}), ("kind", "", {}), ("kind", "k" * 201, {}),
                                ("kind", "k", {"t": "v" * 201})):  # fmt: skip
            with pytest.raises(ValueError, match=r"limits|short"):
                await state.put_new(kind, key, b"", tags=tags)
        with pytest.raises(ValueError, match="500"):
            await state.find("kind", site=None, limit=501)

    place.run(story)


def test_keys_are_made_once_and_the_greatest_number_seals(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    first = StateKeys.load_or_create(folder)
    sealed = first.seal(b"body", kind="a", key="b", site=None)

    (folder / "state-7.key").write_bytes(b"7" * 32)
    second = StateKeys.load_or_create(folder)

    assert (folder / "state-1.key").stat().st_mode & 0o077 == 0
    assert second.open(sealed, kind="a", key="b", site=None) == b"body"
    assert second.seal(b"", kind="a", key="b", site=None)[1:5] == (7).to_bytes(4, "big")
    with pytest.raises(ConfigInvalid):
        StateKeys.of({1: b"short"})
