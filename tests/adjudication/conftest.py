"""One gateway for all tests, empty again before each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adjudication.world import World, world


@pytest.fixture(scope="session")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("adjudication") / "data") as found:
        yield found


@pytest.fixture
def here(standing: World) -> World:
    standing.forget()
    return standing
