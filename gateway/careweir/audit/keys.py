"""The two secrets of the trail: one shows that a row is ours, the other hides who it is about."""

from __future__ import annotations

import hmac
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from careweir.errors import ConfigInvalid

KEY_BYTES = 32
_PATIENT_KEY_BYTES = 16  # 128 bits name a patient beyond any collision
MAC_FILE = "audit-mac.key"
PATIENT_FILE = "audit-patient.key"


@dataclass(frozen=True, slots=True)
class AuditKeys:
    """``mac`` authenticates rows, ``patient`` makes pseudonyms; 32 bytes each."""

    mac: bytes = field(repr=False)
    patient: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.mac) != KEY_BYTES or len(self.patient) != KEY_BYTES:
            raise ConfigInvalid(f"an audit key must have {KEY_BYTES} bytes")

    @classmethod
    def load_or_create(cls, directory: Path) -> AuditKeys:
        """The keys in ``directory``; each that is missing is made, readable by its owner only."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cls(_create(directory / MAC_FILE), _create(directory / PATIENT_FILE))

    @classmethod
    def load(cls, directory: Path) -> AuditKeys | None:
        """The keys in ``directory``, or None if they are not both there. Makes nothing."""
        paths = directory / MAC_FILE, directory / PATIENT_FILE
        if not all(path.is_file() for path in paths):
            return None
        return cls(*(path.read_bytes() for path in paths))

    def patient_key(self, reference: str) -> str:
        """The keyed hash that stands for a patient: 32 hex digits, the same for each reference.

        Without the key nobody can tell whose it is; destroying the key makes all of them
        nobody's.
        """
        digest = hmac.digest(self.patient, reference.encode(), "sha256")
        return digest[:_PATIENT_KEY_BYTES].hex()


def _create(path: Path) -> bytes:
    """Write a new key unless there is one. Whoever links it first wins, and all read that one."""
    if not path.exists():
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, secrets.token_bytes(KEY_BYTES))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _link(fresh, path)
    return path.read_bytes()


def _link(fresh: Path, path: Path) -> None:
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass  # another process was first: its key is the key
    finally:
        fresh.unlink()
