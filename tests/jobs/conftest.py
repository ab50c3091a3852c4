"""Real gateways in processes that may be killed, before vendors that outlive them."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from careweir.demo.issuer import ISSUER, DemoIssuer
from careweir.wiring.overrides import utc_now
from support.paths import ROOT
from support.postgres import new_database, server  # noqa: F401
from support.running import environment

TOOLS = ("acme-sepsis", "beacon-sepsis")
LEASE_S = 2
START_S = 180  # a busy machine takes its time


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass
class Vendors:
    """Simulated vendors, each a process of its own."""

    urls: dict[str, dict[str, str]]

    def control(self, tool: str, **fault: Any) -> None:
        httpx.post(self.urls[tool]["control"], json=fault, trust_env=False).raise_for_status()

    def calls(self, tool: str) -> int:
        return int(httpx.get(self.urls[tool]["control"], trust_env=False).json()["calls"])

    def received(self, tool: str) -> Any:
        """The body of the last request."""
        return httpx.get(self.urls[tool]["control"], trust_env=False).json()["received"][-1]

    def slow(self, tool: str, latency_ms: int) -> None:
        self.control(tool, fault="off", count=None, latency_ms=latency_ms)


@pytest.fixture(scope="session")
def running_vendors() -> Iterator[Vendors]:
    started: list[subprocess.Popen[bytes]] = []
    urls = {}
    for tool in TOOLS:
        file = ROOT / "policies" / "tools" / f"{tool}.yaml"
        process = subprocess.Popen(
            [sys.executable, "-m", "careweir_kit.simulation", "--tool", str(file), "--seed", "1"],
            stdout=subprocess.PIPE, env=environment(),
        )  # fmt: skip
        assert process.stdout is not None
        started.append(process)
        urls[tool] = json.loads(process.stdout.readline())
    yield Vendors(urls)
    for process in started:
        process.terminate()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def vendors(running_vendors: Vendors) -> Vendors:
    for tool in TOOLS:
        running_vendors.slow(tool, 0)
    return running_vendors


@dataclass
class Replica:
    """One gateway process."""

    process: subprocess.Popen[bytes]
    client: httpx.Client
    tokens: dict[str, str]

    def headers(self, role: str, **more: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[role]}", **more}

    def ask(self, question: dict[str, Any], role: str = "ed-physician", **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(
            "/v1/inferences", json=question, headers=self.headers(role, **named)
        )

    def get(self, path: str, role: str = "ed-physician") -> Any:
        return self.client.get(path, headers=self.headers(role))

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass
class Site:
    """A configuration, a database and the replicas that were started on them."""

    folder: Path
    database_url: str | None
    issuer: DemoIssuer = field(default_factory=lambda: DemoIssuer(audience="careweir"))
    replicas: list[Replica] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> Replica:
        """One more gateway process, listening."""
        number, port = len(self.replicas) + 1, _free_port()
        jwks = self.folder / "jwks.json"
        jwks.write_text(json.dumps(self.issuer.keys().as_dict()))
        settings = {
            "CAREWEIR_TOKEN_ISSUER": ISSUER,
            "CAREWEIR_TOKEN_JWKS": str(jwks),
            "CAREWEIR_REPLICA": f"gateway-{number}",
            "CAREWEIR_KEYS_DIR": str(self.folder / "keys"),
            "CAREWEIR_JOB_LEASE_S": str(LEASE_S),
        } | self.settings
        more = [] if self.database_url is None else ["--database-url", self.database_url]
        data = self.data if self.database_url is None else self.folder / f"data-{number}"
        with (self.folder / f"gateway-{number}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "careweir", "serve", "--port", str(port), "--data",
                 str(data), "--config", str(self.folder / "policies"), *more],
                stderr=log, stdout=log, env=environment() | settings,
            )  # fmt: skip
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False)
        replica = Replica(process, client, self.issuer.tokens(utc_now()))
        self.replicas.append(replica)
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            with suppress(httpx.TransportError):
                if client.get("/readyz").status_code == 200:
                    return replica
            assert process.poll() is None, (self.folder / f"gateway-{number}.log").read_text()
            time.sleep(0.05)
        raise AssertionError("the gateway does not listen")

    def living(self) -> Replica:
        """A replica that nobody has killed; started where there is none."""
        alive = [one for one in self.replicas if one.alive]
        return alive[-1] if alive else self.start()

    def audit(self, *command: str) -> subprocess.CompletedProcess[bytes]:
        """``careweir audit`` on this site's record."""
        place = ["--data", str(self.data)]
        if self.database_url is not None:
            place = ["--database-url", self.database_url]
        return subprocess.run(
            [sys.executable, "-m", "careweir", "audit", *command, *place],
            capture_output=True, check=False,
            env=environment() | {"CAREWEIR_KEYS_DIR": str(self.folder / "keys")},
        )  # fmt: skip

    def records(self, kind: str) -> list[dict[str, Any]]:
        """The entries of one type."""
        found = self.audit("search", "--type", kind, "--limit", "10000")
        assert found.returncode == 0, found.stderr
        return [json.loads(line) for line in found.stdout.splitlines()]

    def stop(self) -> None:
        for replica in self.replicas:
            replica.client.close()
            if replica.process.poll() is None:
                replica.process.send_signal(signal.SIGTERM)
                replica.process.wait(timeout=40)


def _policies(folder: Path, vendors: Vendors) -> None:
    """The shipped policies, with the sepsis tools at the vendors of this test."""
    shutil.copytree(ROOT / "policies", folder)
    for file in (folder / "tools").glob("*.yaml"):
        body = yaml.safe_load(file.read_text()) | {"auth": {"kind": "none"}}
        if file.stem in TOOLS:
            body |= {"endpoints": {"default": vendors.urls[file.stem]["url"]}}
            body |= {"attempts_max": 1, "idempotent": "none", "deadline_ms": 20_000}
        file.write_text(yaml.safe_dump(body))


@pytest.fixture(params=["sqlite", "postgres"], scope="module")
def site(
    request: pytest.FixtureRequest, tmp_path_factory: Any, running_vendors: Vendors
) -> Iterator[Site]:
    """For what the database decides. Its tests share replicas: a start takes seconds of CPU."""
    url = None
    if request.param == "postgres":
        url = asyncio.run(new_database(request.getfixturevalue("server")))
    made = Site(tmp_path_factory.mktemp("site"), url)
    _policies(made.folder / "policies", running_vendors)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def small_site(tmp_path_factory: Any, running_vendors: Vendors) -> Iterator[Site]:
    """For what is decided before any database is asked: SQLite, shared by the tests of a file."""
    made = Site(tmp_path_factory.mktemp("small-site"), None)
    _policies(made.folder / "policies", running_vendors)
    yield made
    made.stop()


def wait_for(done: Any, *, seconds: float = 40) -> Any:
    """Poll until ``done()`` gives something; for what happens in another process."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := done():
            return found
        time.sleep(0.05)
    raise AssertionError(f"nothing within {seconds} s")


def statuses(body: dict[str, Any]) -> dict[str, str]:
    return {row["tool"]: row["status"] for row in body["tools"] if row["mode"] == "live"}


def finished(replica: Replica, location: str) -> Any:
    """The answer, once it is no 202 any more."""

    def done() -> Any:
        got = replica.get(location)
        return got if got.status_code != 202 else None

    return wait_for(done)
