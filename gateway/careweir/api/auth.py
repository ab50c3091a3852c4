"""Who is asking: an access token becomes an ``Actor``, or the request ends with 401.

The resource server's checks, in order: one bearer token in the header, of bounded size; an
asymmetric algorithm from a fixed list (never the header's choice); a key of the issuer's JWKS by
``kid``; issuer, audience (a string, not a list), expiry, not-before and lifetime.

Source: SMART App Launch 2.2, RFC 6750, RFC 8725; joserfc accepts an ``aud`` list that contains
ours, which is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from careweir.access import Actor
from careweir.errors import NotAuthenticated

ALGORITHMS = ["RS256", "RS384", "PS256", "PS384", "ES256", "ES384", "EdDSA", "Ed25519"]
TOKEN_BYTES_MAX = 8192
LEEWAY_S = 60
VERIFIED_MAX = 1024  # tokens whose signature was checked; a caller sends the same one often
_TOKEN = re.compile(r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$")
_IUA = "ihe_iua"


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a token must satisfy. ``keys`` is the issuer's JWKS."""

    issuer: str
    audience: str
    keys: KeySet
    lifetime_max_s: int


class TokenVerifier:
    """Turns an Authorization header into an Actor; raises NotAuthenticated."""

    def __init__(self, rules: TokenRules | None, *, clock: Callable[[], datetime]) -> None:
        self._rules = rules
        self._clock = clock
        self._verified = lru_cache(maxsize=VERIFIED_MAX)(self._verify)

    def actor(self, authorization: str | None) -> Actor:
        """The actor of one bearer token."""
        if self._rules is None:
            raise NotAuthenticated("no token issuer is configured")
        claims = self._verified(bearer(authorization))
        self._check(claims, self._rules)
        return _actor(claims)

    def _verify(self, token: str) -> Mapping[str, Any]:
        """The claims under a signature that holds; times are checked at every use, not here."""
        assert self._rules is not None
        try:
            decoded = jwt.decode(token, self._rules.keys, algorithms=ALGORITHMS)
        except (JoseError, ValueError, KeyError, TypeError):
            raise NotAuthenticated("the token's signature does not hold") from None
        if decoded.header.get("crit") or decoded.header.get("kid") is None:
            raise NotAuthenticated("the token's header is not acceptable")
        return decoded.claims

    def _check(self, claims: Mapping[str, Any], rules: TokenRules) -> None:
        now = int(self._clock().timestamp())
        if claims.get("iss") != rules.issuer or claims.get("aud") != rules.audience:
            raise NotAuthenticated("the token is for somebody else")
        issued, expires = claims.get("iat"), claims.get("exp")
        if not isinstance(issued, int) or not isinstance(expires, int):
            raise NotAuthenticated("the token must say when it was issued and when it expires")
        if expires <= now - LEEWAY_S:
            raise NotAuthenticated("the token has expired")
        if max(issued, _number(claims.get("nbf"), issued)) > now + LEEWAY_S:
            raise NotAuthenticated("the token is not valid yet")
        if expires - issued > rules.lifetime_max_s:
            raise NotAuthenticated("the token lives longer than is accepted here")


def bearer(authorization: str | None) -> str:
    """The one token of an Authorization header, of the right shape and a bounded size."""
    if not authorization:
        raise NotAuthenticated("send Authorization: Bearer")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or len(token) > TOKEN_BYTES_MAX or not _TOKEN.fullmatch(token):
        raise NotAuthenticated("send one bearer token")
    return token


def _number(value: Any, default: int) -> int:
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool):
        raise NotAuthenticated("a time in the token is not a number")
    return value


def _actor(claims: Mapping[str, Any]) -> Actor:
    """Read the rights; one role only, a token with two is refused rather than guessed at."""
    subject, client = claims.get("sub"), claims.get("client_id")
    if not _text(subject) or not _text(client):
        raise NotAuthenticated("the token must name a subject and a client application")
    iua = _mapping(_mapping(claims.get("extensions")).get(_IUA))
    roles = _codes(claims.get("role")) or _codes(iua.get("subject_role"))
    purposes = _codes(claims.get("purposes")) or _codes(iua.get("purpose_of_use"))
    if len(roles) != 1:
        raise NotAuthenticated("the token must carry exactly one role")
    site, name, jti = claims.get("site"), iua.get("subject_name"), claims.get("jti")
    reason = claims.get("break_glass_reason")
    return Actor(
        subject=str(subject),
        client=str(client),
        role=roles[0],
        site=site if _text(site) else None,
        purposes=frozenset(purposes),
        scopes=frozenset(str(claims.get("scope", "")).split()),
        name=name if _text(name) else None,
        jti=jti if _text(jti) else None,
        break_glass=reason if _text(reason) else None,
    )


def _text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 200


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _codes(value: Any) -> list[str]:
    """A code, a list of codes, or a list of FHIR Codings (IUA)."""
    items = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    codes = [item.get("code") if isinstance(item, Mapping) else item for item in items]
    return [str(code) for code in codes if _text(code)]
