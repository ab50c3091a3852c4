"""Real vendor servers, each in a virtual environment of its own; only where one is named."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

START_S = 300.0  # a Java server on a busy machine


def python_of(variable: str, *, packages: str) -> Path:
    """The Python that a variable names, or a skip that says what is needed."""
    named = os.environ.get(variable)
    if not named:
        pytest.skip(
            f"set {variable} to the python of a virtual environment with {packages}; "
            "the module says how to make one"
        )
    return Path(named)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def serving(
    command: Sequence[str],
    *,
    health: str | Callable[[], str],
    path: Path,
    log: Path,
    environment: Mapping[str, str],
) -> Iterator[None]:
    """Run a server in a process group of its own until it is healthy; ends the whole group.

    ``health`` is the address to ask, or gives it once it is known, and empty text before.
    """
    with log.open("wb") as said:
        process = subprocess.Popen(
            command,
            cwd=path,
            stdout=said,
            stderr=said,
            env={**environment, "HOME": str(path)},
            start_new_session=True,
        )
    try:
        _wait(health, process)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(health: str | Callable[[], str], process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_S
    with httpx.Client(trust_env=False, timeout=2) as client:
        while time.monotonic() < until:
            assert process.poll() is None, "the server ended before it was healthy"
            url = health if isinstance(health, str) else health()
            try:
                if url and client.get(url).status_code == 200:
                    return
            except httpx.TransportError:
                pass  # it does not listen yet
            time.sleep(0.2)  # a foreign process starts in its own time
    raise AssertionError("the server did not get healthy")
