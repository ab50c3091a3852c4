"""Child processes of a benchmark: started, waited for, measured from outside, and ended."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

START_S = 30.0
_CPUCLOCK_SCHED = 2


class CannotMeasure(RuntimeError):
    """A benchmark that cannot run here; the message says what it needs."""


@dataclass(frozen=True, slots=True)
class Child:
    """A server that listens."""

    base_url: str
    pid: int

    def cpu_s(self) -> float:
        """CPU seconds of the process, all threads, user and system, in nanosecond steps.

        Source: Linux, clock_getcpuclockid(3): the CPU clock of a process is ``(~pid << 3) | 2``.
        /proc/<pid>/stat counts the same in steps of 10 ms.
        """
        return time.clock_gettime((~self.pid << 3) | _CPUCLOCK_SCHED)

    def resident_mb(self) -> float:
        """Resident memory in MB (10^6 bytes)."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
        return int(found.group(1)) * 1024 / 1e6 if found else 0.0


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


@contextmanager
def child(
    arguments: Sequence[str], *, port: int, log: Path, settings: Mapping[str, str]
) -> Iterator[Child]:
    """Run ``python -m …`` until its ``/readyz`` answers, yield it, end it with SIGTERM.

    Raises CannotMeasure when it ends or does not answer within 30 seconds.
    """
    if sys.platform != "linux":
        raise CannotMeasure("the gateway benchmark reads another process's CPU clock: Linux only")
    kept = {name: text for name, text in os.environ.items() if not name.startswith("CAREWEIR_")}
    # The child finds packages where this process does, wherever it was started from.
    environment = kept | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **settings}
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603 - this very interpreter, our own arguments
            [sys.executable, "-m", *arguments],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment,
        )  # fmt: skip
    try:
        base_url = f"http://127.0.0.1:{port}"
        _wait(base_url, process, log)
        yield Child(base_url, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(base_url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            last = log.read_text(encoding="utf-8", errors="replace")[-500:]
            raise CannotMeasure(f"a server under measurement ended: {last}")
        try:
            if httpx.get(f"{base_url}/readyz", trust_env=False, timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.05)
    raise CannotMeasure(f"a server under measurement did not answer within {START_S:g} s")
