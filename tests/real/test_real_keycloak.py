"""Tokens of a real Keycloak, with the realm of the docs. Opt-in: a minute, 170 MB, Java 17.

    mvn org.apache.maven.plugins:maven-dependency-plugin:3.6.1:get -Dtransitive=false \\
        -Dartifact=org.keycloak:keycloak-quarkus-dist:26.0.7:zip
    unzip ~/.m2/repository/org/keycloak/keycloak-quarkus-dist/26.0.7/*.zip
    CAREWEIR_REAL_KEYCLOAK=$PWD/keycloak-26.0.7 pytest tests/real/test_real_keycloak.py

The realm is changed in two ways for the test: the engine's key is given instead of its address, and
a person with a password may ask for a token directly.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from careweir.access import Actor
from careweir.api.auth import TokenVerifier
from careweir.api.jwks import AGAIN_S
from careweir.errors import NotAuthenticated
from careweir.ids import new_id
from careweir.settings import Settings
from careweir.wiring.tokens import token_rules
from support.paths import ROOT
from support.real_server import free_port, serving

KEY = ECKey.generate_key("P-384", {"kid": "engine-1"}, private=True)
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ADMIN = ("admin", "admin-of-a-test")


def realm() -> dict[str, Any]:
    """The realm of the docs, as the test can use it."""
    found: dict[str, Any] = json.loads((ROOT / "docs/examples/keycloak-realm.json").read_bytes())
    engine, portal = found["clients"]
    public = {**KEY.as_dict(private=False), "use": "sig", "alg": "ES384"}
    engine["attributes"] |= {"use.jwks.url": "false", "use.jwks.string": "true",
                             "jwks.string": json.dumps({"keys": [public]})}  # fmt: skip
    portal["directAccessGrantsEnabled"] = True
    attributes = {"careweir_role": ["auditor"], "careweir_purposes": ["HCOMPL", "TREAT"],
                  "careweir_site": ["north"]}  # fmt: skip
    person = {"username": "ada", "enabled": True, "email": "ada@example.org", "firstName": "Ada",
              "lastName": "Example", "emailVerified": True, "attributes": attributes,
              "credentials": [{"type": "password", "value": "a-test"}]}  # fmt: skip
    return found | {"users": [person]}


@dataclass(frozen=True)
class Keycloak:
    """A running one, its admin's token and what a gateway needs to know of it."""

    url: str
    http: httpx.Client

    @property
    def issuer(self) -> str:
        return f"{self.url}/realms/hospital"

    def token(self, **form: str) -> Any:
        """The body of a request for a token; a failure is shown as it is."""
        answer = self.http.post(f"{self.issuer}/protocol/openid-connect/token", data=form)
        return answer.json()

    def engine(self) -> str:
        """A token for the engine, asked for by SMART Backend Services."""
        now = int(datetime.now(UTC).timestamp())
        claims = {"iss": "integration-engine", "sub": "integration-engine", "iat": now,
                  "aud": f"{self.issuer}/protocol/openid-connect/token", "exp": now + 60,
                  "jti": new_id("jti")}  # fmt: skip
        head = {"alg": "ES384", "kid": "engine-1", "typ": "JWT"}
        signed = jwt.encode(head, claims, KEY, algorithms=["ES384"])
        given = self.token(grant_type="client_credentials", client_assertion_type=ASSERTION,
                           client_assertion=signed)  # fmt: skip
        return str(given["access_token"])

    def person(self, **more: str) -> dict[str, str]:
        """Tokens for a person."""
        found: dict[str, str] = self.token(
            grant_type="password", client_id="ehr-portal", username="ada", password="a-test", **more
        )
        return found

    def rotate(self) -> None:
        """A new signing key with a higher priority; the old one stays for a while."""
        admin = self.http.post(
            f"{self.url}/realms/master/protocol/openid-connect/token",
            data={"grant_type": "password", "client_id": "admin-cli", "username": ADMIN[0],
                  "password": ADMIN[1]},
        ).json()["access_token"]  # fmt: skip
        key = {"name": "next", "providerId": "ecdsa-generated",
               "providerType": "org.keycloak.keys.KeyProvider",
               "config": {"priority": ["200"], "enabled": ["true"], "active": ["true"],
                          "ecdsaEllipticCurveKey": ["P-256"]}}  # fmt: skip
        self.http.post(
            f"{self.url}/admin/realms/hospital/components", json=key,
            headers={"Authorization": f"Bearer {admin}"},
        ).raise_for_status()  # fmt: skip


@pytest.fixture(scope="module")
def keycloak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keycloak]:
    named = os.environ.get("CAREWEIR_REAL_KEYCLOAK")
    if not named or shutil.which("java") is None:
        pytest.skip("set CAREWEIR_REAL_KEYCLOAK to an unpacked Keycloak; needs Java 17")
    home, port = tmp_path_factory.mktemp("keycloak"), free_port()
    folder = home / "keycloak"
    shutil.copytree(named, folder)
    (folder / "data" / "import").mkdir(parents=True, exist_ok=True)
    (folder / "data" / "import" / "hospital.json").write_text(json.dumps(realm()))
    script = str(folder / "bin" / "kc.sh")
    command = [script, "start-dev", "--import-realm", "--http-host=127.0.0.1",
               f"--http-port={port}"]  # fmt: skip
    environment = {"PATH": os.environ["PATH"], "KC_BOOTSTRAP_ADMIN_USERNAME": ADMIN[0],
                   "KC_BOOTSTRAP_ADMIN_PASSWORD": ADMIN[1]}  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    with (
        serving(command, health=f"{url}/realms/hospital", path=home, log=home / "log",
                environment=environment),
        httpx.Client(trust_env=False, timeout=30) as client,
    ):  # fmt: skip
        yield Keycloak(url, client)


async def _read(keycloak: Keycloak, *tokens: str, rotate: bool = False) -> list[Actor | None]:
    settings = Settings(token_issuer=keycloak.issuer, token_jwks="discover")
    verifier = TokenVerifier(token_rules(settings), clock=lambda: datetime.now(UTC))
    found: list[Actor | None] = []
    try:
        for token in tokens:
            try:
                found.append(await verifier.actor(f"Bearer {token}"))
            except NotAuthenticated:
                found.append(None)
        if rotate:
            keycloak.rotate()
            verifier._keys._tried_at -= AGAIN_S  # type: ignore[union-attr]
            found.append(await verifier.actor(f"Bearer {keycloak.engine()}"))
    finally:
        await verifier.close()
    return found


def read(keycloak: Keycloak, *tokens: str, rotate: bool = False) -> list[Actor | None]:
    return asyncio.run(_read(keycloak, *tokens, rotate=rotate))


def test_an_engine_is_known_by_backend_services(keycloak: Keycloak) -> None:
    (actor,) = read(keycloak, keycloak.engine())

    assert actor is not None
    assert (actor.client, actor.role, actor.site) == (
        "integration-engine", "integration-engine", "north",
    )  # fmt: skip
    assert actor.purposes == {"TREAT", "HPAYMT"}
    assert actor.scopes == {"capability/*.infer"}


def test_a_person_is_known_by_attributes_and_gets_the_scopes_that_were_asked_for(
    keycloak: Keycloak,
) -> None:
    less, more = read(
        keycloak,
        keycloak.person()["access_token"],
        keycloak.person(scope="system/AuditEvent.rs")["access_token"],
    )

    assert less is not None
    assert more is not None
    assert (less.client, less.role, less.site) == ("ehr-portal", "auditor", "north")
    assert less.purposes == {"HCOMPL", "TREAT"}
    assert more.scopes - less.scopes == {"system/AuditEvent.rs"}


def test_tokens_of_it_that_are_no_access_tokens_are_nobody(keycloak: Keycloak) -> None:
    given = keycloak.person(scope="openid")

    assert read(keycloak, given["refresh_token"], given["id_token"]) == [None, None]
    assert read(keycloak, given["access_token"]) != [None]


def test_its_keys_rotate_without_a_restart(keycloak: Keycloak) -> None:
    before = keycloak.engine()

    assert None not in read(keycloak, before, rotate=True)


def test_it_was_the_realm_of_the_docs() -> None:
    assert Path(ROOT / "docs/examples/keycloak-realm.json").is_file()
    assert {client["clientId"] for client in realm()["clients"]} == {
        "integration-engine", "ehr-portal",
    }  # fmt: skip
