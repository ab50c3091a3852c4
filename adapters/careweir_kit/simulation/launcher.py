"""Start simulated vendors as processes of their own, and end them whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from careweir_kit.strict_yaml import load_mapping

START_DEADLINE_S = 40.0  # two dozen processes on two busy cores
WORDS_BYTES_MAX = 4000
_BEARER = "SIMULATED_VENDOR_BEARER"


class SimulatorFailed(RuntimeError):
    """A simulator that did not come up; the message holds its last words."""


@dataclass(frozen=True, slots=True)
class SimulatorHandle:
    """Where one simulator listens."""

    url: str
    control: str
    pid: int


@asynccontextmanager
async def simulators(
    tool_files: Sequence[Path],
    *,
    seed: int,
    bearers: Mapping[str, str] | None = None,
) -> AsyncIterator[dict[str, SimulatorHandle]]:
    """Run one process for each tool file; yields handles by tool id.

    ``bearers`` maps the name of a tool's secret to the token that its simulator then demands.
    Raises SimulatorFailed when one does not listen within 40 seconds.
    """
    running: list[_Child] = []
    try:
        yield await _all_listening(tool_files, running, seed=seed, bearers=bearers or {})
    finally:
        await _end(running)


@dataclass(frozen=True, slots=True)
class _Child:
    file: Path
    process: asyncio.subprocess.Process
    said: IO[bytes]  # its stderr: a file, because a pipe that nobody reads fills up


async def _all_listening(
    tool_files: Sequence[Path], running: list[_Child], *, seed: int, bearers: Mapping[str, str]
) -> dict[str, SimulatorHandle]:
    try:
        async with asyncio.timeout(START_DEADLINE_S):
            for file in tool_files:
                running.append(await _start(file, seed, bearers))
            return dict(await asyncio.gather(*(_listening(child) for child in running)))
    except TimeoutError:
        raise SimulatorFailed(f"no answer within {START_DEADLINE_S:g} s of starting") from None


async def _start(file: Path, seed: int, bearers: Mapping[str, str]) -> _Child:
    arguments = ["--tool", str(file), "--seed", str(seed), "--end-with-stdin"]
    # The child sees where packages are and nothing else of this process: no secret of ours.
    environment = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    token = bearers.get(_secret_of(file))
    if token is not None:
        environment[_BEARER] = token
        arguments += ["--bearer-env", _BEARER]
    said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with its child
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "careweir_kit.simulation",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=said,
        env=environment,
    )
    return _Child(file, process, said)


def _secret_of(file: Path) -> str:
    auth = load_mapping(file.read_text(encoding="utf-8")).get("auth")
    return str(auth.get("secret") or "") if isinstance(auth, dict) else ""


async def _listening(child: _Child) -> tuple[str, SimulatorHandle]:
    assert child.process.stdout is not None
    line = await child.process.stdout.readline()
    if not line:
        await child.process.wait()
        child.said.seek(0)
        words = child.said.read(WORDS_BYTES_MAX).decode("utf-8", "replace").strip()
        raise SimulatorFailed(f"the simulator of {child.file.name} ended: {words}")
    said = json.loads(line)
    return said["tool"], SimulatorHandle(said["url"], said["control"], child.process.pid)


async def _end(running: Sequence[_Child]) -> None:
    """Terminate every process; one that does not go within a second is killed."""
    for child in running:
        if child.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.process.terminate()
    for child in running:
        try:
            await asyncio.wait_for(child.process.wait(), timeout=1)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                child.process.kill()
            await child.process.wait()
        child.said.close()
