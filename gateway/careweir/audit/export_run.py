"""Many lines of an export at once.

What the next entries of a writer are follows from their bodies: so their lines are made anew, and
must be the very bytes that are there. Three facts are read out of each body. What does not fit is
left to be read line by line.
"""

from __future__ import annotations

from binascii import Error, hexlify, unhexlify
from collections.abc import Sequence

import msgspec
import orjson

from careweir.audit.walk import Walk
from careweir.audit.walked import Ahead

_TO_BODY = b'","body":'
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
    head = b'{"writer":%b,"seq":' % orjson.dumps(place.writer)
    if not all(line.startswith(head) and line.endswith(b"}\n") for line in lines):
        return False
    numbers = range(place.seq + 1, place.seq + 1 + len(lines))
    before_body = len(head) + _BETWEEN
    starts = [before_body + len(str(number)) for number in numbers]
    bodies = [line[start:-2] for line, start in zip(lines, starts, strict=True)]
    try:
        facts = list(map(_read, bodies))
        types = [told.type for told in facts]
        ahead = walk.ahead(place.writer, bodies, [told.recorded for told in facts], types)
        if ahead is None:
            return False
        macs = _macs(ahead, lines, starts)
    except (msgspec.DecodeError, ValueError, Error):
        return False
    hashes = list(map(hexlify, ahead.hashes))
    befores = [hexlify(ahead.chain.hash), *hashes[:-1]]
    form = head + b'%d,"prev_hash":"%b","hash":"%b","mac":"%b","body":'
    made = [form % parts for parts in zip(numbers, befores, hashes, macs, strict=True)]
    if not all(map(bytes.startswith, lines, made)):
        return False
    walk.follow(ahead, bodies, types, [told.disclosure for told in facts])
    return True


def _macs(ahead: Ahead, lines: Sequence[bytes], starts: Sequence[int]) -> list[bytes]:
    """The MACs that the lines must have: without a key, those that they do have."""
    if ahead.macs is not None:
        return list(map(hexlify, ahead.macs))
    ends = [start - len(_TO_BODY) for start in starts]
    found = [line[end - _DIGEST : end] for line, end in zip(lines, ends, strict=True)]
    return [hexlify(unhexlify(mac)) for mac in found]
