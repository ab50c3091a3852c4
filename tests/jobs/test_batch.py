"""Many questions at once: one that kills its process, and workers that come, pause and go.

Workers are processes (``worker.py``) on one state; a job is as small as it can be.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from careweir.jobs.runner import TAKES_MAX, Runner
from jobs import worker
from jobs.conftest import wait_for
from support.postgres import new_database, server  # noqa: F401
from support.running import environment

STARTS_MAX = TAKES_MAX + 3


@dataclass
class Batch:
    """The place of a batch, and its workers."""

    folder: Path
    url: str | None
    started: int = 0

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def lines(self, word: str) -> list[str]:
        """The jobs of which workers said this."""
        said = self.results.read_text().splitlines() if self.results.exists() else []
        return [line.split()[1] for line in said if line.split()[0] == word]

    def start(self) -> subprocess.Popen[bytes]:
        self.started += 1
        place = [str(self.folder), self.url or "", str(self.results), f"worker-{self.started}"]
        return subprocess.Popen([sys.executable, worker.__file__, *place], env=environment())

    def with_runner(self, work: Any) -> None:
        """Do something to the list of jobs, as a gateway would."""

        async def main() -> None:
            state = await worker.store(self.folder, self.url)
            await work(Runner(state, owner="test", lease_s=worker.LEASE_S))
            await state.close()

        asyncio.run(main())

    def go(self) -> None:
        """Let workers begin, those of now and those to come."""
        wait_for(lambda: len(self.lines("worker")) == self.started)
        (self.folder / "go").touch()

    def plan(self, names: Iterable[str]) -> None:
        async def work(runner: Runner) -> None:
            for name in names:
                await runner.plan(worker.SORT, name, site=None, after_s=0.0)

        self.with_runner(work)

    def drop(self, names: Iterable[str]) -> None:
        async def work(runner: Runner) -> None:
            for name in names:
                await runner.drop(worker.SORT, name)

        self.with_runner(work)


@pytest.fixture(params=["sqlite", "postgres"])
def batch(request: pytest.FixtureRequest, tmp_path: Path) -> Batch:
    url = None
    if request.param == "postgres":
        url = asyncio.run(new_database(request.getfixturevalue("server")))
    return Batch(tmp_path, url)


@pytest.mark.parametrize("batch", ["sqlite"], indirect=True)
def test_an_item_that_kills_its_process_is_given_up_and_takes_no_other_with_it(
    batch: Batch,
) -> None:
    good = [f"good-{n}" for n in range(6)]
    batch.plan([good[0], "poison", *good[1:]])
    batch.go()

    ends = []
    while not ends or (ends[-1] != 0 and len(ends) < STARTS_MAX):
        ends.append(batch.start().wait(timeout=60))

    assert set(ends[:-1]) == {9}
    assert ends[-1] == 0
    assert batch.lines("lost") == ["poison"]
    assert sorted(batch.lines("done")) == good
    assert Counter(batch.lines("begun"))["poison"] <= TAKES_MAX


def test_a_batch_that_is_paused_cancelled_in_part_and_moved_to_more_workers_ends_once(
    batch: Batch,
) -> None:
    items = [f"item-{n:02}" for n in range(100)]
    batch.plan(items)
    two = [batch.start() for _ in range(2)]
    batch.go()
    wait_for(lambda: len(batch.lines("done")) >= 4)

    for one in two:
        one.terminate()
    assert [one.wait(timeout=30) for one in two] == [0, 0]
    done = batch.lines("done")
    unwanted = [item for item in items if item not in done][-3:]
    batch.drop(unwanted)
    paused = batch.lines("begun")
    four = [batch.start() for _ in range(4)]
    assert [one.wait(timeout=60) for one in four] == [0] * 4

    assert 4 <= len(done) < len(items) - len(unwanted)
    assert sorted(paused) == sorted(done)  # whoever was told to end finished what it had begun
    expected = [item for item in items if item not in unwanted]
    assert sorted(batch.lines("done")) == expected
    assert sorted(batch.lines("begun")) == expected
    assert batch.lines("lost") == []
