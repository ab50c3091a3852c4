"""Signed checkpoints: the head of the tree as text that anybody can keep and check.

    careweir.example/audit          origin
    1184                            leaves
    qS5…=                           root, base64

    — careweir.example/audit AbCd…  signature

Source: C2SP tlog-checkpoint and signed-note (Ed25519, signature type 0x01).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ORIGIN = "careweir-audit"
_ED25519 = b"\x01"
_DASH = "— "


class NoteInvalid(ValueError):
    """Text that is no checkpoint of a known key."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint says: how many leaves the tree has, and its root."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The note's text, which is what is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name, as ``name+hash+key`` in text."""

    name: str
    key: bytes

    @property
    def id(self) -> bytes:
        """The first four bytes of SHA-256(name, newline, type, key)."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.key).decode()}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read ``name+hash+key``; NoteInvalid if it does not hold together."""
        try:
            name, id_, encoded = text.strip().split("+", 2)
            raw = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            raise NoteInvalid("not a verifier key") from None
        key = cls(name, raw[1:])
        if raw[:1] != _ED25519 or len(raw) != 33 or key.id.hex() != id_:
            raise NoteInvalid("not a verifier key")
        return key


class Signer:
    """Signs checkpoints of one origin; the origin is also the key's name.

    ``also`` signs beside it: the key that a rotation brings.
    """

    def __init__(self, origin: str, seed: bytes, also: Signer | None = None) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self._also = also
        self.key = VerifierKey(origin, self._private.public_key().public_bytes_raw())

    def sign(self, size: int, root: bytes) -> str:
        """A signed checkpoint over ``size`` leaves."""
        return self.sign_text(Checkpoint(self.key.name, size, root).text())

    def sign_text(self, text: str) -> str:
        """A signed note; ``text`` ends with a newline."""
        return f"{text}\n{self.line_under(text)}{self._also.line_under(text) if self._also else ''}"

    def line_under(self, text: str) -> str:
        """Only this key's signature line."""
        signature = base64.b64encode(self.key.id + self._private.sign(text.encode())).decode()
        return f"{_DASH}{self.key.name} {signature}\n"


def open_note(note: str, keys: Sequence[VerifierKey]) -> Checkpoint:
    """Read a checkpoint that one of ``keys`` signed, or raise NoteInvalid.

    Signatures of unknown keys are passed over, a bad one of a known key never.
    """
    text, _ = signed_text(note, keys)
    return _parse(text)


def said(note: str) -> Checkpoint:
    """What a checkpoint says, whoever signed it; NoteInvalid if it is none."""
    return _parse(note.partition("\n\n")[0] + "\n")


def signed_text(note: str, keys: Sequence[VerifierKey]) -> tuple[str, list[VerifierKey]]:
    """What a note says, and who of ``keys`` signed it: one at least, or NoteInvalid."""
    text, found, signatures = note.rpartition("\n\n")
    text += "\n"
    known = {(key.name, key.id): key for key in keys}
    signed: list[VerifierKey] = []
    for line in signatures.splitlines():
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            raise NoteInvalid("a signature line cannot be read") from None
        key = known.get((name, raw[:4]))
        if key is not None:
            _check(key, raw[4:], text)
            signed.append(key)
    if not found or not signed:
        raise NoteInvalid("no signature of a known key")
    return text, signed


def _check(key: VerifierKey, signature: bytes, text: str) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key.key).verify(signature, text.encode())
    except InvalidSignature:
        raise NoteInvalid("a signature does not hold") from None


def _parse(text: str) -> Checkpoint:
    try:
        origin, size, root, *_ = text.split("\n")
        checkpoint = Checkpoint(origin, int(size), base64.b64decode(root, validate=True))
    except (ValueError, binascii.Error):
        raise NoteInvalid("not a checkpoint") from None
    if len(checkpoint.root) != 32 or str(checkpoint.size) != size:
        raise NoteInvalid("not a checkpoint")
    return checkpoint
