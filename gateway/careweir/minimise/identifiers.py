"""What identifies the patient in the patient's own chart: names, numbers, addresses, dates, ids.

The names of relatives, clinicians and places count too. Source of the kinds: 45 CFR 164.514(b)(2).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from careweir.minimise.chart import Chart
from careweir.minimise.moment import read_moment

_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
# Resource types whose names, numbers and addresses are taken into the dictionary.
_NAMED_IN: Final = (
    "Patient", "RelatedPerson", "Practitioner", "PractitionerRole", "Organization", "Location",
    "CareTeam", "Encounter", "DiagnosticReport", "ImagingStudy", "DocumentReference", "Coverage",
    "ServiceRequest",
)  # fmt: skip
NUMBER_MIN: Final = 5  # a shorter one stands in any text
_TITLE_WORDS: Final = """
    dr mr mrs ms miss prof md phd rn np do jr sr ii iii the of and
"""
_TITLES: Final = frozenset(_TITLE_WORDS.split())
_GENERIC_WORDS: Final = """
    hospital medical center centre clinic health care general memorial street st avenue ave road
    rd drive dr lane ln unit apt suite us usa united states
"""
_GENERIC: Final = frozenset(_GENERIC_WORDS.split())
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_WORD: Final = re.compile(r"[^\W\d_](?:[\w'’.-]*\w)?")


def identifiers_in(chart: Chart) -> dict[str, str]:
    """Each identifying word of a chart, as written, with the mark that is to stand for it.

    Read are the types that name people and places. UUIDs are left to their pattern.
    """
    found: dict[str, str] = {}
    for record in chart.records:
        tail = (record.full_url or "").rpartition("/")[2].removeprefix("urn:uuid:")
        for word in {record.id or "", tail}:
            if len(word) >= 4 and not _is_uuid(word):
                found.setdefault(word, "[ID]")
    for kind in _NAMED_IN:
        for record in chart.by_type.get(kind, ()):
            for word, mark in _of_resource(chart.resource(record)):
                found.setdefault(word, mark)
    for word in dates_of(chart):
        found.setdefault(word, "[DATE]")
    return found


def patient_names_and_numbers(chart: Chart) -> Iterator[str]:
    """What nobody says by chance: the patient's full names, numbers and telephones, lower case."""
    for word, mark in _of_resource(chart.resource(chart.patient)):
        whole_name = mark == "[NAME]" and " " in word
        if whole_name or (mark in ("[ID]", "[PHONE]") and len(word) >= NUMBER_MIN):
            yield word.lower()


def _is_uuid(word: str) -> bool:
    return len(word) == len("9f0c2d5e-1111-4222-8333-abcdefabcdef") and bool(_UUID.fullmatch(word))


def _of_resource(resource: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every identifying word of one resource, at any depth, with its mark."""
    waiting: list[Any] = [resource]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += [item for item in value.values() if isinstance(item, dict | list)]
            if "display" in value and ("reference" in value or "identifier" in value):
                yield from ((word, "[NAME]") for word in _words(value["display"]))
            if "name" in str(value.get("url", "")).lower():
                yield from ((word, "[NAME]") for word in _words(value.get("valueString")))
            for key in _READERS.keys() & value.keys():
                mark, read = _READERS[key]
                items = value[key] if isinstance(value[key], list) else [value[key]]
                yield from ((word, mark) for item in items for word in read(item))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)


def _name(name: Any) -> Iterator[str]:
    """The parts of a HumanName, or of the plain name of a place."""
    if isinstance(name, str):
        yield from _words(name)
    elif isinstance(name, dict):
        for key in ("family", "given", "text", "suffix"):
            for text in _strings(name.get(key)):
                yield from _words(text)


def _words(text: Any) -> Iterator[str]:
    """A whole name and each of its parts that is long enough to be one."""
    if not isinstance(text, str):
        return
    found = [word for word in _WORD.findall(text) if word.lower() not in _TITLES]
    if len(found) > 1:
        yield " ".join(text.split())
    for word in found:
        if len(word) > 1 and word.lower() not in _GENERIC:
            yield word


def _number(holder: Any) -> Iterator[str]:
    """The value of an Identifier or ContactPoint, as written and without its punctuation."""
    value = holder.get("value") if isinstance(holder, dict) else holder
    if isinstance(value, str) and len(value) >= 3 and not _is_uuid(value):
        yield value
        bare = re.sub(r"\W+", "", value)
        if len(bare) >= 4:
            yield bare


def _address(address: Any) -> Iterator[str]:
    """The parts of an Address that are smaller than a state."""
    for key in ("line", "city", "district", "postalCode", "text"):
        for text in _strings(address.get(key) if isinstance(address, dict) else None):
            if len(text) >= 3 and text.lower() not in _GENERIC:
                yield text


_READERS: Final[Mapping[str, tuple[str, Callable[[Any], Iterator[str]]]]] = {
    "name": ("[NAME]", _name),
    "identifier": ("[ID]", _number),
    "uid": ("[ID]", _number),
    "telecom": ("[PHONE]", _number),
    "address": ("[ADDRESS]", _address),
    "valueAddress": ("[ADDRESS]", _address),
}


def dates_of(chart: Chart) -> Iterator[str]:
    """The dates of the Patient (birth, death), in the ways that people write them."""
    for text in _strings(chart.resource(chart.patient)):
        moment = read_moment(text) if len(text) >= 10 else None
        if moment is None:
            continue
        day = moment.date()
        short, full = _MONTHS[day.month - 1][:3], _MONTHS[day.month - 1]
        yield from (
            day.isoformat(),
            f"{day:%Y%m%d}",
            f"{day:%m%d%Y}",
            f"{day:%d%m%Y}",
            f"{day:%m/%d/%Y}",
            f"{day:%d/%m/%Y}",
            f"{day.month}/{day.day}/{day.year}",
            f"{day.day}.{day.month}.{day.year}",
            f"{day:%d.%m.%Y}",
            f"{full} {day.day}, {day.year}",
            f"{day.day} {full} {day.year}",
            f"{short} {day.day}, {day.year}",
            f"{day.day} {short} {day.year}",
            f"{day.day}-{short}-{day.year}",
        )
