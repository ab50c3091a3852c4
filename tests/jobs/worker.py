"""A worker process of the batch tests: it runs jobs until none is open.

``worker.py DATA POSTGRES_URL RESULTS NAME`` writes a line to RESULTS when it can be told to end and
for each job that it begins and ends, two at a time. It begins none before DATA/go is there. A job
whose key begins with ``poison`` kills the process.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from careweir.jobs.runner import KIND, Job, Runner
from careweir.state import State, StateKeys, open_state

LEASE_S = 0.8
WORK_S, POISON_S = 0.05, 0.01
AT_ONCE = 2
SORT = "item"


def told(results: int, *words: str) -> None:
    os.write(results, (" ".join(words) + "\n").encode())


async def store(folder: Path, url: str | None) -> State:
    """The state that all workers share."""
    keys = StateKeys.of({1: b"s" * 32})
    return await open_state(data_dir=folder, database_url=url, keys=keys, clock=_now)


def _now() -> datetime:
    return datetime.now(UTC)


async def main(folder: Path, url: str | None, file: str, name: str) -> None:
    state = await store(folder, url)
    results = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    runner = Runner(state, owner=name, lease_s=LEASE_S, running_max=AT_ONCE)

    async def work(job: Job) -> None:
        told(results, "begun", job.key)
        if job.key.startswith("poison"):
            await asyncio.sleep(POISON_S)
            os._exit(9)
        await asyncio.sleep(WORK_S)
        if job.held() and (await state.put_new("result", job.key, b"done")).stored:
            told(results, "done", job.key)

    async def give_up(job: Job) -> None:
        if (await state.put_new("result", job.key, b"lost")).stored:
            told(results, "lost", job.key)

    end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end.set)
    runner.sort(SORT, work, give_up=give_up)
    told(results, "worker", name)
    while not (folder / "go").exists():  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.02)
    runner.start()
    while not end.is_set() and await state.find(KIND, site=None, tags={"open": "yes"}, limit=1):
        with suppress(TimeoutError):
            await asyncio.wait_for(end.wait(), 0.05)
    await runner.close(drain_s=30)
    await state.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2] or None, sys.argv[3], sys.argv[4]))
