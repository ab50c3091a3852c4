"""One demo gateway with a small history, and an auditor's session at it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from console.visit import History, session
from support.charts import chest, sepsis
from support.running import serving


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    data = tmp_path_factory.mktemp("console") / "data"
    with serving(data) as gateway:
        gateway.ask(sepsis(), role="scheduler")
        contested = gateway.ask(chest(), role="radiologist").json()["id"]
        gateway.fault("acme-sepsis", "http_503")
        degraded = gateway.ask(sepsis()).json()["id"]
        gateway.heal()
        whole = [gateway.ask(sepsis()).json()["id"] for _ in range(4)][-1]
        base = str(gateway.client.base_url).rstrip("/")
        yield History(gateway, base, sepsis()["subject"], whole, degraded, contested, data)


@pytest.fixture
def auditor(history: History) -> Iterator[httpx.Client]:
    with session(history) as client:
        yield client


@pytest.fixture
def stranger(history: History) -> Iterator[httpx.Client]:
    with session(history, role=None) as client:
        yield client
