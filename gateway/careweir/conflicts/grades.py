"""Ordinal grades: on which scale, which level; and triage levels on five."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from careweir.conflicts.concepts import Concept, read_words
from careweir.conflicts.memo import Memo
from careweir.conflicts.tables import GradeRow, TriageRow, compiled
from careweir.conflicts.words import number_from_text, plain
from careweir_fhir.model import Finding


class Grade(NamedTuple):
    """A level (0 the mildest) on a scale."""

    scale: str
    level: int
    written: str


_ROMAN = {"i": "1", "ii": "2", "iii": "3", "iv": "4", "v": "5", "vi": "6"}
_SEVERITIES = frozenset({"mild", "moderate", "severe"})
_LEADING = ("category", "grade", "stage", "class", "level", "score", "type", "group", "degree")


@lru_cache(maxsize=4096)
def _key(text: str) -> str:
    return plain(text.replace("-", " "))


class GradeTable:
    """The ordinal scales by name, by ICD-10-CM code and by words that carry a level."""

    def __init__(self, rows: Mapping[str, GradeRow]) -> None:
        self.rows = rows
        self._by_name = {
            _key(words): name
            for name, row in rows.items()
            for words in (name.replace("-", " "), *row.names)
        }
        self._memo: Memo[Grade | None] = Memo()
        self._codes = {name: compiled(row.icd10cm) for name, row in rows.items() if row.icd10cm}
        self._words = {
            read_words(words).key: (name, level)
            for name, row in rows.items()
            for words, level in row.words.items()
        }
        self._levels = {
            name: {_key(word): step for step, words in enumerate(row.levels) for word in words}
            for name, row in rows.items()
        }

    def grade_of(self, finding: Finding, concept: Concept) -> Grade | None:
        """The grade that a finding gives, or None when scale or level cannot be read."""
        named = finding.scale or self.names_scale(finding.code.display)
        value = finding.value if named or isinstance(finding.value, str) else None
        key = (finding.kind, finding.scale, value, finding.code.display, concept.ids)
        return self._memo.get(key, lambda: self._grade_of(finding, concept))

    def names_scale(self, display: str | None) -> bool:
        """Do words name a scale and nothing else?"""
        return display is not None and _key(display) in self._by_name

    def _grade_of(self, finding: Finding, concept: Concept) -> Grade | None:
        return (
            self._on_scale(finding)
            or (self.in_code(concept.icd) if concept.icd is not None else None)
            or self._in_words(finding.code.display)
            or self._by_severity(finding, concept)
        )

    def _by_severity(self, finding: Finding, concept: Concept) -> Grade | None:
        """``severe`` as the value or in the words of an assertion, on the concept's own scale."""
        if finding.kind != "assertion" or finding.scale is not None or not concept.ids:
            return None
        text = finding.code.display if finding.value is None else finding.value
        said = _SEVERITIES.intersection(plain(text).split()) if isinstance(text, str) else ()
        if len(said) != 1 or (finding.value is not None and plain(str(text)) not in said):
            return None
        [word] = said
        own = self._by_name.get(_key(f"{concept.base or concept.ids[0]} severity"))
        for name in (own, "severity-words"):
            level = self._level(name, word) if name in self._levels else None
            if name is not None and level is not None:
                return Grade(name, level, word)
        return None

    def _on_scale(self, finding: Finding) -> Grade | None:
        """A named scale with a value; the name may stand in the code's words instead."""
        for text in (finding.scale, finding.code.display):
            name = self._by_name.get(_key(text)) if text else None
            if name is not None and finding.value is not None:
                level = self._level(name, str(finding.value))
                return None if level is None else Grade(name, level, str(finding.value)[:20])
        if isinstance(finding.value, str) and finding.scale is None:
            return self._in_words(finding.value)
        return None

    def _level(self, name: str, value: str) -> int | None:
        words = _key(value)
        for label in sorted(self._by_name, key=len, reverse=True):
            if self._by_name[label] == name and words.startswith(label + " "):
                words = words[len(label) + 1 :]
                break
        for word in _LEADING:
            words = words.removeprefix(word + " ")
        levels = self._levels[name]
        number = number_from_text(words)
        if number is not None and number.is_integer():
            words = str(int(number))
        return levels.get(words, levels.get(_ROMAN.get(words, words)))

    def in_code(self, code: str) -> Grade | None:
        """The grade that hides inside an ICD-10-CM code."""
        for name, patterns in self._codes.items():
            for pattern, level in patterns:
                if pattern.match(code):
                    return Grade(name, level, code)
        return None

    def _in_words(self, text: str | None) -> Grade | None:
        """``BI-RADS 4`` or ``moderate NPDR`` said in words alone."""
        if not text:
            return None
        found = self._words.get(read_words(text).key)
        if found is not None:
            return Grade(found[0], found[1], plain(text)[:40])
        words = _key(text)
        for label, name in self._by_name.items():
            if len(label) > 3 and re.match(rf"{re.escape(label)}\b", words):
                level = self._level(name, words)
                if level is not None:
                    return Grade(name, level, words[:40])
        return None


class TriageTable:
    """Triage scales that are known to run from 1, the most urgent, to 5."""

    def __init__(self, rows: Mapping[str, TriageRow]) -> None:
        self._rows = rows
        self._by_name = {
            _key(words): name for name, row in rows.items() for words in (name, *row.names)
        }
        self._levels = {
            name: {_key(word): level for word, level in row.levels.items()}
            for name, row in rows.items()
        }

    def level_of(self, finding: Finding) -> tuple[str, int] | None:
        """(scale, level 1 to 5), or None for an unknown scale or level."""
        for text in (finding.scale, finding.code.display):
            name = self._by_name.get(_key(text)) if text else None
            if name is not None:
                break
        else:
            return None
        if finding.value is None:
            return None
        words = _key(str(finding.value)).removeprefix(_key(name) + " ")
        for word in _LEADING:
            words = words.removeprefix(word + " ")
        number = number_from_text(words)
        if number is not None and number.is_integer():
            words = str(int(number))
        levels = self._levels[name]
        level = levels.get(words, levels.get(_ROMAN.get(words, words)))
        if level is None:  # ``5 - non urgent``: a number and its own words
            head, _, rest = words.partition(" ")
            level = levels.get(head) if levels.get(head) == levels.get(rest) else None
        return None if level is None else (name, level)
