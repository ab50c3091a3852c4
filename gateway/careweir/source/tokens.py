"""How the gateway shows the FHIR server who it is: SMART Backend Services, a fixed token, nothing.

Source: SMART App Launch 2.2, backend-services and client-confidential-asymmetric: the assertion
names the token endpoint exactly, lives at most five minutes, is used once; RS384 or ES384.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from careweir.fanout import Transport
from careweir.source.errors import SourceUnavailable
from careweir.source.place import Place
from careweir_kit.adapter import VendorAnswer, VendorRequest
from careweir_kit.errors import VendorError
from careweir_kit.strict_json import JsonRefused, decode

ASSERTION_S: Final = 240
TOKEN_BYTES_MAX: Final = 65_536
TOKENS_MAX: Final = 32
LIFETIME_S: Final = 300  # where a server does not say how long its token lives
LIFETIME_MAX_S: Final = 3600
REFRESH_AT: Final = 0.8
_BEARER: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

Key = ECKey | RSAKey


class Tokens(Protocol):
    """Gives the Authorization header for a scope; ``drop`` forgets one that was refused."""

    async def header(self, scope: str) -> str | None: ...

    def drop(self, scope: str, header: str | None) -> bool:
        """Forget a refused token; True when another one can be had."""
        ...


@dataclass(frozen=True, slots=True)
class FixedToken:
    """A static bearer token, or none at all (a server on loopback)."""

    value: str | None = None

    async def header(self, scope: str) -> str | None:
        """The same for every scope."""
        return None if self.value is None else f"Bearer {self.value}"

    def drop(self, scope: str, header: str | None) -> bool:
        """There is no other."""
        return False


@dataclass(frozen=True, slots=True)
class _Held:
    header: str
    until: float  # in seconds of the monotonic clock: 80 % of its life


class BackendServices:
    """A SMART backend client with one key; remembers a token for each scope."""

    def __init__(
        self,
        base: Place,
        transport: Transport,
        *,
        client_id: str,
        key: Key,
        token_url: str | None,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._base = base
        self._transport = transport
        self._client_id = client_id
        self._key = key
        self._configured = token_url
        self._discovered: str | None = None
        self._clock = clock
        self._monotonic = monotonic
        self._held: dict[str, _Held] = {}
        self._lock = asyncio.Lock()

    async def header(self, scope: str) -> str | None:
        """A token that has at least a fifth of its life left; raises SourceUnavailable."""
        async with self._lock:  # one request for a token, however many searches wait for it
            held = self._held.get(scope)
            if held is None or self._monotonic() >= held.until:
                self._held.pop(scope, None)
                held = await self._ask(scope)
                if len(self._held) >= TOKENS_MAX:
                    self._held.pop(next(iter(self._held)))
                self._held[scope] = held
            return held.header

    def drop(self, scope: str, header: str | None) -> bool:
        """Forget a token, unless another search has replaced it already."""
        held = self._held.get(scope)
        if held is not None and held.header == header:
            del self._held[scope]
        return True

    async def _ask(self, scope: str) -> _Held:
        endpoint = self._configured or self._discovered or await self._discover()
        self._discovered = None  # looked up again, should this one fail
        held = await self._token(endpoint, scope)
        self._discovered = None if self._configured else endpoint
        return held

    async def _token(self, endpoint: str, scope: str) -> _Held:
        asked_at = self._monotonic()
        form = {
            "grant_type": "client_credentials",
            "scope": scope,
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": self._assertion(endpoint),
        }
        answer = await self._send(
            endpoint,
            VendorRequest(
                "POST",
                "",
                urlencode(form).encode(),
                {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"},
            ),
        )
        body = _json_object(answer)
        token, kind = body.get("access_token"), body.get("token_type")
        if not isinstance(token, str) or _BEARER.fullmatch(token) is None:
            raise SourceUnavailable("the token endpoint gave no token")
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise SourceUnavailable("the token endpoint gave a token of another kind than bearer")
        life = body.get("expires_in", LIFETIME_S)
        if isinstance(life, bool) or not isinstance(life, int) or life <= 0:
            raise SourceUnavailable("the token endpoint does not say how long its token lives")
        return _Held(f"Bearer {token}", asked_at + REFRESH_AT * min(life, LIFETIME_MAX_S))

    def _assertion(self, endpoint: str) -> str:
        now = int(self._clock().timestamp())
        algorithm = "ES384" if isinstance(self._key, ECKey) else "RS384"
        claims = {
            "iss": self._client_id,
            "sub": self._client_id,
            "aud": endpoint,
            "iat": now,
            "exp": now + ASSERTION_S,
            "jti": secrets.token_urlsafe(24),
        }
        header = {"alg": algorithm, "kid": self._key.kid, "typ": "JWT"}
        return jwt.encode(header, claims, self._key, algorithms=[algorithm])

    async def _discover(self) -> str:
        url = f"{self._base.url}/.well-known/smart-configuration"
        answer = await self._send(
            url, VendorRequest("GET", "", b"", {"accept": "application/json"})
        )
        endpoint = _json_object(answer).get("token_endpoint")
        place = Place.read(endpoint) if isinstance(endpoint, str) else None
        if place is None or not self._base.may_trust(place):
            raise SourceUnavailable("the FHIR server names no token endpoint that may be used")
        assert isinstance(endpoint, str)
        return endpoint

    async def _send(self, url: str, request: VendorRequest) -> VendorAnswer:
        origin, _, path = _split(url)
        moved = VendorRequest(request.method, path, request.body, request.headers)
        try:
            return await self._transport.send(origin, moved, bytes_max=TOKEN_BYTES_MAX)
        except VendorError:
            raise SourceUnavailable("the token endpoint did not answer") from None


def _split(url: str) -> tuple[str, str, str]:
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host}", slash, path


def _json_object(answer: VendorAnswer) -> dict[str, Any]:
    if answer.status != 200 or answer.content_type != "application/json":
        raise SourceUnavailable("the token endpoint did not give a token")
    try:
        body = decode(answer.body)
    except (JsonRefused, RecursionError):
        raise SourceUnavailable("the token endpoint answered with unreadable JSON") from None
    if not isinstance(body, dict):
        raise SourceUnavailable("the token endpoint answered with something else than an object")
    return body
