"""HMAC-SHA-256 for where many short texts are hashed under one key."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256

Mac = Callable[[bytes], bytes]
_KEYS_MAX = 32


@lru_cache(maxsize=_KEYS_MAX)
def mac_of(key: bytes) -> Mac:
    """HMAC-SHA-256 under ``key`` (RFC 2104), which is hashed in once: twice as fast a text.

    ``hmac.digest`` lets other threads run meanwhile; in the event loop that is where the databases'
    threads take the interpreter, and one patient key then costs a fraction of a millisecond.
    """
    block = sha256().block_size
    padded = (sha256(key).digest() if len(key) > block else key).ljust(block, b"\0")
    inner = sha256(bytes(byte ^ 0x36 for byte in padded))
    outer = sha256(bytes(byte ^ 0x5C for byte in padded))

    def mac(text: bytes) -> bytes:
        inside, outside = inner.copy(), outer.copy()
        inside.update(text)
        outside.update(inside.digest())
        return outside.digest()

    return mac
