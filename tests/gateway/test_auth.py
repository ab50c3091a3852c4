"""Tokens: the good one passes, every forged, stale or ambiguous one is 401."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from careweir.access import Actor
from careweir.api.auth import TokenRules, TokenVerifier
from careweir.errors import NotAuthenticated

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
T = int(NOW.timestamp())
KEY = ECKey.generate_key("P-256", parameters={"kid": "k1"}, private=True)
OTHER = ECKey.generate_key("P-256", parameters={"kid": "k1"}, private=True)
PUBLIC = KeySet([ECKey.import_key(KEY.as_dict(private=False))])
CLAIMS: dict[str, Any] = {
    "iss": "urn:issuer", "aud": "careweir", "sub": "Practitioner/7", "client_id": "ehr",
    "jti": "t1", "iat": T, "exp": T + 300, "scope": "capability/*.infer", "role": "ed-physician",
    "purposes": ["TREAT"], "site": "north",
}  # fmt: skip


@pytest.fixture
def verifier() -> TokenVerifier:
    rules = TokenRules("urn:issuer", "careweir", PUBLIC, lifetime_max_s=3600)
    return TokenVerifier(rules, clock=lambda: NOW)


def asked(verifier: TokenVerifier, header: str | None) -> Actor:
    return asyncio.run(verifier.actor(header))


def signed(key: Any = KEY, header: dict[str, Any] | None = None, **changes: Any) -> str:
    claims = {name: value for name, value in (CLAIMS | changes).items() if value is not ...}
    full = {"alg": "ES256", "kid": "k1", "typ": "JWT"} | (header or {})
    full = {name: value for name, value in full.items() if value is not ...}
    return jwt.encode(full, claims, key, algorithms=[full["alg"]])


def test_a_good_token_names_person_application_role_and_purposes(verifier: TokenVerifier) -> None:
    actor = asked(verifier, f"Bearer {signed()}")

    assert (actor.subject, actor.client, actor.role) == ("Practitioner/7", "ehr", "ed-physician")
    assert actor.purposes == {"TREAT"}
    assert actor.scopes == {"capability/*.infer"}
    assert actor.site == "north"


def test_iua_claims_are_read_too(verifier: TokenVerifier) -> None:
    iua = {"subject_role": [{"code": "radiologist"}], "purpose_of_use": [{"code": "TREAT"}]}
    token = signed(role=..., purposes=..., extensions={"ihe_iua": iua})

    assert asked(verifier, f"Bearer {token}").role == "radiologist"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("expired", {"iat": T - 4000, "exp": T - 61}),
        ("not yet valid", {"nbf": T + 120}),
        ("issued in the future", {"iat": T + 120, "exp": T + 300}),
        ("no expiry", {"exp": ...}),
        ("no issue time", {"iat": ...}),
        ("expiry as text", {"exp": "tomorrow"}),
        ("ten years", {"exp": T + 315_360_000}),
        ("another audience", {"aud": "someone-else"}),
        ("a list of audiences with ours in it", {"aud": ["careweir", "someone-else"]}),
        ("another issuer", {"iss": "urn:other"}),
        ("no subject", {"sub": ...}),
        ("no client", {"client_id": ...}),
        ("no role", {"role": ...}),
        ("two roles", {"role": ["ed-physician", "auditor"]}),
    ],
)
def test_claims_that_do_not_hold_are_refused(
    verifier: TokenVerifier, name: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(NotAuthenticated):
        asked(verifier, f"Bearer {signed(**changes)}")


def _unsigned() -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none', 'kid': 'k1'})}.{part(CLAIMS)}."


def _with_public_key_as_secret() -> str:
    secret = OctKey.import_key(json.dumps(KEY.as_dict(private=False)), {"kid": "k1"})
    return signed(secret, {"alg": "HS256"})


@pytest.mark.parametrize(
    "forge",
    [
        _unsigned,
        _with_public_key_as_secret,
        lambda: signed(OTHER),
        lambda: signed(header={"kid": ...}),
        lambda: signed(header={"kid": "unknown"}),
        lambda: signed(RSAKey.generate_key(2048, {"kid": "k1"}), {"alg": "RS256"}),
        lambda: signed()[:-4] + "AAAA",
        lambda: "a.b.c",
        lambda: "x" * 9000,
        lambda: "",
    ],
)
def test_forged_tokens_are_refused(verifier: TokenVerifier, forge: Callable[[], str]) -> None:
    with pytest.raises(NotAuthenticated):
        asked(verifier, f"Bearer {forge()}")


@pytest.mark.parametrize("header", [None, "", "Basic abc", "Bearer", "Bearer a b"])
def test_anything_but_one_bearer_token_is_refused(
    verifier: TokenVerifier, header: str | None
) -> None:
    with pytest.raises(NotAuthenticated):
        asked(verifier, header)


def test_without_an_issuer_nobody_gets_in() -> None:
    with pytest.raises(NotAuthenticated):
        asked(TokenVerifier(None, clock=lambda: NOW), f"Bearer {signed()}")
