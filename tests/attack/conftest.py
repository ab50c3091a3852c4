"""One demo gateway for the attacks that need a real socket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.running import Served, serving


@pytest.fixture(scope="session")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("attacked") / "data") as served:
        yield served


@pytest.fixture
def gateway(attacked: Served) -> Served:
    """Whoever makes a simulator misbehave heals it again."""
    return attacked
