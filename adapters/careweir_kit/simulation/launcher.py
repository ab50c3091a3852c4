"""Start simulated vendors in a process of their own, and end it whatever happens."""

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

from careweir_kit.strict_yaml import YamlRefused, load_mapping

START_DEADLINE_S = 60.0  # only a start that fails takes so long
WORDS_BYTES_MAX = 4000
_BEARERS = "SIMULATED_VENDOR_BEARERS"


class SimulatorFailed(RuntimeError):
    """A simulator that did not come up; the message holds its last words."""


@dataclass(frozen=True, slots=True)
class SimulatorHandle:
    """Where one simulator listens; ``pid`` is of the process that all of them share."""

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
    """Run one process with a port for each tool file; yields handles by tool id.

    ``bearers`` maps the name of a tool's secret to the token that its simulator then demands.
    Raises SimulatorFailed when one does not listen within a minute.
    """
    if not tool_files:
        yield {}
        return
    with tempfile.TemporaryFile() as said:  # its stderr: a pipe that nobody reads fills up
        process = await _start(tool_files, seed, bearers or {}, said)
        try:
            yield await _all_listening(tool_files, process, said)
        finally:
            await _end(process)


async def _all_listening(
    tool_files: Sequence[Path], process: asyncio.subprocess.Process, said: IO[bytes]
) -> dict[str, SimulatorHandle]:
    try:
        async with asyncio.timeout(START_DEADLINE_S):
            return dict([await _listening(process, said) for _ in tool_files])
    except TimeoutError:
        raise SimulatorFailed(f"no answer within {START_DEADLINE_S:g} s of starting") from None


async def _start(
    tool_files: Sequence[Path], seed: int, bearers: Mapping[str, str], said: IO[bytes]
) -> asyncio.subprocess.Process:
    tools = [argument for file in tool_files for argument in ("--tool", str(file))]
    found = (_bearer(file, bearers) for file in tool_files)
    # The child sees where packages are and nothing else of this process: no secret of ours.
    environment = {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        _BEARERS: json.dumps(dict(one for one in found if one is not None)),
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "careweir_kit.simulation", *tools,
        "--seed", str(seed), "--bearers-env", _BEARERS, "--end-with-stdin",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=said,
        env=environment,
    )  # fmt: skip


def _bearer(file: Path, bearers: Mapping[str, str]) -> tuple[str, str] | None:
    """The tool of a file and the token that its simulator demands."""
    try:
        tool = load_mapping(file.read_text(encoding="utf-8"))
    except (OSError, YamlRefused):
        return None  # the simulator will say so
    auth = tool.get("auth")
    token = bearers.get(str(auth.get("secret") or "")) if isinstance(auth, dict) else None
    return None if token is None else (str(tool.get("tool")), token)


async def _listening(
    process: asyncio.subprocess.Process, said: IO[bytes]
) -> tuple[str, SimulatorHandle]:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        await process.wait()
        said.seek(0)
        words = said.read(WORDS_BYTES_MAX).decode("utf-8", "replace").strip()
        raise SimulatorFailed(f"a simulator ended: {words}")
    told = json.loads(line)
    return told["tool"], SimulatorHandle(told["url"], told["control"], process.pid)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Terminate the process; if it does not go within a second it is killed."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
    try:
        await asyncio.wait_for(process.wait(), timeout=1)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
