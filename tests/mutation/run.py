"""``make mutants``: a seeded sample of faults in what decides and minimises, and who notices.

Each fault is made in memory, in a process of its own, and the tests that run the faulty function
are run, the quickest first, until one fails. A fault that no test notices survives, and so does one
that none notices within ``--budget`` seconds of CPU. A test that hangs counts as noticing. Exit 1
below ``--least``.

    python -m mutation.run --count 300 --seed 1 --least 85
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import io
import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from multiprocessing import get_context
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any, NamedTuple

import hypothesis
import msgspec
import orjson
import pydantic
import pytest
import yaml

from mutation.operators import Site, mutated, sites

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"careweir.access": "access", "careweir.minimise": "minimise"}
TESTS = ("tests/policy", "tests/minimise")
OPTIONS = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", "--tb=no"]
OPTIONS += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # hypothesis is loaded before
PRELOADED = (hypothesis, msgspec, orjson, pydantic, yaml)  # so that no child imports them
TIMEOUT_S = 120


class Mutant(NamedTuple):
    """One fault of one module."""

    module: str
    file: Path
    site: Site

    def words(self) -> str:
        """Where and what."""
        return f"{self.file.relative_to(ROOT)}:{self.site.line}: {self.site.fault}"


def main(arguments: Sequence[str]) -> int:
    """Sample, run, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--budget", type=float, default=20.0)
    parser.add_argument("--least", type=float, default=85.0)
    parser.add_argument("--report", type=Path)
    wanted = parser.parse_args(arguments)

    everything = [mutant for package in PACKAGES for mutant in mutants(package)]
    chosen = random.Random(wanted.seed).sample(everything, min(wanted.count, len(everything)))
    seen, durations = covered()
    with get_context("fork").Pool(wanted.jobs) as pool:
        jobs = [(one, tests_of(one, seen, durations), wanted.budget) for one in chosen]
        survivors = []
        for number, (mutant, survived) in enumerate(pool.imap_unordered(_try, jobs), 1):
            if survived:
                survivors.append(mutant.words())
                print(f"survived {mutant.words()}", flush=True)
            if number % 25 == 0:
                print(f"{number} of {len(chosen)}", file=sys.stderr, flush=True)
    score = 100 * (1 - len(survivors) / len(chosen))
    report = {
        "mutants": len(chosen),
        "of": len(everything),
        "seed": wanted.seed,
        "score": round(score, 1),
        "survivors": sorted(survivors),
    }
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} noticed: {score:.1f} %")
    if wanted.report is not None:
        wanted.report.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0 if score >= wanted.least else 1


def mutants(package: str) -> Iterator[Mutant]:
    """Every fault of a package, in a fixed order."""
    folder = ROOT / "gateway" / Path(*package.split("."))
    for file in sorted(folder.glob("*.py")):
        name = package if file.stem == "__init__" else f"{package}.{file.stem}"
        for site in sites(ast.parse(file.read_text(encoding="utf-8"))):
            yield Mutant(name, file, site)


Called = dict[tuple[str, int], set[str]]


class Watching:
    """A pytest plugin that notes which test calls which function, and how long it takes."""

    def __init__(self) -> None:
        self.called: Called = {}
        self.durations: dict[str, float] = {}
        self.failed = False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Watch one test, its fixtures included."""
        current: set[CodeType] = set()

        def watch(frame: FrameType, event: str, argument: Any) -> None:
            if event == "call":
                current.add(frame.f_code)

        began = time.perf_counter()
        sys.setprofile(watch)
        try:
            return (yield)
        finally:
            sys.setprofile(None)
            self.durations[item.nodeid] = time.perf_counter() - began
            for code in current:
                place = (code.co_filename, code.co_firstlineno)
                self.called.setdefault(place, set()).add(item.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember that something fails without any fault."""
        self.failed = self.failed or report.failed


def covered() -> tuple[Called, dict[str, float]]:
    """Function -> tests that call it, and how long each test takes; from one whole run."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        watching = Watching()
        options = [option for option in OPTIONS if option != "-x"]
        with _silence():
            pytest.main([*options, *TESTS], plugins=[watching])
        with os.fdopen(writer, "w", encoding="utf-8") as out:
            rows = [[file, line, sorted(ids)] for (file, line), ids in watching.called.items()]
            json.dump([rows, watching.durations, watching.failed], out)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as answer:
        rows, durations, failed = json.load(answer)
    os.wait()
    if failed:
        raise SystemExit("the tests fail without any fault")
    return {(file, line): set(ids) for file, line, ids in rows}, durations


def tests_of(mutant: Mutant, seen: Called, durations: dict[str, float]) -> list[str]:
    """The tests that run the faulty function, quickest first; all for what runs at import."""
    function = mutant.site.function
    found = set(durations)
    if function is not None:
        found = seen.get((str(mutant.file), function), set())
    return sorted(found, key=lambda one: durations.get(one, 0.0))


class Budget:
    """A pytest plugin that stops after so many seconds of CPU."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def pytest_runtest_logfinish(self, nodeid: str, location: object) -> None:
        """Leave as if all had passed: nobody noticed in time."""
        if time.process_time() > self._seconds:
            os._exit(0)


def _try(job: tuple[Mutant, list[str], float]) -> tuple[Mutant, bool]:
    """Run the tests against one fault: the mutant, and whether it survived."""
    mutant, tests, budget = job
    if not tests:
        return mutant, True
    child = os.fork()
    if child == 0:
        signal.alarm(TIMEOUT_S)
        with _silence():
            sys.meta_path.insert(0, Faulty(mutant))
            code = pytest.main([*OPTIONS, *tests], plugins=[Budget(budget)])
        os._exit(int(code))
    _, status = os.waitpid(child, 0)
    return mutant, os.waitstatus_to_exitcode(status) == 0


class Faulty(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the one module of a mutant with its fault."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Only the faulty module is found here."""
        if fullname != self._mutant.module:
            return None
        folder = [str(self._mutant.file.parent)] if self._mutant.file.stem == "__init__" else None
        return importlib.util.spec_from_file_location(
            fullname, self._mutant.file, loader=self, submodule_search_locations=folder
        )

    def exec_module(self, module: ModuleType) -> None:
        """Run the module with its fault."""
        tree = ast.parse(self._mutant.file.read_text(encoding="utf-8"))
        code = compile(mutated(tree, self._mutant.site), str(self._mutant.file), "exec")
        exec(code, module.__dict__)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
