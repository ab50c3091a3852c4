"""Bodies at rest: AES-256-GCM under a numbered key, bound to the record that they belong to.

A sealed body is ``1 | key number (4 bytes) | nonce (12) | ciphertext and tag``. The kind, key and
site of the record are authenticated with it: moved to another record it does not open. What is not
covered: that an older body of the same record was put back.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from careweir.errors import ConfigInvalid, StateUnavailable
from careweir.keyfile import KEY_BYTES, load_or_create_key

_FORMAT = b"\x01"
_NONCE_BYTES = 12
_HEAD_BYTES = 1 + 4 + _NONCE_BYTES
_FILE = re.compile(r"state-([1-9][0-9]{0,8})\.key")


@dataclass(frozen=True, slots=True)
class StateKeys:
    """The keys by number; the greatest one seals, all of them open."""

    by_number: Mapping[int, AESGCM] = field(repr=False)

    @classmethod
    def of(cls, keys: Mapping[int, bytes]) -> StateKeys:
        """Keys of 32 bytes each; raises ConfigInvalid."""
        if not keys or any(len(key) != KEY_BYTES for key in keys.values()):
            raise ConfigInvalid(f"a state key must have {KEY_BYTES} bytes")
        return cls({number: AESGCM(key) for number, key in keys.items()})

    @classmethod
    def load_or_create(cls, directory: Path) -> StateKeys:
        """The files ``state-<number>.key`` of a folder; ``state-1.key`` is made if there is none.

        A key is rotated by putting one with a greater number beside it and starting again.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = {
            int(match[1]): path
            for path in directory.iterdir()
            if (match := _FILE.fullmatch(path.name))
        }
        if not found:
            found = {1: directory / "state-1.key"}
        return cls.of({number: load_or_create_key(path) for number, path in found.items()})

    def seal(self, body: bytes, *, kind: str, key: str, site: str | None) -> bytes:
        """The body as it may lie on a disk."""
        number = max(self.by_number)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self.by_number[number].encrypt(nonce, body, _bound(kind, key, site))
        return _FORMAT + number.to_bytes(4, "big") + nonce + sealed

    def open(self, sealed: bytes, *, kind: str, key: str, site: str | None) -> bytes:
        """The body again; raises StateUnavailable where key or record are not the right ones."""
        number = int.from_bytes(sealed[1:5], "big")
        cipher = self.by_number.get(number)
        if sealed[:1] != _FORMAT or cipher is None:
            raise StateUnavailable("a record's key is not in the keys folder")
        nonce = sealed[5:_HEAD_BYTES]
        try:
            return cipher.decrypt(nonce, sealed[_HEAD_BYTES:], _bound(kind, key, site))
        except (InvalidTag, ValueError):
            raise StateUnavailable("a record was changed outside the gateway") from None


def _bound(kind: str, key: str, site: str | None) -> bytes:
    return "\n".join((kind, key, "" if site is None else f"site {site}")).encode()
