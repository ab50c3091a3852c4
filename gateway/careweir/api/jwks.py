"""An issuer's public keys: from a file, or from a URL that is read again when a key is new.

INVARIANT: a key is only ever taken from a place that the configuration names, never from a token's
``jku`` or ``jwk`` header.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from careweir.errors import ConfigInvalid
from careweir.fanout import Transport
from careweir_kit.adapter import VendorRequest
from careweir_kit.errors import VendorError
from careweir_kit.strict_json import JsonRefused, decode

KEYS_BYTES_MAX: Final = 65_536
FRESH_S: Final = 600.0  # how long a fetched set is taken as it is
AGAIN_S: Final = 30.0  # at most one fetch in this time, however many unknown keys are tried
FETCH_S: Final = 5.0


class Keys(Protocol):
    """Where an issuer's keys come from."""

    async def current(self, kid: str | None) -> KeySet | None:
        """The keys to check a token of ``kid`` with; None when there are none to be had."""
        ...


class FixedKeys:
    """Keys that were exchanged out of band."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys

    async def current(self, kid: str | None) -> KeySet | None:
        """The keys of the file, whatever the token names."""
        return self._keys


class FetchedKeys:
    """Keys behind a configured URL. A key that is not known is looked for once, then refused.

    When the URL does not answer, the keys that are known stay good.
    """

    def __init__(
        self, transport: Transport, url: str, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._transport = transport
        self._base, _, self._path = url.rpartition("/")
        self._monotonic = monotonic
        self._keys: KeySet | None = None
        self._tried_at = -AGAIN_S
        self._one = asyncio.Lock()

    async def current(self, kid: str | None) -> KeySet | None:
        """The known keys, read again when they are old or the token's key is not among them."""
        if self._stale(kid):
            async with self._one:
                if self._stale(kid):
                    await self._fetch()
        return self._keys

    def _stale(self, kid: str | None) -> bool:
        age = self._monotonic() - self._tried_at
        if age < AGAIN_S:
            return False
        known = self._keys is not None and any(key.kid == kid for key in self._keys.keys)
        return not known or age >= FRESH_S

    async def _fetch(self) -> None:
        self._tried_at = self._monotonic()
        request = VendorRequest("GET", self._path, headers={"Accept": "application/json"})
        try:
            async with asyncio.timeout(FETCH_S):
                answer = await self._transport.send(self._base, request, bytes_max=KEYS_BYTES_MAX)
        except (VendorError, TimeoutError):
            return
        if answer.status == 200 and (found := key_set(answer.body)) is not None:
            self._keys = found


def key_set(body: bytes) -> KeySet | None:
    """The public keys of a JWKS document, or None when it is none."""
    try:
        document: Any = decode(body)
        return KeySet.import_key_set(document)
    except (JsonRefused, JoseError, ValueError, KeyError, TypeError, AttributeError):
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
