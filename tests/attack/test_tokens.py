"""No forged, stale, borrowed or ambiguous token lets anybody in; each true one does."""

from __future__ import annotations

import asyncio

import orjson
import pytest
from starlette.requests import Request

from attack.tokens import CLAIMED, FORGED, JWKS, NOW, PERMITTED, Attack, token
from careweir.access import Actor
from careweir.api.auth import TokenRules, TokenVerifier, authorization
from careweir.api.jwks import key_set
from careweir.errors import NotAuthenticated

KEYS = key_set(orjson.dumps(JWKS))
assert KEYS is not None
RULES = TokenRules("https://id.example", "careweir", KEYS, lifetime_max_s=3600)
VERIFIER = TokenVerifier(RULES, clock=lambda: NOW)


def asked(header: str | None) -> Actor:
    return asyncio.run(VERIFIER.actor(header))


@pytest.mark.parametrize("make", PERMITTED.values(), ids=PERMITTED)
def test_a_true_token_is_its_actor(make: Attack) -> None:
    actor = asked(f"Bearer {make()}")

    assert (actor.role, actor.client, actor.site) == ("ed-physician", "ehr", "north")
    assert actor.scopes == {"capability/*.infer"}
    assert actor.purposes == {"TREAT"}


@pytest.mark.parametrize("make", FORGED.values(), ids=FORGED)
def test_a_forged_token_is_nobody(make: Attack) -> None:
    with pytest.raises(NotAuthenticated) as refusal:
        asked(f"Bearer {make()}")
    assert refusal.value.__cause__ is None


@pytest.mark.parametrize("make", CLAIMED.values(), ids=CLAIMED)
def test_a_truly_signed_token_with_wrong_claims_is_nobody(make: Attack) -> None:
    with pytest.raises(NotAuthenticated) as refusal:
        asked(f"Bearer {make()}")
    assert refusal.value.__cause__ is None


def test_a_purpose_of_another_code_system_is_no_purpose() -> None:
    other = [{"system": "https://evil.example/purposes", "code": "TREAT"}]
    given = {"ihe_iua": {"purpose_of_use": other}}

    assert asked(f"Bearer {token(purposes=..., extensions=given)}").purposes == frozenset()


def test_a_role_that_nobody_knows_and_a_site_that_is_nowhere_are_kept_as_they_are() -> None:
    """Known and not allowed: policy refuses them, with a line on the record."""
    actor = asked(f"Bearer {token(role='emperor', site='atlantis')}")

    assert (actor.role, actor.site) == ("emperor", "atlantis")


@pytest.mark.parametrize(
    "scheme", ["Bearer", "bearer", "BEARER"]
)  # RFC 9110: schemes are compared without case
def test_the_scheme_may_be_in_any_case(scheme: str) -> None:
    assert asked(f"{scheme} {token()}").client == "ehr"


@pytest.mark.parametrize(
    "header",
    [
        None, "", "Bearer", "Bearer ", "Basic ZWhyOmVocg==", "DPoP {token}", "Token {token}",
        "{token}", "Bearer  {token}", "Bearer\t{token}", "Bearer {token} {token}",
        "Bearer {token}, Bearer {token}", "Bearer token={token}", 'Bearer "{token}"',
        "Bearer: {token}", " Bearer {token}",
    ],
)  # fmt: skip
def test_anything_but_one_bearer_token_is_refused(header: str | None) -> None:
    with pytest.raises(NotAuthenticated):
        asked(header and header.replace("{token}", token()))


def request(*headers: str, query: str = "") -> Request:
    pairs = [(b"authorization", header.encode()) for header in headers]
    return Request({"type": "http", "method": "GET", "path": "/", "query_string": query.encode(),
                    "headers": pairs})  # fmt: skip


def test_two_headers_are_one_too_many_even_when_they_are_the_same() -> None:
    good = f"Bearer {token()}"

    assert authorization(request(good)) == good
    with pytest.raises(NotAuthenticated):
        authorization(request(good, good))


def test_a_token_in_the_address_is_refused_even_beside_a_good_header() -> None:
    good = f"Bearer {token()}"

    assert authorization(request(good, query="patient=1")) == good
    with pytest.raises(NotAuthenticated):
        authorization(request(good, query=f"access_token={token()}"))
    with pytest.raises(NotAuthenticated):
        authorization(request(query=f"access_token={token()}"))
    with pytest.raises(NotAuthenticated):
        asked(authorization(request()))


def test_a_signature_that_held_is_not_remembered_for_another_key() -> None:
    verifier = TokenVerifier(RULES, clock=lambda: NOW)
    good, head = token(), token().rpartition(".")[0]

    asyncio.run(verifier.actor(f"Bearer {good}"))
    with pytest.raises(NotAuthenticated):
        asyncio.run(verifier.actor(f"Bearer {head}.{'A' * 86}"))


def test_there_are_as_many_cases_as_the_threat_model_says() -> None:
    assert len(FORGED) + len(CLAIMED) >= 100
    assert len(PERMITTED) >= 15
