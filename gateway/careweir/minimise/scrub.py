"""Taking identifiers out of free text: what the patient's own chart names, and what looks like one.

First by dictionary (names, numbers, addresses, dates and ids that stand anywhere in this chart),
then by pattern. Each becomes its kind in brackets. Source of the kinds: 45 CFR 164.514(b)(2).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from careweir.minimise.chart import Chart
from careweir.minimise.identifiers import identifiers_in

# Parts of names that are also words of a report: only as written, never in lower case.
_COMMON_WORDS: Final = """
    lung left right chest heart rib may june will long short young black white brown green gray
    grey small large hill wood stone park day summer winter case page bone good best low high
    hospital medical center centre clinic health care general memorial the of and for dr mr mrs
    ms miss prof md phd rn
"""
_COMMON: Final = frozenset(_COMMON_WORDS.split())
_MONTH: Final = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_PATTERNS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE if insensitive else 0), mark)
    for pattern, mark, insensitive in (
        (r"\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}", "[EMAIL]", True),
        (r"\b(?:https?|ftp)://\S+|\bwww\.\S+", "[URL]", True),
        (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "[ID]", True),
        (r"\b\d{1,3}(?:\.\d{1,3}){3}\b", "[ADDRESS]", True),
        (r"\b\d(?:\d|\.(?=\d)){15,}\b", "[ID]", True),  # DICOM UIDs and other long numbers
        (r"\b\d{3}-\d{2}-\d{4}\b", "[ID]", True),
        (
            r"\b(?:MRN|MR#|medical record(?: number)?|SSN|accession(?: (?:number|no))?|account"
            r"(?: number)?|acct|patient id|policy(?: number)?|NPI|DEA)\b[ .:#]*[A-Z]{0,4}[-\d]"
            r"[\w/-]*",
            "[ID]",
            True,
        ),
        (r"\b\d{4}[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])"
         r"(?:T[\d:.]+(?:Z|[+-]\d\d:?\d\d)?)?\b", "[DATE]", True),
        (r"\b(?:0?[1-9]|[12]\d|3[01])[-/.](?:0?[1-9]|[12]\d|3[01])[-/.](?:\d{4}|\d{2})\b",
         "[DATE]", True),
        (rf"\b(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?[ -]{_MONTH}\.?,?[ -]\d{{2,4}}\b",
         "[DATE]", True),
        (rf"\b{_MONTH}\.?[ -](?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?(?:,?[ -]\d{{4}})?\b",
         "[DATE]", True),
        (rf"\b{_MONTH}\.?,? (?:19|20)\d{{2}}\b", "[DATE]", True),
        (r"\b(?:19|20)\d{6}\b", "[DATE]", True),
        (r"(?:\+?\d{1,3}[ .-]?)?(?:\(\d{3}\)|\b\d{3})[ .-]?\d{3}[ .-]\d{4}\b", "[PHONE]", True),
        (r"\b\d{10}\b|\+\d{8,15}\b", "[PHONE]", True),
        (r"\b\d{1,6}(?: [A-Z][\w'.]*){1,4} (?:Street|St|Avenue|Ave|Road|Rd|Drive|Dr|Lane|Ln|"
         r"Boulevard|Blvd|Court|Ct|Way|Place|Pl|Parkway|Terrace)\b\.?", "[ADDRESS]", False),
        (r"\b[A-Z]{2} \d{5}(?:-\d{4})?\b|\b\d{5}-\d{4}\b", "[ADDRESS]", False),
        (r"\b[A-Z]{1,3}\d{6,}[A-Z]?\b|\b\d{7,}\b", "[ID]", True),
        (r"\b(?:Dr|Mr|Mrs|Ms|Miss|Prof|Doctor|Nurse)\b\.? +[A-Z][\w'’-]+(?: +[A-Z][\w'’-]+){0,2}",
         "[NAME]", False),
        (r"(?i:\b(?:signed|dictated|reported|read|interpreted|reviewed|verified|transcribed|"
         r"electronically signed|attending|radiologist|technologist|referring(?: physician)?)"
         r"(?: by)?:? +)(?:[A-Z][\w'’.-]+[, ]*){2,4}", "[NAME] ", False),
        (r"(?i:\b(?:patient(?: name)?|name|pt):[ \t]*)(?:[A-Z][\w'’.-]+[, ]*){1,4}", "[NAME] ",
         False),
        (r"\b(?:9\d|1[0-2]\d)[- ]?(?:years?|yrs?|y)[- /]?(?:old|o)\b", "[AGE]", True),
        (r"\b(?:9\d|1[0-2]\d)[ -]?y\.?o\.?\b", "[AGE]", True),
    )
)  # fmt: skip

_REPEATED: Final = re.compile(r"\[NAME\](?:[ ,.]*\[NAME\])+")


class Scrubber:
    """A chart's identifiers as a dictionary; built on the first text, then kept with the chart."""

    def __init__(self, chart: Chart) -> None:
        found = identifiers_in(chart)
        self._found = {_plain(word): mark for word, mark in found.items() if not word.isascii()}
        self._found |= found
        self._marks: dict[str, str] | None = None
        loose = [word for word in self._found if not _strict(word)]
        exact = [word for word in self._found if _strict(word)]
        self._words = tuple(
            tuple((_beginning(word), word) for word in words) for words in (loose, exact)
        )

    def __call__(self, text: str) -> str:
        """The text without identifiers."""
        text = "".join(c for c in unicodedata.normalize("NFC", text) if _is_visible(c))
        for words, flags in zip(self._words, (re.IGNORECASE, 0), strict=True):
            pattern = _any_of(_possible(words, text), flags)
            if pattern is not None:
                text = pattern.sub(self._mark, text)
        for known, mark in _PATTERNS:
            text = known.sub(mark, text)
        return _REPEATED.sub("[NAME]", text)

    def _mark(self, match: re.Match[str]) -> str:
        if self._marks is None:
            self._marks = {_fold(word): mark for word, mark in self._found.items()}
        return self._marks.get(_fold(match.group()), "[NAME]")


def _beginning(word: str) -> str | None:
    """What stands in every ASCII text in which the word does; None when that cannot be told."""
    return word.split()[0].lower() if word.isascii() else None


def _possible(words: Iterable[tuple[str | None, str]], text: str) -> list[str]:
    """The words that could stand in a text. Few do: a pattern of a whole chart is slow to make.

    Beyond ASCII a letter has unlike twins (the Kelvin sign is a k), so there every word could.
    """
    if not text.isascii():
        return [word for _, word in words]
    lowered = text.lower()
    return [word for begins, word in words if begins is None or begins in lowered]


def scrubber_of(chart: Chart) -> Scrubber:
    """The scrubber of a chart, built once."""
    found = chart.memo.get("scrubber")
    if found is None:
        found = chart.memo["scrubber"] = Scrubber(chart)
    assert isinstance(found, Scrubber)
    return found


def _is_visible(char: str) -> bool:
    """False for what parts a word without being seen: zero-width and other format characters."""
    return char.isascii() or unicodedata.category(char) != "Cf"


def _strict(word: str) -> bool:
    return len(word) <= 3 or word.lower() in _COMMON


def _any_of(words: Iterable[str], flags: int) -> re.Pattern[str] | None:
    parts = [
        r"\W{0,2}\s*".join(re.escape(part) for part in word.split())
        for word in sorted(set(words), key=lambda word: (-len(word), word))
    ]
    if not parts:
        return None
    return re.compile(r"(?<![^\W_])(?:" + "|".join(parts) + r")(?![^\W_])", flags)


def _plain(word: str) -> str:
    decomposed = unicodedata.normalize("NFD", word)
    return "".join(char for char in decomposed if not unicodedata.combining(char))


def _fold(word: str) -> str:
    return re.sub(r"\W+", "", _plain(word)).lower()
