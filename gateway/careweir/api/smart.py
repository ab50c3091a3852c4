"""``/.well-known/smart-configuration``: where tokens for this gateway are had, and their scopes.

The gateway issues no tokens. What is told of the authorisation server is what its own discovery
document says, or the one address that is configured; nothing of it is made up.

Source: SMART App Launch 2.2, Conformance, section 2.3 (fields; JSON whatever ``Accept`` says).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from careweir.api import openapi
from careweir.api.auth import TokenRules
from careweir.api.fhir import SERVED
from careweir.api.fhir.base import fhir_base
from careweir.api.jwks import DiscoveredKeys
from careweir.api.services import json_response, services_of
from careweir.errors import KeysUnavailable, NotFound

PATH: Final = "/.well-known/smart-configuration"
_PASSED_ON: Final = (
    "authorization_endpoint", "registration_endpoint", "introspection_endpoint",
    "revocation_endpoint", "management_endpoint", "jwks_uri",
)  # fmt: skip
_METHODS: Final = {
    "private_key_jwt": "client-confidential-asymmetric",
    "client_secret_basic": "client-confidential-symmetric",
    "client_secret_post": "client-confidential-symmetric",
}
_HERE: Final = ("permission-v1", "permission-v2", "permission-user")

router = APIRouter()


@router.get(PATH, openapi_extra=openapi.SMART)
@router.get(f"/fhir{PATH}", openapi_extra=openapi.SMART)
async def configuration(request: Request) -> Response:
    """Where tokens are had and which scopes are known here; no token is needed."""
    rules = services_of(request).verifier.rules
    if rules is None:
        raise NotFound("no token issuer is configured")
    root = fhir_base(request).public_url or str(request.base_url).rstrip("/")
    told = smart_configuration(
        rules,
        await _document(rules),
        root=root,
        capabilities=services_of(request).gateway.house.capabilities,
    )
    return json_response(told)


async def _document(rules: TokenRules) -> Mapping[str, Any]:
    """What the authorisation server says of itself; nothing where it is not asked."""
    if not isinstance(rules.keys, DiscoveredKeys):
        return {}
    told = await rules.keys.document()
    if told is None:
        raise KeysUnavailable("the token issuer cannot be reached", retry_after_s=30)
    return told


def smart_configuration(
    rules: TokenRules, told: Mapping[str, Any], *, root: str, capabilities: Collection[str]
) -> dict[str, Any]:
    """The document. Raises NotFound where nobody knows where tokens are had."""
    endpoint = _text(told, "token_endpoint")
    if rules.token_endpoint is not None:
        local = rules.token_endpoint.startswith("/")
        endpoint = root + rules.token_endpoint if local else rules.token_endpoint
    if endpoint is None:
        raise NotFound("it is not configured where tokens are had")
    methods = rules.token_auth_methods or _texts(told, "token_endpoint_auth_methods_supported")
    found: dict[str, Any] = {
        "issuer": rules.issuer,
        "token_endpoint": endpoint,
        "grant_types_supported": _grants(told),
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": _scopes(capabilities),
        "capabilities": sorted({*_HERE, *(_METHODS[m] for m in methods if m in _METHODS)}),
    }
    found |= {name: value for name in _PASSED_ON if (value := _text(told, name)) is not None}
    found |= {"token_endpoint_auth_methods_supported": list(methods)} if methods else {}
    signing = _texts(told, "token_endpoint_auth_signing_alg_values_supported")
    signed = [name for name in signing if not name.startswith(("HS", "none"))]
    return found | ({"token_endpoint_auth_signing_alg_values_supported": signed} if signed else {})


def _grants(told: Mapping[str, Any]) -> list[str]:
    said = _texts(told, "grant_types_supported") or ["client_credentials"]
    return [name for name in ("authorization_code", "client_credentials") if name in said]


def _scopes(capabilities: Collection[str]) -> list[str]:
    return [
        *(f"system/{served.kind}.rs" for served in SERVED),
        *(f"capability/{name}.infer" for name in sorted(capabilities)),
    ]


def _text(told: Mapping[str, Any], name: str) -> str | None:
    value = told.get(name)
    return value if isinstance(value, str) and value.startswith(("https://", "http://")) else None


def _texts(told: Mapping[str, Any], name: str) -> list[str]:
    value = told.get(name)
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
