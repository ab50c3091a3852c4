"""Many lines of an export at once.

What the next entries of a writer are follows from their bodies: so their lines are made anew, and
must be the very bytes that are there. Three facts are read out of each body. What does not fit is
left to be read line by line.
"""

from __future__ import annotations

from binascii import Error, hexlify, unhexlify
from collections.abc import Sequence
from itertools import repeat

import msgspec
import orjson

from careweir.audit.walk import Walk
from careweir.audit.walked import Ahead

_TO_BODY, _END = b'","body":', b"}\n"
_DIGEST = 64  # hex digits
# Of a line from its number to its body, without the number.
_BETWEEN = len(b',"prev_hash":"","hash":"","mac":"","body":') + 3 * _DIGEST


class _Facts(msgspec.Struct, gc=False):
    recorded: str
    type: str
    disclosure: str | None


_read = msgspec.json.Decoder(_Facts).decode


def take_run(lines: Sequence[bytes], walk: Walk) -> bool:
    """Take lines if all are of the writer before them, and sound; else leave all as it was."""
    place = walk.place()
    if place is None:
        return False
    first, last = place.seq + 1, place.seq + len(lines)
    if len(str(first)) != len(str(last)) or not all(map(bytes.endswith, lines, repeat(_END))):
        return False
    head = b'{"writer":%b,"seq":' % orjson.dumps(place.writer)
    start = len(head) + len(str(first)) + _BETWEEN
    bodies = [line[start:-2] for line in lines]
    try:
        facts = list(map(_read, bodies))
        types = [told.type for told in facts]
        ahead = walk.ahead(place.writer, bodies, [told.recorded for told in facts], types)
        if ahead is None:
            return False
        macs = _macs(ahead, lines, start - len(_TO_BODY))
    except (msgspec.DecodeError, ValueError, Error):
        return False
    hashes = list(map(hexlify, ahead.hashes))
    befores = [hexlify(ahead.chain.hash), *hashes[:-1]]
    form = head + b'%d,"prev_hash":"%b","hash":"%b","mac":"%b","body":'
    made = [
        form % parts for parts in zip(range(first, last + 1), befores, hashes, macs, strict=True)
    ]
    if not all(map(bytes.startswith, lines, made)):
        return False
    walk.follow(ahead, bodies, types, [told.disclosure for told in facts])
    return True


def _macs(ahead: Ahead, lines: Sequence[bytes], end: int) -> list[bytes]:
    """The MACs that the lines must have: without a key, those that they do have."""
    if ahead.macs is not None:
        return list(map(hexlify, ahead.macs))
    return [hexlify(unhexlify(line[end - _DIGEST : end])) for line in lines]
