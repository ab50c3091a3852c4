"""A token endpoint that exists only under ``--demo``: SMART Backend Services for one application.

Its private key is made at the start and written for its owner alone (``demo-client.json``), so that
an integrator can try the whole flow: sign an assertion, get a token, ask.

Source: SMART App Launch 2.2, Backend Services; RFC 7523; RFC 6749 section 5.2 for the errors.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import orjson
from joserfc.jwk import ECKey, KeySet
from starlette.requests import Request
from starlette.responses import Response

from careweir.access.scopes import openings
from careweir.api.claims import seconds
from careweir.api.fhir.forms import form
from careweir.api.jws import check_signature, opened
from careweir.demo.issuer import DemoIssuer
from careweir.errors import GatewayError, NotAuthenticated
from careweir.ids import new_id

PATH: Final = "/demo/token"
CLIENT: Final = "careweir-demo-app"
ROLE: Final = "integration-engine"
ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_S: Final = 300
TOKEN_S: Final = 300
SEEN_MAX: Final = 10_000


class TokenEndpoint:
    """Answers one application; every assertion is taken once."""

    def __init__(self, issuer: DemoIssuer, clock: Callable[[], datetime]) -> None:
        self._issuer = issuer
        self._clock = clock
        self._key = ECKey.generate_key("P-384", {"kid": new_id("key")}, private=True)
        self._keys = KeySet([ECKey.import_key(self._key.as_dict(private=False))])
        self._seen: set[str] = set()

    def client(self, base_url: str) -> dict[str, Any]:
        """What the application needs: its name, its key and where it asks."""
        return {
            "client_id": CLIENT,
            "token_endpoint": base_url + PATH,
            "private_jwk": self._key.as_dict(private=True),
            "scope": "capability/*.infer system/*.rs",
        }

    async def answer(self, request: Request) -> Response:
        """``POST`` with a form; JSON with a token or with an error of RFC 6749."""
        try:
            fields = await form(request)
        except GatewayError:
            return _error("invalid_request")
        given = dict(fields)
        if len(given) < len(fields):
            return _error("invalid_request")
        if given.get("grant_type") != "client_credentials":
            return _error("unsupported_grant_type")
        assertion = given.get("client_assertion", "")
        if given.get("client_assertion_type") != ASSERTION or assertion.count(".") != 2:
            return _error("invalid_request")
        try:
            self._check(assertion, str(request.url).partition("?")[0])
        except NotAuthenticated:
            return _error("invalid_client", status=401)
        scopes = given.get("scope", "").split(" ")
        if not all(_known(scope) for scope in scopes):
            return _error("invalid_scope")
        now = self._clock()
        token = self._issuer.token(
            ROLE, now, client=CLIENT, scope=" ".join(scopes), lifetime_s=TOKEN_S
        )
        return _json({"access_token": token, "token_type": "bearer", "expires_in": TOKEN_S,
                      "scope": " ".join(scopes)})  # fmt: skip

    def _check(self, assertion: str, url: str) -> None:
        token = opened(assertion)
        check_signature(token, self._keys)
        claims, now = token.claims, int(self._clock().timestamp())
        expires, jti = seconds(claims, "exp"), claims.get("jti")
        named = claims.get("iss") == claims.get("sub") == CLIENT and claims.get("aud") == url
        timely = expires is not None and now < expires <= now + ASSERTION_S
        fresh = isinstance(jti, str) and jti not in self._seen and len(self._seen) < SEEN_MAX
        if not (named and timely and fresh):
            raise NotAuthenticated("the assertion does not hold")
        self._seen.add(str(jti))


def _known(scope: str) -> bool:
    """One of the scopes that this application may have."""
    kind = scope.partition("/")[2].partition(".")[0]
    asks = scope.startswith("capability/") and scope.endswith(".infer")
    return asks or (
        scope.startswith("system/") and any(openings({scope}, kind, right) for right in "rs")
    )


def _error(code: str, *, status: int = 400) -> Response:
    return _json({"error": code}, status=status)


def _json(body: dict[str, Any], *, status: int = 200) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(orjson.dumps(body), status, headers, media_type="application/json")
