"""Which test runs which function: found out once, in a whole run without any fault."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from mutation.mutant import ROOT, Mutant

TESTS = ("tests/policy", "tests/minimise", "tests/gateway/test_scopes.py")
OPTIONS = (
    *("-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", "--tb=no"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # hypothesis is loaded before
)
Place = tuple[str, int]  # file below the repository, first line of the function


@dataclass(frozen=True)
class Seen:
    """``called``: function -> its tests. ``early``: functions that run while tests are imported."""

    called: dict[Place, set[str]]
    durations: dict[str, float]
    early: set[Place]

    def tests_of(self, mutant: Mutant) -> tuple[list[str], bool]:
        """The tests that run the faulty function, quickest first; True: it runs before them.

        What runs at import is in use in every test: then those that run the function themselves,
        or any of its module, come first.
        """
        file, line = str(mutant.file.relative_to(ROOT)), mutant.site.function
        early = line is None or (file, line) in self.early
        near = self.called.get((file, line or 0), set())
        if line is None:
            beside = (tests for place, tests in self.called.items() if place[0] == file)
            near = set().union(*beside)
        found = set(self.durations) if early else near
        return sorted(found, key=lambda one: (one not in near, self.durations.get(one, 0.0))), early

    def as_json(self) -> bytes:
        """To be kept for another run of the same code."""
        called = [[*place, sorted(tests)] for place, tests in sorted(self.called.items())]
        return json.dumps([called, self.durations, sorted(self.early)]).encode()

    @classmethod
    def from_json(cls, body: bytes) -> Seen:
        """The opposite of ``as_json``."""
        called, durations, early = json.loads(body)
        return cls(
            {(file, line): set(tests) for file, line, tests in called},
            durations,
            {(file, line) for file, line in early},
        )


def seen_by_tests() -> Seen:
    """Run all tests once, in a process of its own, and watch."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        watching = _Watching()
        with silence():
            pytest.main([*(one for one in OPTIONS if one != "-x"), *TESTS], plugins=[watching])
        with os.fdopen(writer, "wb") as out:
            out.write(b"" if watching.failed else watching.seen().as_json())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        body = answer.read()
    os.wait()
    if not body:
        raise SystemExit("the tests fail without any fault")
    return Seen.from_json(body)


class _Watching:
    """A pytest plugin that notes which test calls which function, and how long it takes."""

    def __init__(self) -> None:
        self._called: dict[CodeType, set[str]] = {}
        self._durations: dict[str, float] = {}
        self._early: set[CodeType] = set()
        self.failed = False

    def seen(self) -> Seen:
        """What was noted."""
        called: dict[Place, set[str]] = {}
        for code, tests in self._called.items():
            called.setdefault(_place(code), set()).update(tests)
        ours = {place: tests for place, tests in called.items() if not place[0].startswith("/")}
        early = {_place(code) for code in self._early}
        return Seen(ours, self._durations, {one for one in early if not one[0].startswith("/")})

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Iterator[None]:
        """Watch what runs while the tests are imported."""
        with _watched(self._early):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Watch one test, its fixtures included."""
        current: set[CodeType] = set()
        began = time.process_time()
        try:
            with _watched(current):
                return (yield)
        finally:
            self._durations[item.nodeid] = time.process_time() - began
            for code in current:
                self._called.setdefault(code, set()).add(item.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember that something fails without any fault."""
        self.failed = self.failed or report.failed


@contextlib.contextmanager
def _watched(into: set[CodeType]) -> Iterator[None]:
    def watch(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            into.add(frame.f_code)

    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(None)


def _place(code: CodeType) -> Place:
    file = Path(code.co_filename)
    if file.is_relative_to(ROOT):
        return str(file.relative_to(ROOT)), code.co_firstlineno
    return f"/{file}", code.co_firstlineno


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keep what pytest says to itself."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
