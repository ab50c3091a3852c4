"""One demo gateway with results in it, for clients that were not written for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.charts import sepsis
from support.emitted import Emitting
from support.running import Served, serving


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("clients") / "data") as served:
        assert served.ask(sepsis()).status_code == 200
        yield served


@pytest.fixture(scope="session")
def emitted(gateway: Served) -> Emitting:
    """Everything that this gateway says in FHIR, asked for once."""
    found = Emitting(gateway)
    found.all()
    return found
