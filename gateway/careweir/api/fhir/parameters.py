"""Search parameters as FHIR writes them: names with modifiers, values with prefixes and escapes.

Source: FHIR R4 search (4.0.1), sections 3.1.1.4.1 (modifiers), 3.1.1.4.2 (prefixes), 3.1.1.4.3
(escapes), 3.1.1.4.7 (dates), 3.1.1.4.10 (tokens).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

VALUES_MAX = 20
LENGTH_MAX = 500
_DATE = re.compile(
    r"(?P<prefix>eq|ne|gt|lt|ge|le|sa|eb|ap)?"
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:T(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?P<fraction>\.\d{1,9})?)?"
    r"(?P<zone>Z|[+\- ]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)
_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)
Span = tuple[datetime | None, datetime | None]  # from this moment on, before that moment


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter; its values are alternatives."""

    name: str
    modifier: str | None
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Token:
    """``system|code``: without a ``|`` any system (None), with nothing before it none ("")."""

    system: str | None
    code: str


def parameters(pairs: Iterable[tuple[str, str]]) -> list[Parameter]:
    """All parameters in their order; empty ones are left out. ValueError above the limits."""
    found = []
    for key, value in pairs:
        name, _, modifier = key.partition(":")
        values = tuple(part for part in split(value, ",") if part)
        if len(values) > VALUES_MAX or len(value) > LENGTH_MAX * VALUES_MAX:
            raise ValueError(name)
        if values:
            found.append(Parameter(name, modifier or None, values))
    return found


def split(text: str, separator: str) -> list[str]:
    """Split at separators that no backslash escapes; escapes of others stay for later."""
    parts, part, escaped = list[str](), "", False
    for letter in text:
        if not escaped and letter == separator:
            parts.append(part)
            part = ""
        else:
            part += letter
        escaped = not escaped and letter == "\\"
    return [*parts, part]


def plain(text: str) -> str:
    """A value with its escapes undone."""
    return re.sub(r"\\([,|$\\])", r"\1", text)


def escaped(text: str) -> str:
    """The way back, for links."""
    return re.sub(r"([,|$\\])", r"\\\1", text)


def token(value: str) -> Token:
    """One token."""
    system, found, code = _halves(value)
    return Token(plain(system) if found else None, plain(code))


def _halves(value: str) -> tuple[str, bool, str]:
    parts = split(value, "|")
    return (parts[0], True, "|".join(parts[1:])) if len(parts) > 1 else ("", False, value)


def spans(value: str, now: datetime) -> list[Span]:
    """The spans of time that a date with its prefix stands for, any of which will do.

    A date is as wide as it is precise: ``2026-03`` is the whole of March, in UTC where no zone is
    given. ValueError if it is none.
    """
    match = _DATE.fullmatch(value)
    if match is None:
        raise ValueError(value)
    low, high = _width(match)
    if not (low >= _EARLIEST and high <= _LATEST):
        raise ValueError(value)
    return _compared(match["prefix"] or "eq", low, high, now)


def _compared(prefix: str, low: datetime, high: datetime, now: datetime) -> list[Span]:
    if prefix == "ap":  # within a tenth of how long ago it is, as R4 recommends
        margin = abs(now - low) / 10
        return [(low - margin, high + margin)]
    known: dict[str, list[Span]] = {
        "eq": [(low, high)],
        "ne": [(None, low), (high, None)],
        "gt": [(high, None)],
        "sa": [(high, None)],
        "ge": [(low, None)],
        "lt": [(None, low)],
        "eb": [(None, low)],
        "le": [(None, high)],
    }
    return known[prefix]


def _width(match: re.Match[str]) -> tuple[datetime, datetime]:
    """From the first moment of a date to the first one after it."""
    part = {name: int(match[name]) for name in ("year", "month", "day", "hour", "minute", "second")
            if match[name] is not None}  # fmt: skip
    fraction = match["fraction"]
    micros = int((fraction or ".0")[1:].ljust(6, "0")[:6])
    low = datetime(
        part["year"], part.get("month", 1), part.get("day", 1), part.get("hour", 0),
        part.get("minute", 0), part.get("second", 0), micros, tzinfo=UTC,
    ) - _offset(match["zone"])  # fmt: skip
    if fraction is not None:
        return low, low + timedelta(microseconds=10 ** max(0, 7 - len(fraction)))
    if "second" in part:
        return low, low + timedelta(seconds=1)
    if "minute" in part:
        return low, low + timedelta(minutes=1)
    if "day" in part:
        return low, low + timedelta(days=1)
    year, month = part["year"], part.get("month", 0)
    following = (year + 1, 1) if month in (0, 12) else (year, month + 1)
    return low, datetime(*following, 1, tzinfo=UTC)


def _offset(zone: str | None) -> timedelta:
    if zone in (None, "Z"):
        return timedelta()
    assert zone is not None
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    distance = timedelta(hours=hours, minutes=minutes)
    return -distance if zone[0] == "-" else distance  # a "+" may have become a space
