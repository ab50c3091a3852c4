"""Trying mutants: one process for each, forked from one that has all tests collected.

A fault in a function is put into the imported module. A fault in what runs at import needs a
process that imports everything anew, and is tried after the others.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import hypothesis
import msgspec
import orjson
import pydantic
import pytest
import yaml
from _pytest.runner import runtestprotocol

from mutation.mutant import Faulty, Mutant, infect
from mutation.watching import OPTIONS, TESTS, silence

TIMEOUT_S = 120
Tell = Callable[[int, bool], None]  # number of a trial, and whether its mutant survived
LOADED = (msgspec, orjson, pydantic, yaml)  # so that no process has to import them


class Trial(NamedTuple):
    """A mutant, the tests that could notice, and whether its code runs before any of them."""

    mutant: Mutant
    tests: list[str]
    early: bool


def survivors_of(
    trials: Sequence[Trial], jobs: int, budget_s: float
) -> Iterator[tuple[Trial, bool]]:
    """Each trial, and whether its mutant survived. In no order."""
    reader, writer = os.pipe()
    for job in range(jobs):
        if os.fork() == 0:
            os.close(reader)
            _work([(n, trials[n]) for n in range(job, len(trials), jobs)], budget_s, writer)
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, encoding="ascii") as answers:
        for line in answers:
            number, survived = line.split()
            yield trials[int(number)], survived == "survived"


def _work(mine: Sequence[tuple[int, Trial]], budget_s: float, writer: int) -> None:
    hypothesis.settings.register_profile(  # one counterexample is enough, it need not be small
        "mutants", phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate), database=None
    )
    hypothesis.settings.load_profile("mutants")

    def tell(number: int, survived: bool) -> None:
        os.write(writer, f"{number} {'survived' if survived else 'noticed'}\n".encode())

    late = [one for one in mine if not one[1].early]
    if os.fork() == 0:
        with silence():
            pytest.main([*OPTIONS, *TESTS], plugins=[_Collected(late, budget_s, tell)])
        os._exit(0)
    os.wait()
    for number, trial in mine:
        if trial.early:
            tell(number, _survives_import(trial, budget_s))


class _Collected:
    """A pytest plugin: instead of running the tests it tries the mutants on them."""

    def __init__(self, trials: Sequence[tuple[int, Trial]], budget_s: float, tell: Tell) -> None:
        self._trials, self._budget_s, self._tell = trials, budget_s, tell

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Every mutant in a fork of this process."""
        items = {item.nodeid: item for item in session.items}
        for number, trial in self._trials:
            tests = [items[name] for name in trial.tests if name in items]
            child = os.fork()
            if child == 0:
                signal.alarm(TIMEOUT_S)
                infect(trial.mutant)
                os._exit(_first_failure(tests, self._budget_s))
            _, status = os.waitpid(child, 0)
            self._tell(number, os.waitstatus_to_exitcode(status) == 0)
        return True


class _Chosen:
    """A pytest plugin: runs some of the tests, in the order in which they are named."""

    def __init__(self, tests: Sequence[str], budget_s: float) -> None:
        self._tests, self._budget_s = tests, budget_s

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Leave with the answer."""
        items = {item.nodeid: item for item in session.items}
        tests = [items[name] for name in self._tests if name in items]
        os._exit(_first_failure(tests, self._budget_s))


def _first_failure(tests: Sequence[pytest.Item], budget_s: float) -> int:
    """1 as soon as a test fails; 0 when all pass or the time is up."""
    until = time.process_time() + budget_s
    for test, following in zip(tests, [*tests[1:], None], strict=True):
        reports = runtestprotocol(test, log=False, nextitem=following)
        if any(report.failed for report in reports):
            return 1
        if time.process_time() > until:
            break
    return 0


def _survives_import(trial: Trial, budget_s: float) -> bool:
    """Run the tests in a process that imports the module with its fault."""
    child = os.fork()
    if child == 0:
        signal.alarm(TIMEOUT_S)
        sys.meta_path.insert(0, Faulty(trial.mutant))
        with silence():
            code = pytest.main([*OPTIONS, *TESTS], plugins=[_Chosen(trial.tests, budget_s)])
        os._exit(int(code))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0
