"""What a caller says about repeating and waiting: ``Idempotency-Key`` and ``Prefer``."""

from __future__ import annotations

import re

from careweir.errors import QuestionInvalid

_KEY = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


def checked_key(key: str | None) -> str | None:
    """A usable key, None where there is none, or QuestionInvalid."""
    if key is not None and _KEY.fullmatch(key) is None:
        raise QuestionInvalid("must be 1 to 128 letters, digits or _.:-", path="Idempotency-Key")
    return key


def respond_async(prefer: str | None) -> bool:
    """Does the caller prefer a 202 now and the answer later (RFC 7240)?"""
    preferences = re.split(r"[,;]", prefer or "")
    return any(one.strip().lower() == "respond-async" for one in preferences)
