"""Start simulated vendors as processes of their own, and end them whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from careweir_kit.strict_yaml import load_mapping

START_DEADLINE_S = 20.0
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
    Raises SimulatorFailed when one does not listen within 20 seconds.
    """
    processes: list[asyncio.subprocess.Process] = []
    try:
        async with asyncio.timeout(START_DEADLINE_S):
            for file in tool_files:
                processes.append(await _start(file, seed, bearers or {}))
            handles = await asyncio.gather(
                *(_listening(file, one) for file, one in zip(tool_files, processes, strict=True))
            )
        yield dict(handles)
    except TimeoutError:
        if any(process.returncode is None for process in processes):
            raise SimulatorFailed(f"no answer within {START_DEADLINE_S:g} s of starting") from None
        raise
    finally:
        await _end(processes)


async def _start(file: Path, seed: int, bearers: Mapping[str, str]) -> asyncio.subprocess.Process:
    arguments = ["--tool", str(file), "--seed", str(seed)]
    # The child sees where packages are and nothing else of this process: no secret of ours.
    environment = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    token = bearers.get(_secret_of(file))
    if token is not None:
        environment[_BEARER] = token
        arguments += ["--bearer-env", _BEARER]
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "careweir_kit.simulation",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )


def _secret_of(file: Path) -> str:
    auth = load_mapping(file.read_text(encoding="utf-8")).get("auth")
    return str(auth.get("secret") or "") if isinstance(auth, dict) else ""


async def _listening(
    file: Path, process: asyncio.subprocess.Process
) -> tuple[str, SimulatorHandle]:
    assert process.stdout is not None
    assert process.stderr is not None
    line = await process.stdout.readline()
    if not line:
        words = (await process.stderr.read(4000)).decode("utf-8", "replace").strip()
        raise SimulatorFailed(f"the simulator of {file.name} ended: {words}")
    said = json.loads(line)
    return said["tool"], SimulatorHandle(said["url"], said["control"], process.pid)


async def _end(processes: Sequence[asyncio.subprocess.Process]) -> None:
    """Terminate every process; one that does not go within a second is killed."""
    for process in processes:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
    for process in processes:
        try:
            await asyncio.wait_for(process.wait(), timeout=1)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
