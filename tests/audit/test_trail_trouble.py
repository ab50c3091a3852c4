"""The trail in trouble: disks that are full, writers that die, callers that give up."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from audit.conftest import Opener, intent, outcome
from audit.test_trail import entries, kinds
from careweir.audit import AuditKeys, Entry, Query, verify
from careweir.audit.spool import SPOOL_FILE
from careweir.errors import AuditUnavailable


def test_a_path_that_cannot_be_used_is_unavailable(opener: Opener, tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")

    async def story() -> None:
        async with opener(in_the_way / "data"):
            pass

    with pytest.raises(AuditUnavailable):
        asyncio.run(story())


def test_a_full_disk_refuses_intents_and_recovers_without_a_restart(
    opener: Opener, tmp_path: Path, keys: AuditKeys
) -> None:
    async def story() -> None:
        async with opener() as trail:
            await trail.append(intent(1))
            store = trail.store  # type: ignore[attr-defined]
            store._db.execute("PRAGMA max_page_count = 20")
            trail.submit(Entry("decision", {"filler": "x" * 200_000}))
            with pytest.raises(AuditUnavailable, match="no room"):
                await trail.append(intent(2))
            # The reconnect has no limit: the cause is gone.
            assert await trail.healthy()
            await trail.append(intent(3))
            assert (await kinds(trail))[1:] == ["intent", "recovered", "decision", "intent"]
            recovered = (await entries(trail, Query(type="recovered")))[0].entry.body
            assert recovered["refused"] == 1
            assert recovered["replayed"] == 1
            for n in (1, 3):
                await trail.append(outcome(n))

    asyncio.run(story())
    assert verify(data_dir=tmp_path, keys=keys).status == "clean"


def test_a_decision_is_on_the_record_before_any_later_intent_even_after_a_failure(
    opener: Opener, tmp_path: Path
) -> None:
    async def story() -> None:
        async with opener() as trail:
            away = tmp_path / "away.db"
            (tmp_path / "audit.db").rename(away)
            decision = trail.submit(Entry("decision", inference="inf_1"))
            with pytest.raises(AuditUnavailable, match="not where it was"):
                await decision
            assert not await trail.healthy()
            assert (tmp_path / SPOOL_FILE).exists()

            away.rename(tmp_path / "audit.db")
            await trail.append(intent(1))

            assert await kinds(trail) == ["open", "recovered", "decision", "intent"]
            assert not (tmp_path / SPOOL_FILE).exists()
            assert await trail.healthy()

    asyncio.run(story())


def test_an_outcome_waits_in_the_spool_for_the_next_start(opener: Opener, tmp_path: Path) -> None:
    async def story() -> None:
        async with opener() as trail:
            await trail.append(intent(1))
            (tmp_path / "audit.db").rename(tmp_path / "away.db")
            with pytest.raises(AuditUnavailable):
                await trail.append(outcome(1))
        assert verify(data_dir=tmp_path).status == "incomplete"
        (tmp_path / "away.db").rename(tmp_path / "audit.db")
        async with opener() as second:
            assert await kinds(second) == ["open", "intent", "open", "spooled", "outcome"]

    asyncio.run(story())
    report = verify(data_dir=tmp_path)
    assert (report.status, report.open_intents) == ("clean", 0)


def test_a_spool_is_not_replayed_twice_and_strange_lines_not_at_all(
    opener: Opener, tmp_path: Path
) -> None:
    async def story() -> None:
        async with opener() as trail:
            away = tmp_path / "away.db"
            (tmp_path / "audit.db").rename(away)
            with pytest.raises(AuditUnavailable):
                await trail.append(outcome(1))
            spool = (tmp_path / SPOOL_FILE).read_bytes()
            away.rename(tmp_path / "audit.db")
            assert await trail.healthy()
        # as if the process had died between the commit and the removal of the spool
        forged = spool.replace(b"answered", b"confused")
        (tmp_path / SPOOL_FILE).write_bytes(spool + forged)
        async with opener() as second:
            assert (await kinds(second)).count("outcome") == 1
            note = (await entries(second, Query(type="spooled")))[0].entry.body
            assert note == {"replayed": 0, "rejected": 1}
        assert not (tmp_path / SPOOL_FILE).exists()

    asyncio.run(story())


def test_an_unknown_commit_is_looked_up_before_anything_is_sent(opener: Opener) -> None:
    """The database took the rows, but the answer was lost: nothing is written twice."""

    async def story() -> None:
        async with opener() as trail:
            store = trail.store  # type: ignore[attr-defined]
            real = store.commit

            async def taken_but_lost(rows: object) -> None:
                await real(rows)
                raise AuditUnavailable("the answer was lost")

            store.commit = taken_but_lost
            trail.submit(Entry("decision"))
            with pytest.raises(AuditUnavailable):
                await trail.append(intent(1))
            store.commit = real

            await trail.append(intent(2))

            read = [(e.entry.type, e.entry.outcome) for e in await entries(trail)]
            assert read == [
                ("open", None),
                ("decision", None),
                ("intent", None),
                ("recovered", None),
                ("outcome", "not_sent"),
                ("intent", None),
            ]

    asyncio.run(story())


def test_an_intent_whose_caller_gave_up_is_settled_as_not_sent(opener: Opener) -> None:
    async def story() -> None:
        async with opener() as trail:
            store = trail.store  # type: ignore[attr-defined]
            real, entered, go = store.commit, asyncio.Event(), asyncio.Event()

            async def held(rows: object) -> None:
                entered.set()
                await go.wait()
                await real(rows)

            store.commit = held
            caller = asyncio.create_task(trail.append(intent(1)))
            await entered.wait()
            dropped = trail.submit(intent(2))
            caller.cancel()
            dropped.cancel()
            await asyncio.gather(caller, return_exceptions=True)
            go.set()
            await trail.append(Entry("read"))
            outcomes = await entries(trail, Query(type="outcome"))
            assert [(e.entry.disclosure, e.entry.outcome) for e in outcomes] == [
                ("dis_1", "not_sent")
            ]
            assert not await entries(trail, Query(disclosure="dis_2"))

    asyncio.run(story())


def test_open_intents_of_a_writer_that_was_killed_become_unknown(
    opener: Opener, tmp_path: Path, keys: AuditKeys
) -> None:
    script = f"""
import asyncio, os
from datetime import UTC, datetime
from pathlib import Path
from careweir.audit import AuditKeys, Entry, open_trail
async def main():
    trail = await open_trail(data_dir=Path({str(tmp_path)!r}), database_url=None, replica="gw",
        keys=AuditKeys(mac=b"m" * 32, patient=b"p" * 32), clock=lambda: datetime.now(UTC))
    await trail.append(Entry("intent", disclosure="dis_1", tool="acme-sepsis"))
    await trail.append(Entry("intent", disclosure="dis_2", tool="acme-sepsis"))
    await trail.append(Entry("outcome", disclosure="dis_2", outcome="answered"))
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run([sys.executable, "-c", script], env=environment, check=False)
    assert killed.returncode == -9
    before = verify(data_dir=tmp_path, keys=keys)
    assert (before.status, before.open_intents) == ("incomplete", 1)

    async def story() -> list[tuple[str | None, str | None]]:
        async with opener() as trail:
            found = await entries(trail, Query(type="outcome", disclosure="dis_1"))
            return [(e.entry.outcome, e.entry.tool) for e in found]

    assert asyncio.run(story()) == [("unknown", "acme-sepsis")]
    assert verify(data_dir=tmp_path, keys=keys).status == "clean"


def test_intents_of_a_writer_that_still_runs_are_left_alone(opener: Opener, tmp_path: Path) -> None:
    async def story() -> None:
        async with opener(replica="a") as first:
            await first.append(intent(1))
            async with opener(replica="b") as second:
                assert not await entries(second, Query(type="outcome"))
                report = verify(data_dir=tmp_path)
                assert (report.status, report.open_intents) == ("clean", 1)
            await first.append(outcome(1))

    asyncio.run(story())


def test_too_many_waiting_intents_are_refused_at_once_and_facts_still_taken(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("careweir.audit.trail.WAITING_INTENTS_MAX", 3)

    async def story() -> None:
        async with opener() as trail:
            waiting = [trail.submit(intent(n)) for n in range(3)]
            with pytest.raises(AuditUnavailable, match="too many"):
                trail.submit(intent(4))
            await asyncio.gather(*waiting, trail.submit(outcome(1)))

    asyncio.run(story())


def test_a_file_size_limit_is_survived(opener: Opener, tmp_path: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    async def story() -> None:
        async with opener() as trail:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
            try:
                with pytest.raises(AuditUnavailable):
                    await trail.append(intent(1))
                assert not await trail.healthy()
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            assert await trail.healthy()
            await trail.append(intent(2))
            assert await kinds(trail) == ["open", "recovered", "intent"]

    asyncio.run(story())


def test_a_restored_older_copy_is_not_written_to(opener: Opener, tmp_path: Path) -> None:
    async def story() -> None:
        async with opener() as trail:
            await trail.append(intent(1))
            old = sqlite3.connect(tmp_path / "old.db")
            sqlite3.connect(tmp_path / "audit.db").backup(old)
            old.close()
            await trail.append(outcome(1))
            for suffix in ("-wal", "-shm", ""):
                (tmp_path / f"audit.db{suffix}").unlink()
            shutil.copy(tmp_path / "old.db", tmp_path / "audit.db")

            with pytest.raises(AuditUnavailable):
                await trail.append(intent(2))
            with pytest.raises(AuditUnavailable, match="chain"):
                await trail.append(intent(3))

    asyncio.run(story())
