"""One gateway with a written history for all tests of the FHIR base."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fhir_api.gateway import Base, serving_base


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Base]:
    with serving_base(tmp_path_factory.mktemp("fhir") / "data") as found:
        yield found
