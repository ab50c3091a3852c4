"""One demo gateway for all end-to-end tests; each test starts with healthy vendors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.running import Served, serving


@pytest.fixture(scope="session")
def running_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("e2e") / "data") as served:
        yield served


@pytest.fixture
def gateway(running_gateway: Served) -> Served:
    running_gateway.heal()
    return running_gateway
