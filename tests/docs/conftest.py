"""One demo gateway for all transcripts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.running import Served, serving


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("docs") / "data") as served:
        yield served
