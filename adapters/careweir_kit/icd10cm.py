"""ICD-10-CM: the words and the Excludes1 notes of a code, read a category at a time.

The classification (CMS/NCHS, public domain) is taken from the files that ``simple-icd-10-cm``
carries. Importing that package builds a tree of all 97 000 codes, which takes seconds and 180 MB;
here only where each of the 1 900 categories stands is remembered, and a category is read when one
of its codes is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

_CATEGORY = re.compile(rb"<diag>\s*<name>([A-Z][0-9A-Z]{2})</name>")
_LISTED = re.compile(rb"^([A-Z][0-9A-Z]{2})\r?$", re.MULTILINE)
_CATEGORIES_MAX = 64  # kept of those in use; the largest has 3 300 codes, most have a dozen
_END = b"</diag>"

Extensions = Mapping[str, str]
Spans = dict[str, tuple[int, int]]


class Entry(NamedTuple):
    """One code: its words, the Excludes1 notes at the code itself, what its seventh character says.

    ``words`` of ``S72.001A`` are those of S72.001, ``extension`` is "initial encounter for ...".
    """

    words: str
    excludes1: tuple[str, ...] = ()
    extension: str | None = None

    @property
    def description(self) -> str:
        """The official description."""
        return self.words if self.extension is None else f"{self.words}, {self.extension}"


class _Files(NamedTuple):
    """Where the two files are, and where in each of them a category stands (start, end)."""

    tabular: Path
    codes: Path
    in_tabular: Spans
    in_codes: Spans


def entry(code: str) -> Entry | None:
    """The entry of a code with its dot (``S72.001A``), None when there is no such code."""
    return _category(code[:3]).get(code)


def warm() -> None:
    """Find the categories now (about 30 ms): the first code is then no slower than the next."""
    _files()


@lru_cache(maxsize=1)
def _files() -> _Files | None:
    spec = find_spec("simple_icd_10_cm")
    if spec is None or spec.origin is None:
        return None
    data = Path(spec.origin).parent / "data"
    tabular, codes = next(data.glob("icd10c-tabular-*.xml")), next(data.glob("code-list-*.txt"))
    return _Files(tabular, codes, _spans(tabular, _CATEGORY), _spans(codes, _LISTED))


def _spans(file: Path, heading: re.Pattern[bytes]) -> Spans:
    content = file.read_bytes()
    found = [(match[1].decode(), match.start()) for match in heading.finditer(content)]
    ends = [start for _, start in found[1:]] + [len(content)]
    return {name: (start, end) for (name, start), end in zip(found, ends, strict=True)}


@lru_cache(maxsize=_CATEGORIES_MAX)
def _category(name: str) -> dict[str, Entry]:
    """Every code of one category; empty where there is no such category."""
    files = _files()
    if files is None or name not in files.in_tabular:
        return {}
    text = _cut(files.tabular, files.in_tabular[name])
    tree = ElementTree.fromstring(text[: text.rindex(_END) + len(_END)])  # noqa: S314 - our own file
    listed = frozenset(_cut(files.codes, files.in_codes.get(name, (0, 0))).decode().split())
    return dict(_entries(tree, {}, listed))


def _cut(file: Path, span: tuple[int, int]) -> bytes:
    start, end = span
    with file.open("rb") as opened:
        opened.seek(start)
        return opened.read(end - start)


def _entries(
    diag: ElementTree.Element, above: Extensions, listed: frozenset[str]
) -> Iterator[tuple[str, Entry]]:
    """A code, the codes below it, and where there are none its seventh characters.

    Not every seventh character goes with every code: the list of codes decides.
    """
    code, words = diag.findtext("name", ""), diag.findtext("desc", "")
    notes = tuple(note.text for note in diag.iterfind("excludes1/note") if note.text)
    yield code, Entry(words, notes)
    extensions = _extensions(diag) or above
    below = diag.findall("diag")
    for child in below:
        yield from _entries(child, extensions, listed)
    if not below:
        stem = (code if "." in code else f"{code}.").ljust(7, "X")
        for character, meaning in extensions.items():
            if stem.replace(".", "") + character in listed:
                yield stem + character, Entry(words, (), meaning)


def _extensions(diag: ElementTree.Element) -> Extensions:
    """The seventh characters that a code defines for itself and what is below it."""
    found: dict[str, str] = {}
    character = ""
    for part in diag.iterfind("sevenChrDef/*"):
        if part.tag == "extension":
            character = part.attrib["char"]
            found[character] = part.text or ""
        elif character and part.text:
            found[character] += f"/{part.text}"
    return found
