"""Keys behind a URL rotate without a restart, and an unknown key cannot make us hammer it."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from joserfc.jwk import ECKey

from careweir.api.jwks import AGAIN_S, FRESH_S, FetchedKeys
from careweir_kit.adapter import VendorAnswer, VendorRequest
from careweir_kit.errors import VendorUnavailable


class Server:
    """A transport that serves a key set, or is away."""

    def __init__(self) -> None:
        self.names = ["k1"]
        self.calls = 0
        self.body: bytes | None = None

    async def send(self, url: str, request: VendorRequest, *, bytes_max: int) -> VendorAnswer:
        self.calls += 1
        if not self.names:
            raise VendorUnavailable("away")
        keys = [ECKey.generate_key("P-256", parameters={"kid": name}).as_dict(private=False)
                for name in self.names]  # fmt: skip
        return VendorAnswer(200, {}, self.body or orjson.dumps({"keys": keys}))

    async def close(self) -> None:
        """Nothing is open."""


class Clock:
    """A clock that is moved by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def names(keys: Any, kid: str) -> set[str]:
    found = asyncio.run(keys.current(kid))
    return set() if found is None else {key.kid for key in found.keys}


def test_a_new_key_is_found_and_a_known_one_needs_no_fetch() -> None:
    server, clock = Server(), Clock()
    keys = FetchedKeys(server, "https://ehr.example/keys", monotonic=clock)

    assert names(keys, "k1") == {"k1"}
    assert names(keys, "k1") == {"k1"}
    assert server.calls == 1
    server.names = ["k1", "k2"]
    clock.now += AGAIN_S
    assert names(keys, "k2") == {"k1", "k2"}


def test_unknown_keys_fetch_at_most_once_in_a_while() -> None:
    server, clock = Server(), Clock()
    keys = FetchedKeys(server, "https://ehr.example/keys", monotonic=clock)

    for number in range(50):
        names(keys, f"guess-{number}")

    assert server.calls == 1


def test_old_keys_are_read_again_and_stay_good_while_the_server_is_away() -> None:
    server, clock = Server(), Clock()
    keys = FetchedKeys(server, "https://ehr.example/keys", monotonic=clock)
    names(keys, "k1")

    server.names = []
    clock.now += FRESH_S
    assert names(keys, "k1") == {"k1"}
    assert server.calls == 2
    server.names = ["k9"]
    clock.now += AGAIN_S
    assert names(keys, "k9") == {"k9"}


def test_a_document_that_is_no_key_set_changes_nothing() -> None:
    server, clock = Server(), Clock()
    keys = FetchedKeys(server, "https://ehr.example/keys", monotonic=clock)
    names(keys, "k1")

    for body in (b"<html>", b"[]", b'{"keys": 1}', b'{"keys": [], "keys": []}'):
        server.body = body
        clock.now += FRESH_S
        assert names(keys, "k1") == {"k1"}
