"""ICD-10-CM: hierarchy, and what hides inside a code (side, encounter, sequela).

The classification itself is read by ``careweir_kit.icd10cm``, a category at a time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from careweir_kit import icd10cm

_SHAPE = re.compile(r"^[A-Z][0-9A][0-9A-Z](\.[0-9A-Z]{1,4})?$")
_SIDE_WORDS = {"right": "R", "left": "L", "lt": "L", "rt": "R", "bilateral": "LR", "both": "LR"}
_NO_MEANING = frozenset({"unspecified", "nos", "right", "left", "bilateral", "both", "side"})
_ENCOUNTER = re.compile(r",\s*(initial encounter|subsequent encounter|sequela).*$")
_NOTE_CODES = re.compile(r"\(([^()]*)\)")
_NOTE_RANGE = re.compile(
    r"([A-Z]\d[0-9A-Z](?:\.[0-9A-Z]+)?)(?:-([A-Z]\d[0-9A-Z](?:\.[0-9A-Z]+)?))?"
)


def tidy_code(code: str) -> str | None:
    """``s72001a`` -> ``S72.001A``; None when it does not have the shape of a code."""
    bare = code.strip().upper().replace(".", "").rstrip("-")
    dotted = bare if len(bare) <= 3 else f"{bare[:3]}.{bare[3:]}"
    return dotted if _SHAPE.match(dotted) else None


@lru_cache(maxsize=8192)
def describe(code: str) -> str | None:
    """The official description of a (dotted) code, or None when there is no such code."""
    found = icd10cm.entry(code)
    return None if found is None else found.description


def prefixes(code: str) -> list[str]:
    """The code and everything above it, deepest first: ``S72.00`` -> S72.00, S72.0, S72."""
    chain = [code[:end] for end in range(len(code), 2, -1)]
    return [item for item in chain if not item.endswith(".")]


def sides_in(words: str) -> frozenset[str] | None:
    """The sides that words name: {'R'}, {'L'}, both, or None."""
    found = {letter for word in words.split() for letter in _SIDE_WORDS.get(word, "")}
    return frozenset(found) if found else None


@dataclass(frozen=True, slots=True)
class IcdCode:
    """A code taken apart: its ids from narrow to broad, its side, and whether it is a sequela."""

    ids: tuple[str, ...]  # the first is what the code itself means, side and encounter taken out
    names: tuple[tuple[str, str], ...]  # (id, official words) of the code and all above it
    sides: frozenset[str] | None
    sequela: bool
    description: str


@lru_cache(maxsize=8192)
def take_apart(code: str) -> IcdCode | None:
    """What a (dotted) code says once its side, encounter and 'unspecified' are taken out."""
    description = describe(code)
    if description is None:
        return None
    lowered = description.casefold()
    ids: list[str] = []
    names: list[tuple[str, str]] = []
    for item in prefixes(code):
        meaning = _meaning(item)
        if meaning is not None:
            names.append((meaning, _ENCOUNTER.sub("", (describe(item) or "").casefold())))
            if meaning not in ids:
                ids.append(meaning)
    return IcdCode(
        ids=tuple(ids),
        names=tuple(names),
        sides=sides_in(re.sub(r"[^\w]+", " ", lowered)),
        sequela=lowered.endswith("sequela"),
        description=description,
    )


def _meaning(code: str) -> str | None:
    """An id that two codes share when they differ only in side, encounter or 'unspecified'."""
    description = describe(code)
    if description is None:
        return None
    lowered = description.casefold()
    bare = _ENCOUNTER.sub("", lowered)
    if bare != lowered and len(code) > 7:
        return _meaning(code[:-1].rstrip("X")) or f"icd:{code}"
    if code[-1] in "09" and "unspecified" in bare and len(code) > 3:
        above = _meaning(code[:-1].rstrip("."))
        if above is not None and sides_in(bare.replace(",", " ")) is None:
            return above
    words = [w for w in re.findall(r"[\w]+", bare) if w not in _NO_MEANING]
    if sides_in(bare.replace(",", " ")) is None and "unspecified" not in bare:
        return f"icd:{code}"
    return f"icd:{code[:3]}:{' '.join(words)}"


@lru_cache(maxsize=4096)
def excluded_by(code: str) -> tuple[tuple[str, str], ...]:
    """Ranges of codes that may never stand beside this one (Excludes1 here or above)."""
    ranges: list[tuple[str, str]] = []
    for item in prefixes(code):
        found = icd10cm.entry(item)
        for note in found.excludes1 if found is not None else ():
            ranges.extend(_ranges(note))
    return tuple(ranges)


def _ranges(note: str) -> list[tuple[str, str]]:
    found = []
    for inside in _NOTE_CODES.findall(note):
        for first, last in _NOTE_RANGE.findall(inside.replace(".-", "")):
            found.append((first, last or first))
    return found


def in_ranges(code: str, ranges: Sequence[tuple[str, str]]) -> bool:
    """Does a code lie in one of the ranges (``O10`` to ``O16`` includes ``O16.9``)?"""
    return any(
        first <= code[: len(first)] and code[: len(last)] <= last
        for first, last in ranges
        if len(code) >= len(first)
    )


def categories_between(first: str, last: str) -> list[str]:
    """The three-character categories of a range: I60, I62 -> I60, I61, I62 (one letter only)."""
    if first[0] != last[0] or not (first[1:].isdigit() and last[1:].isdigit()):
        return [first, last]
    return [f"{first[0]}{number:02d}" for number in range(int(first[1:]), int(last[1:]) + 1)]
