"""The secrets of the trail: that a row is ours, who it is about, and who signed the checkpoint."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from pathlib import Path

from careweir.errors import ConfigInvalid
from careweir.keyfile import KEY_BYTES, load_or_create_key

_PATIENT_KEY_BYTES = 16  # 128 bits name a patient beyond any collision
MAC_FILE = "audit-mac.key"
PATIENT_FILE = "audit-patient.key"
SIGNING_FILE = "audit-signing.key"
_FILES = (MAC_FILE, PATIENT_FILE, SIGNING_FILE)


@dataclass(frozen=True, slots=True)
class AuditKeys:
    """``mac`` authenticates rows, ``patient`` makes pseudonyms, ``signing`` signs checkpoints.

    32 bytes each.
    """

    mac: bytes = field(repr=False)
    patient: bytes = field(repr=False)
    signing: bytes | None = field(default=None, repr=False)  # Ed25519; None: nothing is sealed

    def __post_init__(self) -> None:
        given = [key for key in (self.mac, self.patient, self.signing) if key is not None]
        if any(len(key) != KEY_BYTES for key in given):
            raise ConfigInvalid(f"an audit key must have {KEY_BYTES} bytes")

    @classmethod
    def load_or_create(cls, directory: Path) -> AuditKeys:
        """The keys in ``directory``; each that is missing is made, readable by its owner only."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cls(*(load_or_create_key(directory / name) for name in _FILES))

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
        )

    def patient_key(self, reference: str) -> str:
        """The keyed hash that stands for a patient: 32 hex digits, the same for each reference.

        Without the key nobody can tell whose it is; destroying the key makes all of them
        nobody's.
        """
        digest = hmac.digest(self.patient, reference.encode(), "sha256")
        return digest[:_PATIENT_KEY_BYTES].hex()
