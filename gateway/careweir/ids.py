"""Identifiers: sortable ones for records, opaque ones for what a vendor may see."""

from __future__ import annotations

import secrets
import time
from base64 import b32encode
from collections.abc import Callable

from careweir.mac import mac_of

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SHIFTS = range(125, -1, -5)

NewId = Callable[[str], str]


def new_id(prefix: str) -> str:
    """``inf_01J…``: a ULID (48 bits of milliseconds, 80 random bits) behind a prefix."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return f"{prefix}_{''.join([_CROCKFORD[number >> shift & 31] for shift in _SHIFTS])}"


class Pseudonyms:
    """Opaque references for one tool and one inference.

    The same real reference gives the same pseudonym within the pair, and nothing that can be
    linked outside it: another tool, or the same tool tomorrow, sees another one.
    """

    def __init__(self, key: bytes, *, inference: str, tool: str) -> None:
        self._mac = mac_of(key)
        self._scope = f"{inference}\n{tool}\n".encode()

    def __call__(self, kind: str, real: str) -> str:
        """A FHIR id of 27 characters: one letter for the kind, then 130 bits of HMAC-SHA-256."""
        digest = self._mac(self._scope + f"{kind}\n{real}".encode())
        return kind[0].lower() + b32encode(digest).decode("ascii").lower()[:26]
