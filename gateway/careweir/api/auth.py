"""Who is asking: an access token becomes an ``Actor``, or the request ends with 401.

The resource server's checks, in order: one bearer token, in the header and nowhere else, of bounded
size; a header and claims that can be read in one way only; an asymmetric algorithm from a fixed
list (never the header's choice); a key of the issuer's JWKS by ``kid``; issuer, audience (a string,
not a list), expiry, not-before and lifetime.

Source: SMART App Launch 2.2, RFC 6750, RFC 8725.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

from joserfc.jwk import KeySet
from starlette.requests import Request

from careweir.access import Actor
from careweir.api.claims import Claims, actor_of, seconds
from careweir.api.jwks import FixedKeys, Keys
from careweir.api.jws import Opened, bearer, check_signature, opened
from careweir.api.rates import Rates
from careweir.api.static_tokens import StaticTokens
from careweir.errors import KeysUnavailable, NotAuthenticated

LEEWAY_S: Final = 60
VERIFIED_MAX: Final = 1024  # tokens whose signature was checked; a caller sends the same one often
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a token must satisfy, and where one is had.

    ``keys`` is the issuer's JWKS, or where it is kept. ``token_endpoint`` is a URL, or a path of
    this gateway; ``token_auth_methods`` are the ways to show there who one is.
    """

    issuer: str
    audience: str
    keys: KeySet | Keys
    lifetime_max_s: int
    token_endpoint: str | None = None
    token_auth_methods: tuple[str, ...] = ()


class TokenVerifier:
    """Turns a request's token into an Actor, and counts the application's requests.

    Raises NotAuthenticated, KeysUnavailable or RateExceeded.
    """

    def __init__(
        self,
        rules: TokenRules | None,
        *,
        clock: Callable[[], datetime],
        rates: Rates | None = None,
        static: StaticTokens | None = None,
    ) -> None:
        self.rules = rules
        self._clock = clock
        self._rates = rates
        self._static = static or StaticTokens({}, clock=clock)
        self._keys = _keys(rules.keys) if rules else None
        self._opened = lru_cache(maxsize=VERIFIED_MAX)(_access_token)
        self._verified = lru_cache(maxsize=VERIFIED_MAX)(_verified)

    async def of(self, request: Request) -> Actor:
        """The actor of a request."""
        return await self.actor(authorization(request))

    async def actor(self, authorization: str | None) -> Actor:
        """The actor of one Authorization header."""
        held = self._static.actor(authorization)
        if held is not None:
            self.count(held.client)
            return held
        if self.rules is None or self._keys is None:
            raise NotAuthenticated("no token issuer is configured")
        token = self._opened(bearer(authorization))
        keys = await self._keys.current(token.kid)
        if keys is None:
            raise KeysUnavailable("the keys of the token issuer cannot be had", retry_after_s=30)
        claims = self._verified(token.token, _Read(keys))
        self._check(claims, self.rules)
        actor = actor_of(claims)
        self.count(actor.client)
        return actor

    def count(self, client: str) -> None:
        """Count one request of an application that is known; raises RateExceeded."""
        if self._rates is not None:
            self._rates.take(client)

    async def close(self) -> None:
        """Close the connections to where keys are fetched."""
        if self._keys is not None:
            await self._keys.close()

    def _check(self, claims: Claims, rules: TokenRules) -> None:
        now = int(self._clock().timestamp())
        if claims.get("iss") != rules.issuer or claims.get("aud") != rules.audience:
            raise NotAuthenticated("the token is for somebody else")
        issued, expires = seconds(claims, "iat"), seconds(claims, "exp")
        if issued is None or expires is None:
            raise NotAuthenticated("the token must say when it was issued and when it expires")
        if expires <= now - LEEWAY_S:
            raise NotAuthenticated("the token has expired")
        if max(issued, seconds(claims, "nbf") or issued) > now + LEEWAY_S:
            raise NotAuthenticated("the token is not valid yet")
        if not 0 < expires - issued <= rules.lifetime_max_s:
            raise NotAuthenticated("the token lives longer than is accepted here")


def authorization(request: Request) -> str | None:
    """The Authorization header. INVARIANT: a token is taken from one header and from no address.

    Raises NotAuthenticated where there are two, or where a token stands in the address: it is in
    logs by now, and must not be what works.
    """
    given = request.headers.getlist("authorization")
    if len(given) > 1:
        raise NotAuthenticated("send one Authorization header")
    if "access_token" in request.query_params:
        raise NotAuthenticated("send the token in the Authorization header, never in the address")
    return given[0] if given else None


def _keys(keys: KeySet | Keys) -> Keys:
    return FixedKeys(keys) if isinstance(keys, KeySet) else keys


class _Read:
    """A key set as it was read: another reading is another one, even of the same keys.

    INVARIANT: a signature that held under keys that are gone is checked again.
    """

    __slots__ = ("found",)

    def __init__(self, found: KeySet) -> None:
        self.found = found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Read) and self.found is other.found

    def __hash__(self) -> int:
        return id(self.found)


def _access_token(token: str) -> Opened:
    """A token whose header may be that of an access token."""
    found = opened(token)
    kind = found.header.get("typ")
    if kind is not None and (not isinstance(kind, str) or kind.lower() not in _TYPES):
        raise NotAuthenticated("this is no access token")
    return found


def _verified(token: str, keys: _Read) -> Claims:
    """The claims under a signature that holds; times are checked at every use, not here."""
    found = _access_token(token)
    check_signature(found, keys.found)
    return found.claims
