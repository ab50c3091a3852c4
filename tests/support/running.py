"""A real ``careweir serve --demo`` in a process of its own, with its simulators."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from support.paths import ROOT

START_S = 120.0  # only a start that fails takes so long
SOURCE_ROOTS = os.pathsep.join(str(ROOT / name) for name in ("gateway", "adapters", "fhir"))


def environment() -> dict[str, str]:
    """This process's environment, with the checkout importable and no setting of ours."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CAREWEIR_")}
    return kept | {"PYTHONPATH": SOURCE_ROOTS}


def careweir(*arguments: str, stdin: bytes = b"", timeout: float = 90) -> Any:
    """Run one command to its end; stdout and stderr as bytes."""
    return subprocess.run(
        [sys.executable, "-m", "careweir", *arguments],
        input=stdin,
        capture_output=True,
        env=environment(),
        timeout=timeout,
        check=False,
    )


@dataclass
class Served:
    """A running gateway, and what it said on stderr."""

    client: httpx.Client
    tokens: dict[str, str]
    simulators: dict[str, dict[str, str]]
    data: Path
    stderr: Path
    pid: int

    def ask(self, question: dict[str, Any], role: str = "ed-physician", **more: Any) -> Any:
        """``POST /v1/inferences`` as a role."""
        headers = {"Authorization": f"Bearer {self.tokens[role]}", **more.pop("headers", {})}
        return self.client.post("/v1/inferences", json=question, headers=headers, **more)

    def get(self, path: str, role: str = "auditor", **more: Any) -> Any:
        """A read as a role."""
        headers = {"Authorization": f"Bearer {self.tokens[role]}"}
        return self.client.get(path, headers=headers, **more)

    def fault(self, tool: str, fault: str, **more: Any) -> None:
        """Make a simulator misbehave."""
        self.client.post(
            self.simulators[tool]["control"], json={"fault": fault, **more}
        ).raise_for_status()

    def heal(self) -> None:
        """Make every simulator behave, and let go of tools that are held."""
        for tool in self.simulators:
            self.fault(tool, "off", latency_ms=0)
        operator = {"Authorization": f"Bearer {self.tokens['operator']}"}
        for row in self.get("/v1/tools").json()["tools"]:
            if row["held"]:
                path = f"/v1/tools/{row['tool']}/release"
                self.client.post(path, json={"reason": "drill"}, headers=operator)

    def calls(self) -> dict[str, int]:
        """How often each simulator was called."""
        return {tool: self.seen(tool)["calls"] for tool in self.simulators}

    def seen(self, tool: str) -> Any:
        """What one simulator counted and received."""
        return self.client.get(self.simulators[tool]["control"]).json()


@contextmanager
def serving(data: Path, *more: str, settings: dict[str, str] | None = None) -> Iterator[Served]:
    """Start the demo gateway on a free port, yield it when ready, end it by SIGTERM."""
    data.mkdir(parents=True, exist_ok=True)
    stderr = data.parent / f"{data.name}.stderr"
    with stderr.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "careweir", "serve", "--demo", "--port", "0", "--data",
             str(data), *more],
            stdout=subprocess.DEVNULL, stderr=log, env=environment() | (settings or {}),
        )  # fmt: skip
    try:
        ready = _wait_for(data / "demo.json", process, stderr)
        with httpx.Client(base_url=ready["base_url"], timeout=30, trust_env=False) as client:
            yield Served(client, ready["tokens"], ready["simulators"], data, stderr, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def _wait_for(file: Path, process: subprocess.Popen[bytes], stderr: Path) -> Any:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if file.is_file():
            return json.loads(file.read_bytes())
        assert process.poll() is None, stderr.read_text()
        time.sleep(0.05)
    raise AssertionError(f"not ready within {START_S} s: {stderr.read_text()}")
