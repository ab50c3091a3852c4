"""Taking identifiers out of free text: what the patient's own chart names, and what looks like one.

First by dictionary (names, numbers, addresses, dates and ids that stand anywhere in this chart),
then by pattern. Each becomes its kind in brackets. Source of the kinds: 45 CFR 164.514(b)(2).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import UTC, date
from typing import Any, Final

from careweir.minimise.chart import Chart
from careweir.minimise.moment import read_moment

# Resource types whose names, numbers and addresses are taken into the dictionary.
_NAMED_IN: Final = (
    "Patient", "RelatedPerson", "Practitioner", "PractitionerRole", "Organization", "Location",
    "CareTeam", "Encounter", "DiagnosticReport", "ImagingStudy", "DocumentReference", "Coverage",
    "ServiceRequest", "Observation",
)  # fmt: skip
# Parts of names that are also words of a report: only as written, never in lower case.
_COMMON: Final = frozenset(
    "lung left right chest heart rib may june will long short young black white brown green gray "
    "grey small large hill wood stone park day summer winter case page bone good best low high "
    "hospital medical center centre clinic health care general memorial the of and for dr mr mrs "
    "ms miss prof md phd rn".split()
)
_TITLES: Final = frozenset("dr mr mrs ms miss prof md phd rn np do jr sr ii iii the of and".split())
_GENERIC: Final = frozenset(
    "hospital medical center centre clinic health care general memorial street st avenue ave road "
    "rd drive dr lane ln unit apt suite us usa united states".split()
)
_WORD: Final = re.compile(r"[^\W\d_](?:[\w'’.-]*\w)?")

_MONTH: Final = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_PATTERNS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE if insensitive else 0), mark)
    for pattern, mark, insensitive in (
        (r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", "[EMAIL]", True),
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
        (rf"\b\d{{4}}[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])"
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
         r"Boulevard|Blvd|Court|Ct|Way|Place|Pl|Parkway|Terrace)\b\.?", "[ADDRESS]", True),
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
    """A chart's identifiers as one pattern; built on the first text, then kept with the chart."""

    def __init__(self, chart: Chart) -> None:
        found: dict[str, str] = {}
        for mark, words in (
            ("[ADDRESS]", _addresses(chart)),
            ("[ID]", _identifiers(chart)),
            ("[DATE]", _dates(chart)),
            ("[NAME]", _names(chart)),
        ):
            for word in words:
                found.setdefault(word, mark)
                found.setdefault(_plain(word), mark)
        self._marks = {_fold(word): mark for word, mark in found.items()}
        loose = [word for word in found if not _strict(word)]
        self._loose = _any_of(loose, re.IGNORECASE)
        self._exact = _any_of([word for word in found if _strict(word)], 0)

    def __call__(self, text: str) -> str:
        """The text without identifiers."""
        text = unicodedata.normalize("NFC", text)
        for pattern in (self._loose, self._exact):
            if pattern is not None:
                text = pattern.sub(self._mark, text)
        for known, mark in _PATTERNS:
            text = known.sub(mark, text)
        return _REPEATED.sub("[NAME]", text)

    def _mark(self, match: re.Match[str]) -> str:
        return self._marks.get(_fold(match.group()), "[NAME]")


def scrubber_of(chart: Chart) -> Scrubber:
    """The scrubber of a chart, built once."""
    found = chart.memo.get("scrubber")
    if found is None:
        found = chart.memo["scrubber"] = Scrubber(chart)
    assert isinstance(found, Scrubber)
    return found


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
    return " ".join(re.sub(r"\W+", " ", _plain(word)).lower().split())


def _resources(chart: Chart) -> Iterator[dict[str, Any]]:
    for kind in _NAMED_IN:
        for record in chart.by_type.get(kind, ()):
            yield chart.resource(record)


def _find(value: Any, key: str) -> Iterator[Any]:
    """Every value of a key, at any depth."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name == key:
                yield from item if isinstance(item, list) else [item]
            yield from _find(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from _find(item, key)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)


def _names(chart: Chart) -> Iterator[str]:
    for resource in _resources(chart):
        for name in _find(resource, "name"):
            yield from _name_parts(name)
        for extension in _find(resource, "extension"):
            if isinstance(extension, dict) and isinstance(extension.get("valueString"), str):
                if "aiden" in str(extension.get("url")) or "name" in str(extension.get("url")):
                    yield from _words(extension["valueString"])
        for reference in _references(resource):
            yield from _words(reference)


def _references(value: Any) -> Iterator[str]:
    """The displays of references: they are names of people and places."""
    if isinstance(value, dict):
        display = value.get("display")
        if isinstance(display, str) and ("reference" in value or "identifier" in value):
            yield display
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


def _name_parts(name: Any) -> Iterator[str]:
    if isinstance(name, str):
        yield from _words(name)
    elif isinstance(name, dict):
        for key in ("family", "given", "text", "suffix"):
            for text in _strings(name.get(key)):
                yield from _words(text)


def _words(text: str) -> Iterator[str]:
    """A whole name and each of its parts that is long enough to be one."""
    found = [word for word in _WORD.findall(text) if word.lower() not in _TITLES]
    if len(found) > 1:
        yield " ".join(text.split())
    for word in found:
        if len(word) > 1 and word.lower() not in _GENERIC:
            yield word


def _identifiers(chart: Chart) -> Iterator[str]:
    for record in chart.records:
        if record.id and len(record.id) >= 4:
            yield record.id
        tail = (record.full_url or "").rpartition("/")[2].removeprefix("urn:uuid:")
        if len(tail) >= 4:
            yield tail
    for resource in _resources(chart):
        for identifier in _find(resource, "identifier"):
            value = identifier.get("value") if isinstance(identifier, dict) else None
            if isinstance(value, str) and len(value) >= 3:
                yield value
                yield re.sub(r"\W+", "", value)
        for uid in _find(resource, "uid"):
            if isinstance(uid, str) and len(uid) >= 4:
                yield uid
        for telecom in _find(resource, "telecom"):
            value = telecom.get("value") if isinstance(telecom, dict) else None
            if isinstance(value, str) and len(value) >= 4:
                yield value
                digits = re.sub(r"\D+", "", value)
                if len(digits) >= 7:
                    yield digits


def _addresses(chart: Chart) -> Iterator[str]:
    for resource in _resources(chart):
        for key in ("address", "valueAddress"):
            for address in _find(resource, key):
                if isinstance(address, dict):
                    yield from _address_parts(address)


def _address_parts(address: dict[str, Any]) -> Iterator[str]:
    for key in ("line", "city", "district", "postalCode", "text"):
        for text in _strings(address.get(key)):
            if len(text) >= 3 and text.lower() not in _GENERIC:
                yield text


def _dates(chart: Chart) -> Iterator[str]:
    """The birth date and the other dates of the Patient and its stays, as people write them."""
    moments: set[date] = set()
    for kind in ("Patient", "Encounter", "DiagnosticReport", "ImagingStudy"):
        for record in chart.by_type.get(kind, ()):
            for text in _strings(chart.resource(record)):
                moment = read_moment(text) if len(text) >= 10 else None
                if moment is not None:
                    moments.add(moment.astimezone(UTC).date())
    for day in moments:
        month, short = day.strftime("%B"), day.strftime("%b")
        yield from (
            day.isoformat(),
            day.strftime("%Y%m%d"),
            day.strftime("%m/%d/%Y"),
            day.strftime("%d/%m/%Y"),
            f"{day.month}/{day.day}/{day.year}",
            f"{day.day}.{day.month}.{day.year}",
            day.strftime("%d.%m.%Y"),
            f"{month} {day.day}, {day.year}",
            f"{day.day} {month} {day.year}",
            f"{short} {day.day}, {day.year}",
            f"{day.day} {short} {day.year}",
            f"{day.day}-{short}-{day.year}",
        )
