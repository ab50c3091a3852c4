"""Simulators as processes: they start, end with whoever needs them, and say why they cannot."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from careweir_kit.registry import discover_adapters, load_tools
from careweir_kit.simulation.launcher import SimulatorFailed, SimulatorHandle, simulators
from careweir_kit.tool import Tool

TOOLS_DIR = Path(__file__).resolve().parents[2] / "policies" / "tools"
TOOLS = load_tools(TOOLS_DIR, discover_adapters())


@asynccontextmanager
async def _one(tool: Tool) -> AsyncIterator[SimulatorHandle]:
    async with simulators([TOOLS_DIR / f"{tool.tool}.yaml"], seed=1) as handles:
        yield handles[tool.tool]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def _ticks() -> AsyncIterator[None]:
    for _ in range(500):
        await asyncio.sleep(0.01)
        yield


def _alive_child(pid: int) -> bool:
    """Alive and not merely waiting to be reaped."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_simulators_end_with_their_context_even_on_an_error() -> None:
    async def fail() -> int:
        async with _one(TOOLS["acme-sepsis"]) as handle:
            assert _alive(handle.pid)
            raise ZeroDivisionError(handle.pid)

    with pytest.raises(ZeroDivisionError) as raised:
        asyncio.run(fail())

    assert not _alive(raised.value.args[0])


def test_a_simulator_ends_at_once_on_sigterm() -> None:
    async def end() -> float:
        async with _one(TOOLS["acme-sepsis"]) as handle:
            started = time.monotonic()
            os.kill(handle.pid, signal.SIGTERM)
            async with asyncio.timeout(5):
                async for _ in _ticks():
                    if not _alive_child(handle.pid):
                        break
            return time.monotonic() - started

    assert asyncio.run(end()) < 2


def test_a_timeout_of_the_caller_stays_a_timeout() -> None:
    async def give_up() -> None:
        async with _one(TOOLS["acme-sepsis"]):
            raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        asyncio.run(give_up())


def test_a_simulator_does_not_outlive_its_launcher() -> None:
    script = (
        "import asyncio, os, signal, sys; from pathlib import Path\n"
        "from careweir_kit.simulation.launcher import simulators\n"
        "async def main():\n"
        "    async with simulators([Path(sys.argv[1])], seed=1) as handles:\n"
        "        print(next(iter(handles.values())).pid, flush=True)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    environment = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}

    killed = subprocess.run(
        [sys.executable, "-c", script, str(TOOLS_DIR / "acme-sepsis.yaml")],
        capture_output=True,
        env=environment,
        timeout=30,
    )

    assert asyncio.run(_gone(int(killed.stdout)))


async def _gone(pid: int) -> bool:
    async for _ in _ticks():
        if not _alive_child(pid):
            return True
    return False


def test_a_simulator_that_cannot_start_says_why(tmp_path: Path) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text("tool: odd\nadapter: no_such_adapter\nsimulator: {brain: none}\n")

    async def start() -> None:
        async with simulators([file], seed=1):
            pass

    with pytest.raises(SimulatorFailed, match=r"odd\.yaml"):
        asyncio.run(start())
