"""The secrets of the trail: that a row is ours, who it is about, and who signed the checkpoint."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from careweir.audit.note import ORIGIN, Signer, VerifierKey
from careweir.errors import ConfigInvalid
from careweir.keyfile import KEY_BYTES, load_or_create_key
from careweir.mac import mac_of

_PATIENT_KEY_BYTES = 16  # 128 bits name a patient beyond any collision
MAC_FILE = "audit-mac.key"
PATIENT_FILE = "audit-patient.key"
SIGNING_FILE = "audit-signing.key"
_FILES = (MAC_FILE, PATIENT_FILE, SIGNING_FILE)
_MAC_ID = b"careweir-audit-mac-key\n"


def mac_id(key: bytes) -> str:
    """The name of a MAC key: tells nothing of it, and is the same everywhere."""
    return hashlib.sha256(_MAC_ID + key).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class AuditKeys:
    """``mac`` authenticates rows, ``patient`` makes pseudonyms, ``signing`` signs checkpoints.

    32 bytes each. ``old_macs`` and ``old_signings`` were replaced by rotation: they still judge
    what was made under them, and make nothing.
    """

    mac: bytes = field(repr=False)
    patient: bytes = field(repr=False)
    signing: bytes | None = field(default=None, repr=False)  # Ed25519; None: nothing is sealed
    old_macs: tuple[bytes, ...] = field(default=(), repr=False)
    old_signings: tuple[bytes, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        known = (self.mac, self.patient, self.signing, *self.old_macs, *self.old_signings)
        if any(key is not None and len(key) != KEY_BYTES for key in known):
            raise ConfigInvalid(f"an audit key must have {KEY_BYTES} bytes")

    @property
    def macs(self) -> tuple[bytes, ...]:
        """Every MAC key, the present one first."""
        return (self.mac, *self.old_macs)

    def public(self) -> list[VerifierKey]:
        """The public keys of checkpoints, the present one first."""
        seeds = [seed for seed in (self.signing, *self.old_signings) if seed is not None]
        return [Signer(ORIGIN, seed).key for seed in seeds]

    @classmethod
    def load_or_create(cls, directory: Path) -> AuditKeys:
        """The keys in ``directory``; each that is missing is made, readable by its owner only."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        mac, patient, signing = (load_or_create_key(directory / name) for name in _FILES)
        return cls(mac, patient, signing, *_replaced(directory))

    @classmethod
    def load(cls, directory: Path) -> AuditKeys | None:
        """The keys in ``directory``; None without the first two. Makes nothing.

        Without the signing key checkpoints cannot be checked, but row MACs can.
        """
        mac, patient, signing = (directory / name for name in _FILES)
        if not (mac.is_file() and patient.is_file()):
            return None
        return cls(
            mac.read_bytes(),
            patient.read_bytes(),
            signing.read_bytes() if signing.is_file() else None,
            *_replaced(directory),
        )

    def patient_key(self, reference: str) -> str:
        """The keyed hash that stands for a patient: 32 hex digits, the same for each reference.

        Without the key nobody can tell whose it is; destroying the key makes all of them
        nobody's.
        """
        return mac_of(self.patient)(reference.encode())[:_PATIENT_KEY_BYTES].hex()


def _replaced(directory: Path) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """MAC and signing keys that rotation put aside (``audit-mac.key.1`` …), the newest first."""

    def old(name: str) -> tuple[bytes, ...]:
        numbered = [p for p in directory.glob(f"{name}.*") if p.suffix[1:].isdigit()]
        numbered.sort(key=lambda path: int(path.suffix[1:]), reverse=True)
        return tuple(path.read_bytes() for path in numbered)

    return old(MAC_FILE), old(SIGNING_FILE)


def next_path(directory: Path, name: str) -> Path:
    """Where a key waits that has been announced, or is about to be, and is not in use yet."""
    return directory / f"{name}.next"


def take_into_use(directory: Path, name: str) -> None:
    """Put the present key aside under the next number, and the waiting one in its place."""
    path = directory / name
    number = 1 + max((int(p.suffix[1:]) for p in directory.glob(f"{name}.*")
                      if p.suffix[1:].isdigit()), default=0)  # fmt: skip
    os.link(path, path.with_name(f"{name}.{number}"))
    os.replace(next_path(directory, name), path)
