"""Answers that a vendor should never give, made from one that it did give."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from careweir_kit.adapter import VendorAnswer
from careweir_kit.conformance.model import CANARY
from careweir_kit.strict_json import JsonRefused, decode

SPOILED_MAX: Final = 2000  # of one recording; evenly spread over its places when there are more
NUMBERS: Final = (-1, 1e308)
_OTHERS: Final[tuple[Any, ...]] = (None, CANARY, True, [], {}, [CANARY], {CANARY: CANARY})
_BYTES: Final = (b"\x00", b"\xff", b"\n", b'"', b"|", b"{", b"9")


@dataclass(frozen=True, slots=True)
class Spoiled:
    """One spoiled answer and the numbers that were put into it."""

    answer: VendorAnswer
    put: tuple[float, ...] = ()


def json_of(answer: VendorAnswer) -> Any:
    """The JSON of an answer, or None where its body is in another format."""
    try:
        return decode(answer.body)
    except JsonRefused:
        return None


def with_body(answer: VendorAnswer, body: bytes) -> VendorAnswer:
    """The same answer with another body."""
    return VendorAnswer(answer.status, answer.headers, body)


def broken_bodies(answer: VendorAnswer) -> dict[str, bytes]:
    """Bodies that no adapter may read, made from an answer that it can."""
    good = answer.body
    bodies = {
        "empty": b"",
        "white space": b" \n ",
        "garbage": b"\x00\xff\x13{]\x9f",
        "html": b"<!doctype html><title>Sign in</title>",
        "null": b"null",
        "empty object": b"{}",
        "text": b'"' + CANARY.encode() + b'"',
        "cut short": good[: len(good) // 2],
    }
    value = json_of(answer)
    if not isinstance(value, list):
        bodies["list"] = b"[]"
    return bodies | (_two_meanings(value, good) if isinstance(value, dict) and value else {})


def _two_meanings(value: dict[str, Any], good: bytes) -> dict[str, bytes]:
    """JSON that two readers read in two ways."""
    key, rest = next(iter(value)), good.lstrip()[1:]
    return {
        "a key twice": f"{{{json.dumps(key)}: {json.dumps(value[key])}, ".encode() + rest,
        "NaN": b'{"a": NaN, ' + rest,
        "infinity": b'{"a": 1e999, ' + rest,
        "too deep": b'{"a": ' + b"[" * 200 + b"]" * 200 + b"," + rest,
        "not UTF-8": b'{"a": "\xff\xfe", ' + rest,
    }


def spoiled_answers(answer: VendorAnswer, *, count_max: int = SPOILED_MAX) -> Iterator[Spoiled]:
    """Copies of an answer with one place spoiled each: another value, a canary, or left out."""
    value = json_of(answer)
    every = _of_lines(answer) if value is None else _of_places(answer, value)
    step = max(1, -(-len(every) // count_max))
    for make in every[::step]:
        yield make()


def _of_places(answer: VendorAnswer, value: Any) -> list[Any]:
    def make(path: tuple[Any, ...], spoiler: Any, drop: bool) -> Spoiled:
        copy = deepcopy(value)
        if drop:
            del _at(copy, path[:-1])[path[-1]]
        else:
            _at(copy, path[:-1])[path[-1]] = deepcopy(spoiler)
        put = (float(spoiler),) if spoiler in NUMBERS and spoiler is not True else ()
        return Spoiled(with_body(answer, json.dumps(copy).encode()), put)

    return [
        lambda path=path, spoiler=spoiler, drop=drop: make(path, spoiler, drop)
        for path in paths(value)
        for spoiler, drop in (*((s, False) for s in (*_OTHERS, *NUMBERS)), (None, True))
    ]


def _of_lines(answer: VendorAnswer) -> list[Any]:
    """A format that is not JSON: each line and each field of a line left out or replaced."""
    mark = b"\r" if b"\r" in answer.body and b"\n" not in answer.body else b"\n"
    lines = answer.body.split(mark)
    made: list[list[bytes]] = []
    for at, line in enumerate(lines):
        made += [[*lines[:at], *lines[at + 1 :]], [*lines[:at], CANARY.encode(), *lines[at + 1 :]]]
        separator = b"|" if b"|" in line else b" "
        parts = line.split(separator)
        for place in range(len(parts)):
            for other in (b"", CANARY.encode(), b"-1"):
                parted = separator.join([*parts[:place], other, *parts[place + 1 :]])
                made.append([*lines[:at], parted, *lines[at + 1 :]])
    bodies = [mark.join(parts) for parts in made]
    return [lambda body=body: Spoiled(with_body(answer, body), (-1.0,)) for body in bodies]


def any_answers(answer: VendorAnswer, *, count: int, seed: int) -> Iterator[Spoiled]:
    """Many places spoiled at once, at random but the same for the same seed."""
    random, value = Random(seed), json_of(answer)  # noqa: S311 - replayable, not a secret
    for _ in range(count):
        if isinstance(value, dict | list) and value and random.random() < 0.8:
            copy = deepcopy(value)
            for _ in range(random.randint(1, 4)):
                _spoil_one(copy, random)
            yield Spoiled(with_body(answer, json.dumps(copy).encode()), NUMBERS)
        else:
            yield Spoiled(with_body(answer, _spoil_bytes(answer.body, random)), NUMBERS)


def _spoil_one(value: Any, random: Random) -> None:
    places = list(paths(value))
    if not places:
        return
    path = random.choice(places)
    holder = _at(value, path[:-1])
    match random.randrange(4):
        case 0:
            del holder[path[-1]]
        case 1 if isinstance(holder, list):
            holder.insert(path[-1], deepcopy(holder[path[-1]]))
        case 2:
            holder[path[-1]] = deepcopy(_at(value, random.choice(places)))
        case _:
            holder[path[-1]] = deepcopy(random.choice((*_OTHERS, *NUMBERS)))


def _spoil_bytes(body: bytes, random: Random) -> bytes:
    at = random.randrange(len(body) + 1)
    if random.random() < 0.3:
        return body[:at]
    return body[:at] + random.choice(_BYTES) + body[at + random.randrange(3) :]


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every place in a JSON value."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield (*path, key)
        yield from paths(item, (*path, key))


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value
