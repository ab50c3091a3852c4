"""What rows cannot show: bytes of the SQLite files that belong to no entry.

``seal_file`` runs when a trail closes in good order: a digest of each block of the file, under
the key that the database does not hold, beside the database. So a change in a free part of a
page, or in the file's header, does not pass either. ``wal_damage`` reads the write-ahead log of a
trail that runs or was killed: SQLite takes the first frame whose checksum is wrong as the end,
and would drop all that follows without a word.
"""

from __future__ import annotations

import hmac
import os
import struct
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import orjson

BLOCK_BYTES = 1 << 18
SEALED_BYTES_MAX = 1 << 31  # 2 GiB take about two seconds when the gateway stops
_DOMAIN = b"careweir audit file\n"
_WAL_HEADER = struct.Struct(">8I")
_FRAME_HEADER = struct.Struct(">6I")


def seal_path(database: Path) -> Path:
    """Where the seal of a database file lies."""
    return database.with_name(database.name + ".seal")


def seal_file(database: Path, mac_key: bytes) -> None:
    """Seal a database file that nobody has open; a very large one is left without."""
    size = database.stat().st_size
    if size > SEALED_BYTES_MAX:
        return
    body = orjson.dumps({"bytes": size, "block": BLOCK_BYTES, "sha256": list(_digests(database))})
    mac = hmac.digest(mac_key, _DOMAIN + body, "sha256").hex().encode()
    descriptor = os.open(seal_path(database), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(mac + b" " + body)


def file_damage(database: Path, mac_keys: Sequence[bytes]) -> str | None:
    """How the file differs from its seal; None if it does not, or has none.

    The seal is worth its MAC: without the key it is compared all the same.
    """
    if not seal_path(database).is_file():
        return None
    mac, _, body = seal_path(database).read_bytes().partition(b" ")
    if mac_keys:  # rows are judged by their MAC under the same keys
        made = [hmac.digest(key, _DOMAIN + body, "sha256").hex().encode() for key in mac_keys]
        if not any(hmac.compare_digest(mac, expected) for expected in made):
            return "the seal of the file is not ours"
    try:
        sealed = orjson.loads(body)
        digests, size = sealed["sha256"], sealed["bytes"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return "the seal of the file is not ours"
    if database.stat().st_size != size:
        return f"{database.stat().st_size} bytes, {size} when it was closed"
    for index, digest in enumerate(_digests(database)):
        if digest != digests[index]:
            start = index * BLOCK_BYTES
            return f"between bytes {start} and {min(start + BLOCK_BYTES, size)}"
    return None


def _digests(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield sha256(block).hexdigest()


def wal_damage(wal: Path) -> tuple[bool, str] | None:
    """Whether a write-ahead log holds a frame that SQLite would silently end at.

    Returns None if it is whole, else (is it certain, where). It is not certain where nothing
    sound follows: a machine that loses its power in mid-write leaves the same.

    Source: sqlite.org/fileformat2.html#the_write_ahead_log, sections 4.1 to 4.3.
    """
    raw = wal.read_bytes()
    if len(raw) < _WAL_HEADER.size:
        return None
    magic, _, page_bytes, _, salt_1, salt_2, *stored = _WAL_HEADER.unpack_from(raw)
    order = ">" if magic & 1 else "<"
    if magic & ~1 != 0x377F0682 or page_bytes & (page_bytes - 1) or page_bytes < 512:
        return True, "the head of the write-ahead log"
    if _checksum(order, raw[:24], (0, 0)) != tuple(stored):
        return True, "the head of the write-ahead log"
    return _frame_damage(raw, page_bytes, (salt_1, salt_2), order, (stored[0], stored[1]))


def _frame_damage(
    raw: bytes, page_bytes: int, salts: tuple[int, int], order: str, before: tuple[int, int]
) -> tuple[bool, str] | None:
    """The first bad frame among those of this log's salts."""
    step = _FRAME_HEADER.size + page_bytes
    bad: int | None = None
    for number, at in enumerate(range(_WAL_HEADER.size, len(raw) - step + 1, step), start=1):
        _, _, *found, sum_1, sum_2 = _FRAME_HEADER.unpack_from(raw, at)
        page = raw[at + _FRAME_HEADER.size : at + step]
        sound = _checksum(order, raw[at : at + 8] + page, before) == (sum_1, sum_2)
        if sound and tuple(found) == salts:
            if bad is not None:
                return True, f"frame {bad} of the write-ahead log"
        elif bad is None:
            if not sound and tuple(found) != salts:
                return None  # what is left of an earlier round
            bad = number
        elif number > bad + 2:
            break
        before = sum_1, sum_2
    return None if bad is None else (False, f"frame {bad} of the write-ahead log")


def _checksum(order: str, data: bytes, start: tuple[int, int]) -> tuple[int, int]:
    first, second = start
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
