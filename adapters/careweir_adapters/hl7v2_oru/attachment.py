"""The plain text of an ED value (encapsulated data), where it is plain text."""

from __future__ import annotations

import base64
import binascii


def text_of(parts: list[str]) -> str | None:
    """``source ^ type ^ subtype ^ encoding ^ data``; None for a PDF, an image or broken data."""
    kind, subtype, encoding, data = [*parts[1:5], "", "", "", ""][:4]
    if kind.strip().upper() != "TEXT" or subtype.strip().upper() not in ("", "PLAIN"):
        return None
    if encoding.strip().upper() in ("", "A"):
        return data or None
    if encoding.strip().upper() != "BASE64":
        return None
    try:
        return base64.b64decode("".join(data.split()), validate=True).decode("utf-8") or None
    except (binascii.Error, UnicodeDecodeError):
        return None
