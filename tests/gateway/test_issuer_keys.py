"""The issuer's keys rotate without a restart: in a file, behind a URL, and where discovery says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from careweir.api.auth import TokenRules, TokenVerifier
from careweir.api.jwks import (
    AGAIN_S,
    DISCOVERY,
    FRESH_S,
    LOOK_S,
    STALE_MAX_S,
    DiscoveredKeys,
    FetchedKeys,
    FileKeys,
    Keys,
)
from careweir.app import build_app
from careweir.errors import ConfigInvalid, KeysUnavailable, NotAuthenticated
from careweir.fanout import VendorPool
from careweir.settings import Settings
from careweir.wiring.house import load_house
from careweir.wiring.overrides import Overrides
from careweir.wiring.tokens import token_rules

ISSUER = "https://id.example"
NAMES = ("k1", "k2", "k3")
KEYS = {name: ECKey.generate_key("P-256", {"kid": name}, private=True) for name in NAMES}


def bearer(kid: str, **changes: Any) -> str:
    now = int(datetime.now(UTC).timestamp())
    claims = {
        "iss": ISSUER, "aud": "careweir", "sub": "Practitioner/7", "client_id": "ehr", "iat": now,
        "exp": now + 300, "scope": "capability/*.infer", "role": "ed-physician",
    } | changes  # fmt: skip
    header = {"alg": "ES256", "kid": kid}
    return f"Bearer {jwt.encode(header, claims, KEYS[kid], algorithms=['ES256'])}"


def jwks(*names: str) -> bytes:
    return json.dumps({"keys": [KEYS[name].as_dict(private=False) for name in names]}).encode()


class Clock:
    """Moved by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Provider:
    """A real HTTP server with documents by path; None: the server fails."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.documents: dict[str, bytes | None] = {}
        self.asked: list[str] = []
        self.location: str | None = None

    def count(self, path: str) -> int:
        return self.asked.count(path)


@contextmanager
def provider() -> Iterator[Provider]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            body = found.documents.get(self.path)
            self.send_response(302 if found.location else 200 if body else 500)
            if found.location:
                self.send_header("Location", found.location)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *_arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Provider(f"http://127.0.0.1:{server.server_port}")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def told(keys: Callable[[], Keys], work: Callable[[TokenVerifier], Any]) -> None:
    """Run work with a verifier over keys that are made on its own event loop."""

    async def run() -> None:
        verifier = TokenVerifier(
            TokenRules(ISSUER, "careweir", keys(), 3600), clock=lambda: datetime.now(UTC)
        )
        try:
            await work(verifier)
        finally:
            await verifier.close()

    asyncio.run(asyncio.wait_for(run(), 30))


async def holds(verifier: TokenVerifier, kid: str) -> bool:
    try:
        return (await verifier.actor(bearer(kid))).client == "ehr"
    except NotAuthenticated:
        return False


def test_keys_behind_a_url_come_and_go(tmp_path: Path) -> None:
    clock = Clock()
    with provider() as issuer:
        issuer.documents["/keys"] = jwks("k1")

        async def work(verifier: TokenVerifier) -> None:
            old = bearer("k1")
            assert (await verifier.actor(old)).client == "ehr"
            issuer.documents["/keys"] = jwks("k1", "k2")  # the next key is announced
            assert not await holds(verifier, "k2")  # asked for a moment ago
            clock.now += AGAIN_S
            assert await holds(verifier, "k2")

            issuer.documents["/keys"] = jwks("k2")  # the old one is taken away
            clock.now += FRESH_S
            assert await holds(verifier, "k2")  # and is read again behind this
            await _until_refused(verifier, old)

        told(
            lambda: FetchedKeys(VendorPool(headers={}), f"{issuer.url}/keys", monotonic=clock), work
        )


async def _until_refused(verifier: TokenVerifier, header: str) -> None:
    """A token whose signature held before does not once its key is gone."""
    for _ in range(500):
        try:
            await verifier.actor(header)
        except NotAuthenticated:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("a key that is gone still lets in")


def test_guessed_keys_ask_the_issuer_at_most_once_in_a_while() -> None:
    clock = Clock()
    with provider() as issuer:
        issuer.documents["/keys"] = jwks("k1")

        async def work(verifier: TokenVerifier) -> None:
            assert await holds(verifier, "k1")
            clock.now += AGAIN_S
            assert not any(await asyncio.gather(*[holds(verifier, "k3") for _ in range(50)]))
            assert issuer.count("/keys") == 2

        told(
            lambda: FetchedKeys(VendorPool(headers={}), f"{issuer.url}/keys", monotonic=clock), work
        )


def test_known_keys_outlive_an_outage_but_not_for_ever() -> None:
    clock = Clock()
    with provider() as issuer:
        issuer.documents["/keys"] = jwks("k1")

        async def work(verifier: TokenVerifier) -> None:
            assert await holds(verifier, "k1")
            issuer.documents.clear()
            clock.now += STALE_MAX_S - 1
            assert await holds(verifier, "k1")
            clock.now += 1 + AGAIN_S
            with pytest.raises(KeysUnavailable):
                await verifier.actor(bearer("k1"))
            issuer.documents["/keys"] = jwks("k1")
            clock.now += AGAIN_S
            assert await holds(verifier, "k1")

        told(
            lambda: FetchedKeys(VendorPool(headers={}), f"{issuer.url}/keys", monotonic=clock), work
        )


@pytest.mark.parametrize("spoilt", ["redirect", "huge", "html", "duplicate"])
def test_an_answer_that_is_no_key_set_is_none(spoilt: str) -> None:
    with provider() as issuer:
        good = jwks("k1")
        bodies = {"huge": good + b" " * 70_000, "html": b"<html>", "redirect": good,
                  "duplicate": good[:-1] + b', "keys": []}'}  # fmt: skip
        issuer.documents["/keys"] = bodies[spoilt]
        issuer.documents["/other"] = good
        issuer.location = f"{issuer.url}/other" if spoilt == "redirect" else None

        async def work(verifier: TokenVerifier) -> None:
            with pytest.raises(KeysUnavailable):
                await verifier.actor(bearer("k1"))
            assert issuer.asked == ["/keys"]

        told(lambda: FetchedKeys(VendorPool(headers={}), f"{issuer.url}/keys"), work)


def discovered(at: Provider, **changes: Any) -> None:
    document = {"issuer": at.url, "jwks_uri": f"{at.url}/realm/certs"} | changes
    at.documents |= {
        DISCOVERY: json.dumps(document).encode(),
        "/realm/certs": jwks("k1"),
        "/stolen": jwks("k1"),
    }


def test_an_issuer_says_itself_where_its_keys_are() -> None:
    with provider() as issuer:
        discovered(issuer)

        async def work(verifier: TokenVerifier) -> None:
            assert await holds(verifier, "k1")

        told(lambda: DiscoveredKeys(VendorPool(headers={}), issuer.url), work)
        assert issuer.asked == [DISCOVERY, "/realm/certs"]


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "http://evil.example/keys"},
        {"jwks_uri": "https://169.254.169.254/latest/meta-data"},
        {"jwks_uri": "https://10.0.0.7/keys"},
        {"jwks_uri": "https://[::1]/keys"},
        {"jwks_uri": "https://user:pass@evil.example/keys"},
    ],
)
def test_a_discovery_document_that_is_not_the_issuers_own_leads_nowhere(
    changes: dict[str, Any],
) -> None:
    with provider() as issuer:
        discovered(issuer, **changes)

        async def work(verifier: TokenVerifier) -> None:
            with pytest.raises(KeysUnavailable):
                await verifier.actor(bearer("k1"))

        told(lambda: DiscoveredKeys(VendorPool(headers={}), issuer.url), work)
        assert issuer.asked == [DISCOVERY]


def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file, clock = tmp_path / "jwks.json", Clock()
    file.write_bytes(jwks("k1"))

    async def work(verifier: TokenVerifier) -> None:
        assert await holds(verifier, "k1")
        assert not await holds(verifier, "k2")
        file.write_bytes(jwks("k2", "k3"))
        clock.now += LOOK_S
        assert await holds(verifier, "k2")
        assert not await holds(verifier, "k1")

    told(lambda: FileKeys(file, setting="S", monotonic=clock), work)


def test_a_file_that_is_half_written_or_away_changes_nothing(tmp_path: Path) -> None:
    file, clock = tmp_path / "jwks.json", Clock()
    file.write_bytes(jwks("k1"))

    async def work(verifier: TokenVerifier) -> None:
        for spoil in (lambda: file.write_bytes(jwks("k2")[:-9]), file.unlink):
            spoil()
            clock.now += LOOK_S
            assert await holds(verifier, "k1")

    told(lambda: FileKeys(file, setting="S", monotonic=clock), work)
    with pytest.raises(ConfigInvalid):
        FileKeys(file, setting="S")


@pytest.mark.parametrize(
    "changes",
    [
        {"token_jwks": "http://id.example/keys"},
        {"token_jwks": "ftp://id.example/keys"},
        {"token_jwks": "https://user:pass@id.example/keys"},
        {"token_jwks": "nowhere.json"},
        {"token_jwks": "discover", "token_issuer": "urn:issuer"},
        {"token_jwks": "discover", "token_issuer": "http://id.example"},
    ],
)
def test_what_cannot_be_an_issuer_is_refused_at_the_start(changes: dict[str, Any]) -> None:
    given: dict[str, Any] = {"token_issuer": ISSUER, "token_jwks": "discover"}
    assert token_rules(Settings(**given)) is not None
    with pytest.raises(ConfigInvalid):
        token_rules(Settings(**given | changes))


def test_a_gateway_waits_for_its_issuer_and_then_knows_who_asks(tmp_path: Path) -> None:
    with provider() as issuer:
        settings = Settings(
            data=tmp_path, token_issuer=ISSUER, token_jwks=f"{issuer.url}/keys", results_kept_s=0
        )
        secrets = {n: "s" for tool in load_house(None).tools.values() for n in tool.auth.secrets}

        async def work() -> list[httpx.Response]:
            app = build_app(settings, Overrides(secrets=secrets))
            transport = httpx.ASGITransport(app)
            async with (
                app.router.lifespan_context(app),
                httpx.AsyncClient(transport=transport, base_url="http://gw") as client,
            ):
                headers = {"Authorization": bearer("k1")}
                before = await client.get("/v1/capabilities", headers=headers)
                issuer.documents["/keys"] = jwks("k1")
                app.state.services.verifier._keys._tried_at -= AGAIN_S
                return [before, await client.get("/v1/capabilities", headers=headers)]

        before, after = asyncio.run(asyncio.wait_for(work(), 60))

    assert (before.status_code, before.json()["code"]) == (503, "keys_unavailable")
    assert before.headers["Retry-After"] == "30"
    assert after.status_code == 200
