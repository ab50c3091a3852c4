"""Signed messages between machines, in and out: Standard Webhooks with a shared secret.

    webhook-id: msg_…            the same when a message is sent again
    webhook-timestamp: 1772438400
    webhook-signature: v1,<base64 of HMAC-SHA-256 over "id.timestamp.body">  (several, by spaces)

Source: https://github.com/standard-webhooks/standard-webhooks, specification 1.0.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping
from datetime import datetime

TOLERANCE_S = 300
_PREFIX = "whsec_"
_ID_MAX = 200


def secret_bytes(secret: str) -> bytes:
    """The key of a secret: base64 after ``whsec_``, otherwise the text as it is."""
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return b64decode(secret.removeprefix(_PREFIX), validate=True)
    except NotBase64:
        return secret.encode()


def signed(secret: bytes, message_id: str, body: bytes, *, now: datetime) -> dict[str, str]:
    """The headers of a message of ours."""
    timestamp = str(int(now.timestamp()))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{_signature(secret, message_id, timestamp, body)}",
    }


def holds(secret: bytes, headers: Mapping[str, str], body: bytes, *, now: datetime) -> bool:
    """Is this message signed with the secret, and not older or newer than five minutes?"""
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not 0 < len(message_id) <= _ID_MAX or not (timestamp.isascii() and timestamp.isdigit()):
        return False
    if len(timestamp) > 12 or abs(int(timestamp) - now.timestamp()) > TOLERANCE_S:
        return False
    wanted = _signature(secret, message_id, timestamp, body).encode()
    given = headers.get("webhook-signature", "").split(" ")
    return any(
        hmac.compare_digest(one.removeprefix("v1,").encode(), wanted)
        for one in given
        if one.startswith("v1,")
    )


def _signature(secret: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    text = f"{message_id}.{timestamp}.".encode() + body
    return b64encode(hmac.digest(secret, text, "sha256")).decode("ascii")
