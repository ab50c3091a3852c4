"""An adapter that raises, spins or cannot be imported takes only its own tools down."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from careweir.fanout import Watchdog, ask_all, contained
from careweir.fanout.containment import AdapterHung
from careweir.question import Reply
from careweir_kit.errors import VendorUnavailable
from careweir_kit.registry import discover_adapters
from support.vendors import Book, Format, answered, asked_by, guards_of, prepared


def spin(seconds: float = 30) -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return "came back"


@pytest.fixture
def watchdog() -> Any:
    dog = Watchdog(0.1)
    dog.start()
    yield dog
    dog.stop()


def test_an_adapter_that_spins_is_stopped(watchdog: Watchdog) -> None:
    began = time.monotonic()

    with pytest.raises(AdapterHung):
        watchdog.run("loop", spin)

    assert time.monotonic() - began < 10


def test_one_that_comes_back_in_time_is_left_alone(watchdog: Watchdog) -> None:
    assert watchdog.run("quick", spin, 0.001) == "came back"


def test_nothing_is_raised_outside_of_an_adapter_that_came_back_at_the_last_moment() -> None:
    """The limit is met over and over at about the moment of coming back."""
    dog = Watchdog(0.004)
    dog.start()
    try:
        ends = set()
        for turn in range(300):
            try:
                ends.add(dog.run("edge", spin, 0.003 + turn % 7 * 0.0005))
            except AdapterHung:
                ends.add("stopped")
            for _ in range(200):
                pass  # an exception that came late would be raised here
    finally:
        dog.stop()
    assert "came back" in ends


def test_another_thread_is_not_stopped(watchdog: Watchdog) -> None:
    async def work() -> str:
        return await asyncio.to_thread(watchdog.run, "loop", spin, 0.4)

    assert asyncio.run(work()) == "came back"


@pytest.mark.parametrize("step", ["build_request", "classify_answer", "parse_findings"])
def test_a_tool_whose_adapter_spins_fails_and_is_left_alone_at_once(
    watchdog: Watchdog, step: str
) -> None:
    spinning = SimpleNamespace(
        build_request=Format.build_request,
        classify_answer=Format.classify_answer,
        parse_findings=Format.parse_findings,
    )
    setattr(spinning, step, lambda *_: spin())
    module = contained("loop", cast("Any", spinning), watchdog)

    async def work() -> tuple[list[Reply], list[Reply]]:
        book, guards = Book(), guards_of(asyncio.get_running_loop())
        good = prepared([answered(), answered()], book)
        bad = prepared([answered(), answered()], book)
        bad = replace(
            bad,
            adapter=cast("Any", SimpleNamespace(module=module)),
            tool=bad.tool.model_copy(update={"tool": "bad"}),
        )
        both = [bad, good]
        first = await ask_all(both, asked_by(5, book, guards), strategy="all")
        return first, await ask_all(both, asked_by(5, book, guards), strategy="all")

    first, second = asyncio.run(work())

    assert [reply.status for reply in first] == ["protocol_error", "answered"]
    assert [reply.status for reply in second] == ["circuit_open", "answered"]


def test_an_adapter_that_cannot_be_imported_is_down_and_the_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = "adapter: {}\ntitle: t\nprotocol: p\nsource: s\ncodeowners: [me]\n"
    for name, code in (("sound", "def check_tool(tool): ...\n"), ("broken", "import no_such\n")):
        folder = tmp_path / "some_adapters" / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("")
        (folder / "manifest.yaml").write_text(manifest.format(name))
        (folder / "adapter.py").write_text(code)
    (tmp_path / "some_adapters" / "__init__.py").write_text("")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    found = discover_adapters("some_adapters")

    assert {name: found[name].loads for name in ("sound", "broken")} == {
        "sound": True, "broken": False,
    }  # fmt: skip
    with pytest.raises(VendorUnavailable):
        found["broken"].http.build_request(cast("Any", None), cast("Any", None))
