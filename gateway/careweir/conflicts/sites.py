"""Places in the body: which words and ids mean one place, and which place holds which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from careweir.conflicts.concepts import read_words
from careweir.conflicts.memo import Memo
from careweir_fhir.model import Coding


class SiteRow(BaseModel):
    """One row of ``sites.yaml``."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    names: tuple[str, ...] = ()
    radlex: tuple[str, ...] = ()
    parent: str | None = None
    side: Literal["left", "right"] | None = None
    organ: str | None = None


class Place(NamedTuple):
    """A place; ``organ`` is set for a whole paired organ, whatever its side."""

    id: str
    above: frozenset[str]
    sides: frozenset[str] | None
    organ: str | None
    label: str
    known: bool = True


class SiteTable:
    """The shipped places; anything else is a place equal only to itself."""

    def __init__(self, rows: Mapping[str, SiteRow]) -> None:
        self._rows = rows
        self._by_code = {code: name for name, row in rows.items() for code in row.radlex}
        self._by_words: dict[tuple[str, frozenset[str] | None], str] = {}
        for name, row in rows.items():
            for words in (name.replace("-", " "), *row.names):
                read = read_words(words)
                self._by_words.setdefault((read.key, read.sides), name)
        self._memo: Memo[Place | None] = Memo()

    def resolve(self, coding: Coding) -> Place | None:
        """The place of a coding, or None when it names none."""
        key = (coding.code, coding.display)
        return self._memo.get(key, lambda: self._resolve(coding))

    def _resolve(self, coding: Coding) -> Place | None:
        for text in (coding.code, coding.display):
            if text and text.strip().upper() in self._by_code:
                return self._place(self._by_code[text.strip().upper()], None)
        text = coding.display or coding.code
        if not text or not text.strip():
            return None
        words = read_words(text)
        exact = self._by_words.get((words.key, words.sides))
        if exact is not None:
            return self._place(exact, words.sides)
        whole = self._by_words.get((words.key, None))
        if whole is not None:
            return self._place(whole, words.sides)
        return _own_place(words.key, words.sides, text)

    def _place(self, name: str, sides: frozenset[str] | None) -> Place:
        row = self._rows[name]
        own = frozenset(row.side[0].upper()) if row.side else sides
        above = {name}
        parent = row.parent
        while parent is not None:
            above.add(parent)
            parent = self._rows[parent].parent
        return Place(name, frozenset(above), own, row.organ, name.replace("-", " "))


def _own_place(key: str, sides: frozenset[str] | None, text: str) -> Place:
    name = f"words:{key}"
    return Place(name, frozenset({name}), sides, None, text.strip().casefold()[:60], known=False)
