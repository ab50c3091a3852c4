"""FHIR dates and how far back a window reaches."""

from __future__ import annotations

import calendar
import hashlib
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

SHIFT_DAYS_MAX: Final = 365
_DATE = re.compile(
    r"^(\d{4})(?:-(0[1-9]|1[0-2])(?:-(0[1-9]|[12]\d|3[01])"
    r"(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2}))?)?)?$"
)
_DURATION = re.compile(
    r"^P(?=\d|T\d)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?"
    r"(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$"
)


def read_moment(value: Any) -> datetime | None:
    """The start of a FHIR date, dateTime or instant in UTC; None when it is not one.

    A time without an offset is not FHIR and names no moment, so it counts as undated.
    """
    if not isinstance(value, str):
        return None
    match = _DATE.match(value)
    if match is None:
        return None
    try:
        if "T" in value:
            return datetime.fromisoformat(value).astimezone(UTC)
        year, month, day = (int(part or 1) for part in match.groups())
        return datetime(year, month, day, tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def read_end(value: Any) -> datetime | None:
    """The last moment of a FHIR date or dateTime: of its day, month or year if it says no more."""
    begin = read_moment(value)
    if begin is None or "T" in str(value):
        return begin
    parts = len(str(value).split("-"))
    months, days = {1: (12, 0), 2: (1, 0), 3: (0, 1)}[parts]
    try:
        return _months_back(begin, -months) + timedelta(days=days, microseconds=-1)
    except (OverflowError, ValueError):
        return datetime.max.replace(tzinfo=UTC)


def is_moment(value: Any) -> bool:
    """True for a string that is a FHIR date, dateTime or instant and nothing else."""
    return read_moment(value) is not None


def shift_days(pseudonym: str) -> int:
    """How far the dates of one disclosure are moved: whole days in [-365, -1].

    Spread evenly over the pseudonyms, so that it can be told by nobody who cannot make them.
    """
    digest = hashlib.sha256(pseudonym.encode()).digest()
    return -1 - int.from_bytes(digest) % SHIFT_DAYS_MAX


def shifted(value: Any, days: int) -> str | None:
    """A full date or dateTime moved by whole days; time of day, offset and precision stay.

    None for what is no moment, and for a year or a month: days cannot move it, and beside shifted
    dates it would tell the shift.
    """
    if not is_moment(value) or len(value) < len("YYYY-MM-DD"):
        return None
    try:
        day = date.fromisoformat(value[:10]) + timedelta(days=days)
    except OverflowError:
        return None
    moved = day.isoformat() + value[10:]
    return moved if is_moment(moved) else None


def lead_in_days(created: Any, start: Any) -> int | None:
    """Whole days from a booking to its appointment; None when it cannot be told."""
    booked, begins = read_moment(created), read_moment(start)
    if booked is None or begins is None or begins < booked:
        return None
    return (begins - booked).days


def window_start(window: str, as_of: datetime) -> datetime:
    """The earliest moment within an ISO 8601 duration before ``as_of``. Raises ValueError."""
    match = _DURATION.match(window)
    if match is None:
        raise ValueError("not an ISO 8601 duration")
    years, months, weeks, days, hours, minutes, seconds = (int(p or 0) for p in match.groups())
    span = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    try:
        return _months_back(as_of, 12 * years + months) - span
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def _months_back(moment: datetime, months: int) -> datetime:
    total = moment.year * 12 + moment.month - 1 - months
    if total < 12:
        raise OverflowError
    year, month = divmod(total, 12)
    last_day = calendar.monthrange(year, month + 1)[1]
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last_day))


def age_in_years(birth_date: Any, as_of: datetime) -> int | None:
    """Completed years at ``as_of``; None when it is negative or the date cannot be read.

    Only a full date gives an age; a year alone could be a year out.
    """
    if not isinstance(birth_date, str) or len(birth_date) != 10 or not is_moment(birth_date):
        return None
    born = date.fromisoformat(birth_date)
    today = as_of.astimezone(UTC).date()
    years = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    return years if born <= today else None
