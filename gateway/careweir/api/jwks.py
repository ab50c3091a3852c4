"""An issuer's public keys: given, from a file that is watched, or from a URL that is read again.

INVARIANT: a key is only ever taken from a place that the configuration names, never from a token's
``jku`` or ``jwk`` header.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Protocol

from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, KeySet, OctKey

from careweir.api.jws import RSA_BITS_MIN
from careweir.errors import ConfigInvalid
from careweir.fanout import Transport
from careweir.log import log
from careweir.source.place import Place
from careweir_kit.adapter import VendorRequest
from careweir_kit.errors import VendorError
from careweir_kit.strict_json import JsonRefused, decode

KEYS_BYTES_MAX: Final = 65_536
FRESH_S: Final = 600.0  # how long a fetched set is taken as it is
AGAIN_S: Final = 30.0  # at most one fetch in this time, however many unknown keys are tried
STALE_MAX_S: Final = 86_400.0  # keys that nobody has confirmed for so long are no longer good
FETCH_S: Final = 5.0
LOOK_S: Final = 1.0  # a file is looked at no more often
DISCOVERY: Final = "/.well-known/openid-configuration"


class Keys(Protocol):
    """Where an issuer's keys come from."""

    async def current(self, kid: str | None) -> KeySet | None:
        """The keys to check a token of ``kid`` with; None when there are none to be had."""
        ...

    async def close(self) -> None:
        """Close what was opened to fetch them."""
        ...


class FixedKeys:
    """Keys that were exchanged out of band."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys

    async def current(self, kid: str | None) -> KeySet | None:
        """The keys, whatever the token names."""
        return self._keys

    async def close(self) -> None:
        """Nothing is open."""


class FileKeys:
    """Keys of a file that is read again when it changes; one that cannot be read changes nothing.

    Raises ConfigInvalid at start, when there are no keys to go on with.
    """

    def __init__(
        self, file: Path, *, setting: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._file = file
        self._keys = keys_of_file(file, setting=setting)
        self._mark = _mark(file)
        self._monotonic = monotonic
        self._looked_at = monotonic()

    async def current(self, kid: str | None) -> KeySet | None:
        """The keys as the file says now."""
        now = self._monotonic()
        if now - self._looked_at >= LOOK_S:
            self._looked_at = now
            if (mark := _mark(self._file)) not in (None, self._mark):
                await self._read(mark)
        return self._keys

    async def _read(self, mark: tuple[int, int, int] | None) -> None:
        try:
            found = key_set(await asyncio.to_thread(self._file.read_bytes))
        except OSError:
            return
        self._mark = mark
        if found is None:
            log.error("token keys not readable")
        else:
            self._keys = found
            log.info("token keys read again")

    async def close(self) -> None:
        """Nothing is open."""


class FetchedKeys:
    """Keys behind a configured URL. A key that is not known is looked for once, then refused.

    Old keys are read again behind the request that meets them. When the URL does not answer, the
    keys that are known stay good for ``STALE_MAX_S``.
    """

    def __init__(
        self, transport: Transport, url: str, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._transport = transport
        self._url: str | None = url
        self._monotonic = monotonic
        self._keys: KeySet | None = None
        self._read_at = self._tried_at = -STALE_MAX_S
        self._one = asyncio.Lock()
        self._behind: asyncio.Task[None] | None = None

    async def current(self, kid: str | None) -> KeySet | None:
        """The known keys, read again when they are old or the token's key is not among them."""
        if self._due(kid):
            if self._knows(kid):
                self._behind = asyncio.create_task(self._again(kid))
            else:
                await self._again(kid)
        return None if self._age(self._read_at) >= STALE_MAX_S else self._keys

    async def close(self) -> None:
        """Close the connections."""
        if self._behind is not None:
            self._behind.cancel()
        await self._transport.close()

    async def _again(self, kid: str | None) -> None:
        async with self._one:
            if self._due(kid):
                self._tried_at = self._monotonic()
                await self._fetch()

    def _due(self, kid: str | None) -> bool:
        if self._age(self._tried_at) < AGAIN_S:
            return False
        return not self._knows(kid) or self._age(self._read_at) >= FRESH_S

    def _knows(self, kid: str | None) -> bool:
        known = self._keys is not None and any(key.kid == kid for key in self._keys.keys)
        return known and self._age(self._read_at) < STALE_MAX_S

    def _age(self, moment: float) -> float:
        return self._monotonic() - moment

    async def _where(self) -> str | None:
        """The address of the keys."""
        return self._url

    async def _fetch(self) -> None:
        url = await self._where()
        found = key_set(await self._get(url) or b"") if url else None
        if found is None:
            log.error("token keys not fetched")
            return
        self._keys, self._read_at = found, self._monotonic()

    async def _get(self, url: str) -> bytes | None:
        """The body of a 200, or None."""
        base, _, path = url.rpartition("/")
        request = VendorRequest("GET", path, headers={"Accept": "application/json"})
        try:
            async with asyncio.timeout(FETCH_S):
                answer = await self._transport.send(base, request, bytes_max=KEYS_BYTES_MAX)
        except (VendorError, TimeoutError):
            return None
        return answer.body if answer.status == 200 else None


class DiscoveredKeys(FetchedKeys):
    """Keys where an issuer's discovery document says that they are.

    Source: OpenID Connect Discovery 1.0, sections 4.1 to 4.3: the document's ``issuer`` must be
    the very issuer that it was asked of.
    """

    def __init__(
        self, transport: Transport, issuer: str, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(transport, "", monotonic=monotonic)
        self._issuer = issuer
        self._told: Mapping[str, Any] | None = None

    async def document(self) -> Mapping[str, Any] | None:
        """The discovery document as it was read last; None while there is none to be had."""
        if self._told is None:
            await self.current(None)
        return self._told

    async def _where(self) -> str | None:
        try:
            told: Any = decode(await self._get(self._issuer.rstrip("/") + DISCOVERY) or b"")
        except JsonRefused:
            told = None
        if not isinstance(told, dict) or told.get("issuer") != self._issuer:
            return None
        self._told = told
        url = told.get("jwks_uri")
        return url if isinstance(url, str) and _may_name(self._issuer, url) else None


def _may_name(issuer: str, url: str) -> bool:
    """An issuer may name another host by its name, never by an address: that could be ours."""
    own, place = Place.read(issuer), Place.read(url)
    if own is None or place is None or not own.may_trust(place):
        return False
    with suppress(ValueError):
        ip_address(place.host)
        return place.host == own.host
    return True


def key_set(body: bytes) -> KeySet | None:
    """The public keys of a JWKS document, or None when it is none.

    A key that cannot be used is left out, as RFC 7517 section 5 asks, and the others stay good: a
    point off its curve, a kind that nobody knows, a secret, a short RSA key.
    """
    try:
        given: Any = decode(body)["keys"]
        keys = [key for one in given if (key := _public(one)) is not None]
    except (JsonRefused, KeyError, TypeError):
        return None
    return KeySet(keys) if keys else None


def _public(given: Any) -> Any:
    """One key, without its private part; None when it cannot be used."""
    try:
        if given["kty"] == "RSA" and len(given["n"]) * 6 < RSA_BITS_MIN:
            return None
        key = JWKRegistry.import_key(given)
        if isinstance(key, OctKey) or not key.kid:
            return None
        return JWKRegistry.import_key(key.as_dict(private=False))
    except (JoseError, ValueError, KeyError, TypeError, AttributeError):
        return None


def keys_of_file(file: Path, *, setting: str) -> KeySet:
    """The keys of a JWKS file; raises ConfigInvalid that names the setting."""
    try:
        found = key_set(file.read_bytes())
    except OSError:
        found = None
    if found is None:
        raise ConfigInvalid(f"{setting}: not a readable JWKS file")
    return found


def _mark(file: Path) -> tuple[int, int, int] | None:
    """What changes with a file's content; None while it is away."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
