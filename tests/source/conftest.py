"""A FHIR server for each module, without and with tokens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from joserfc.jwk import ECKey, KeySet, RSAKey

from source.pulling import KEYS
from source.server import Server, serving


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Without tokens."""
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """Only with a token of its own token endpoint."""
    public = [
        (ECKey if key["kty"] == "EC" else RSAKey).import_key(key).as_dict(private=False)
        for key in KEYS.values()
    ]
    with serving(keys=KeySet.import_key_set({"keys": public})) as running:
        yield running
