"""Small readers for what tools write as text: words, numbers, instants and horizons.

Each returns None for what it cannot read with certainty; nothing here guesses.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from functools import lru_cache
from unicodedata import normalize

_SPELLINGS = (
    ("haem", "hem"), ("aemia", "emia"), ("oedema", "edema"), ("oesoph", "esoph"),
    ("tumour", "tumor"), ("ischaem", "ischem"), ("leuko", "leuco"), ("paed", "ped"),
    ("orrhoea", "orrhea"), ("centre", "center"), ("gynaec", "gynec"), ("foet", "fet"),
)  # fmt: skip
# SNOMED CT ends a fully specified name with the kind of thing that it is.
_TAG = re.compile(
    r"\s*\((?:finding|disorder|procedure|situation|event|substance|product|observable entity|"
    r"qualifier value|morphologic abnormality|body structure|regime/therapy)\)\s*$"
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-z]{2})")  # PleuralEffusion, but not pH or HbA1c
_PUNCTUATION = re.compile(r"[^\w%+.]+")
_DOT = re.compile(r"(?<!\d)\.|\.(?!\d)")


@lru_cache(maxsize=8192)
def plain(text: str) -> str:
    """Lower case, American spelling, single spaces, no punctuation: a key for equal words."""
    bare = _TAG.sub("", _CAMEL.sub(" ", normalize("NFKC", text)).casefold())
    words = _DOT.sub(" ", _PUNCTUATION.sub(" ", bare.replace("'s", "")))
    for british, american in _SPELLINGS:
        words = words.replace(british, american)
    return " ".join(words.replace("_", " ").split())


_PLAIN_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?$")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+$")
_GROUPED_POINT = re.compile(r"[+-]?\d{1,3}(\.\d{3})+,\d+$")
_GROUPED_COMMA = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)$")
_GROUPED_SPACE = re.compile(r"[+-]?\d{1,3}([\u00a0\u202f ]\d{3})+([.,]\d+)?$")
_AMBIGUOUS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}$")
# The flag of a laboratory beside a number (HL7 v2 table 0078 and what is printed for it).
_FLAG = re.compile(
    r"(?:hh?|ll?)\s+(?=[+-]?\d)|(?<=\d)\s*(?:\*+|\(?\b(?:hh?|ll?|high|low|critical|abnormal)\)?)$",
    re.IGNORECASE,
)


@lru_cache(maxsize=8192)
def number_from_text(text: str) -> float | None:
    """A number as people write it, or None where two readings are possible.

    ``5,5`` is 5.5 and ``1.234,5`` is 1234.5; ``1,234`` may be 1.234 or 1234 and is not read. The
    flag of a laboratory (``6.8 H``, ``6.8*``) is no part of the number.
    """
    stripped = _FLAG.sub("", text.strip().replace("\u2212", "-")).rstrip("%").strip()
    if _PLAIN_NUMBER.match(stripped):
        number = float(stripped)
        return number if abs(number) < 1e15 else None
    if _AMBIGUOUS.match(stripped):
        return None
    if _DECIMAL_COMMA.match(stripped):
        return float(stripped.replace(",", "."))
    if _GROUPED_POINT.match(stripped):
        return float(stripped.replace(".", "").replace(",", "."))
    if _GROUPED_COMMA.match(stripped):
        return float(stripped.replace(",", ""))
    if _GROUPED_SPACE.match(stripped):
        return float(re.sub(r"[\u00a0\u202f ]", "", stripped).replace(",", "."))
    return None


_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?$")


@lru_cache(maxsize=8192)
def instant(text: str) -> float | None:
    """Seconds since 1970 in UTC; None unless date, time and offset can be read.

    A time without an offset is read as UTC, a date alone is too coarse to compare.
    """
    match = _INSTANT.match(text.strip())
    if match is None:
        return None
    day, minutes, seconds, _, offset = match.groups()
    try:
        moment = datetime.fromisoformat(
            f"{day}T{minutes}{(seconds or ':00')[:3]}{(offset or 'Z').replace('Z', '+00:00')}"
        )
    except ValueError:
        return None
    return moment.timestamp()  # astimezone would overflow in the years 1 and 9999


@lru_cache(maxsize=8192)
def day(text: str) -> int | None:
    """The calendar day that a moment or a date alone names, as written; None if unreadable."""
    try:
        return date.fromisoformat(text.strip()[:10]).toordinal()
    except ValueError:
        return None


_HOUR, _DAY = 3600, 86400
_UNIT_SECONDS = {
    "s": 1, "sec": 1, "second": 1,
    "min": 60, "minute": 60,
    "h": _HOUR, "hr": _HOUR, "hour": _HOUR,
    "d": _DAY, "day": _DAY,
    "w": 7 * _DAY, "wk": 7 * _DAY, "week": 7 * _DAY,
    "mo": 30 * _DAY, "month": 30 * _DAY,
    "y": 365 * _DAY, "yr": 365 * _DAY, "a": 365 * _DAY, "year": 365 * _DAY,
}  # fmt: skip
_SPAN = re.compile(r"(\d+(?:\.\d+)?)[\s-]*([a-z]+?)s?$")
_SPAN_INSIDE = re.compile(r"\b(\d+)[\s-]?(h|hr|hour|d|day|week|month|mo|year|yr)s?\b")
_ISO = re.compile(r"p(?:(\d+)y)?(?:(\d+)m)?(?:(\d+)w)?(?:(\d+)d)?(?:t(?:(\d+)h)?(?:(\d+)m)?)?$")
_WITHIN = re.compile(r"^(?:(?:with)?in|over)?\s*(?:the\s+)?(?:next|following|coming)?\s+(?=\d)")
_NOW = frozenset({"now", "current", "immediate", "0", "0h", "pt0s", "pt0h", "p0d", "pt0m"})


def _months(count: int) -> int:
    years, months = divmod(count, 12)
    return years * 365 * _DAY + months * 30 * _DAY


@lru_cache(maxsize=1024)
def horizon_seconds(text: str) -> int | None:
    """``PT6H``, ``6h``, ``6 hours``, ``30d``, ``3mo`` or ``now`` as seconds; None if unreadable.

    A month counts 30 days and a year 365, so ``P1M`` equals ``30d`` and ``12mo`` equals ``1y``.
    """
    words = _WITHIN.sub("", text.strip().casefold())
    if words in _NOW:
        return 0
    iso = _ISO.match(words)
    if iso is not None and words not in ("p", "pt"):
        years, months, weeks, days, hours, minutes = (int(part or 0) for part in iso.groups())
        whole = _months(12 * years + months) + (7 * weeks + days) * _DAY
        return whole + hours * _HOUR + minutes * 60
    span = _SPAN.match(words)
    if span is None or span[2] not in _UNIT_SECONDS:
        return None
    count = float(span[1])
    if span[2] in ("mo", "month") and count.is_integer():
        return _months(int(count))
    return round(count * _UNIT_SECONDS[span[2]])


def split_horizon(words: str) -> tuple[str, int | None]:
    """Take a horizon out of plain words: ``30 day readmission`` gives ``readmission``, 30 days."""
    match = _SPAN_INSIDE.search(words)
    if match is None:
        return words, None
    rest = " ".join((words[: match.start()] + words[match.end() :]).split())
    rest = rest.removeprefix("in ").removesuffix(" within").removesuffix(" in").strip()
    return rest, horizon_seconds(match[1] + match[2])


@lru_cache(maxsize=8192)
def reference_tail(reference: str) -> str:
    """The part of a reference that names the thing: ``http://h/fhir/Patient/1/_history/2`` -> 1."""
    bare = reference.strip().partition("/_history")[0].partition("?")[0].rstrip("/")
    bare = bare.removeprefix("urn:oid:").removeprefix("urn:uuid:")
    return bare.rpartition("/")[2]
