"""smart-configuration tells what the issuer says of itself, and nothing that nobody said."""

from __future__ import annotations

from typing import Any

import pytest
from joserfc.jwk import ECKey, KeySet

from careweir.api.auth import TokenRules
from careweir.api.smart import smart_configuration
from careweir.errors import NotFound

KEYS = KeySet([ECKey.generate_key("P-256", {"kid": "k1"})])
PROVIDER: dict[str, Any] = {
    "issuer": "https://id.example",
    "token_endpoint": "https://id.example/token",
    "authorization_endpoint": "https://id.example/authorize",
    "jwks_uri": "https://id.example/keys",
    "introspection_endpoint": "https://id.example/introspect",
    "grant_types_supported": ["authorization_code", "implicit", "password", "client_credentials"],
    "token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_basic", "other"],
    "token_endpoint_auth_signing_alg_values_supported": ["ES384", "RS384", "HS256"],
    "code_challenge_methods_supported": ["plain", "S256"],
    "scopes_supported": ["openid"],
    "revocation_endpoint": 7,
    "registration_endpoint": "javascript:alert(1)",
}


def told(document: dict[str, Any], **rules: Any) -> dict[str, Any]:
    made = TokenRules("https://id.example", "careweir", KEYS, 300, **rules)
    return smart_configuration(made, document, root="https://gw", capabilities=["sepsis-risk"])


def test_what_the_provider_says_is_passed_on_and_what_it_should_not_say_is_not() -> None:
    found = told(PROVIDER)

    assert found["token_endpoint"] == "https://id.example/token"
    assert found["authorization_endpoint"] == "https://id.example/authorize"
    assert found["introspection_endpoint"] == "https://id.example/introspect"
    assert found["grant_types_supported"] == ["authorization_code", "client_credentials"]
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert found["token_endpoint_auth_signing_alg_values_supported"] == ["ES384", "RS384"]
    assert {"client-confidential-asymmetric", "client-confidential-symmetric"} <= set(
        found["capabilities"]
    )
    assert "openid" not in found["scopes_supported"]
    assert not {"revocation_endpoint", "registration_endpoint"} & found.keys()


def test_an_address_that_is_configured_comes_before_what_is_discovered() -> None:
    found = told(PROVIDER, token_endpoint="https://other.example/token")

    assert found["token_endpoint"] == "https://other.example/token"
    assert told({}, token_endpoint="/demo/token")["token_endpoint"] == "https://gw/demo/token"


def test_without_an_address_there_is_no_document() -> None:
    with pytest.raises(NotFound):
        told({})


def test_what_nobody_said_is_not_claimed() -> None:
    found = told({}, token_endpoint="https://other.example/token")

    assert set(found["capabilities"]) == {"permission-v1", "permission-v2", "permission-user"}
    assert "token_endpoint_auth_methods_supported" not in found
