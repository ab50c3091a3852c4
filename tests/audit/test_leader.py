"""Two replicas on one PostgreSQL: the leader is killed, the other seals on, and nothing forks."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import asyncpg

from audit.test_contract import Backend, postgres, server  # noqa: F401
from audit.test_kill import KEYS, LOAD
from careweir.audit import verify
from careweir.audit.note import open_note

SEALING_S = 15.0  # 5 s are promised of a machine that is not busy with the whole suite
KEY = KEYS.public()
SEALS = "SELECT start, size, note FROM careweir_audit.seal ORDER BY start"


def start(url: str, folder: Path, name: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    (folder / name).mkdir()
    program = LOAD.replace('replica="gw"', f'replica="{name}"')
    arguments = [str(folder / name), url, str(folder / f"{name}.vendor")]
    return subprocess.Popen([sys.executable, "-c", program, *arguments], env=environment)


async def sealed(db: Any, past: int) -> int:
    """Wait until the tree is larger than that; its size."""
    while True:
        size = await db.fetchval("SELECT coalesce(max(size), 0) FROM careweir_audit.seal")
        if size > past:
            return int(size)
        await asyncio.sleep(0.05)


def test_sealing_goes_on_when_the_leader_is_killed(
    postgres: Backend,  # noqa: F811
    tmp_path: Path,
) -> None:
    url = postgres.database_url
    assert url is not None

    async def story() -> float:
        first = start(url, tmp_path, "one")
        second = None
        try:
            async with asyncio.timeout(30):
                db = await _connected(url)
                size = await sealed(db, 0)  # the first one leads: it is alone
                second = start(url, tmp_path, "two")
                while not await db.fetchval(  # noqa: ASYNC110 - another process writes
                    "SELECT count(*) FROM careweir_audit.entry WHERE writer LIKE 'two.%'"
                ):
                    await asyncio.sleep(0.05)
                size = await sealed(db, size)
            first.kill()
            first.wait()
            killed = time.monotonic()
            size = await db.fetchval("SELECT max(size) FROM careweir_audit.seal")
            async with asyncio.timeout(30):
                await sealed(db, size)
            took = time.monotonic() - killed
            await sealed(db, size + 1)
            await db.close()
            return took
        finally:
            for process in (first, second):
                if process is not None:
                    process.kill()
                    process.wait()

    took = asyncio.run(story())

    assert took < SEALING_S
    report = verify(database_url=url, keys=KEYS)
    assert report.status in ("clean", "incomplete"), report.problems
    assert {p.problem for p in report.problems} <= {"intent_without_outcome"}
    asyncio.run(_no_fork(url))
    for name in ("one", "two"):
        assert (tmp_path / f"{name}.vendor").stat().st_size > 0


async def _connected(url: str) -> Any:
    while True:
        db = await asyncpg.connect(url)
        if await db.fetchval("SELECT to_regclass('careweir_audit.seal')") is not None:
            return db
        await db.close()
        await asyncio.sleep(0.05)


async def _no_fork(url: str) -> None:
    """Every seal begins where the one before it ended, and each checkpoint is signed."""
    db = await asyncpg.connect(url)
    end = 0
    for begin, size, note in await db.fetch(SEALS):
        assert begin == end
        assert open_note(note, KEY).size == size
        end = size
    await db.close()
