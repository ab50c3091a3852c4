"""Times of HL7 v2 as FHIR dateTimes.

Source: HL7 v2.5.1 chapter 2.A.21 (DTM): ``YYYY[MM[DD[HH[MM[SS[.S…]]]]]][+/-ZZZZ]``.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

_DTM: Final = re.compile(
    r"(\d{4})(\d{2})(\d{2})(?:(\d{2})(\d{2})(\d{2})?(?:\.\d{1,4})?)?([+-]\d{4})?", re.ASCII
)


def moment_of(text: str, offset: str | None) -> str | None:
    """A FHIR dateTime, or None when it is no time.

    ``offset`` (``+01:00``) stands in where the value has none; without any the time of day cannot
    be placed, and the date alone is given.
    """
    found = _DTM.fullmatch(text.strip())
    if found is None:
        return None
    year, month, day, hour, minute, second, zone = found.groups()
    try:
        datetime(*(int(part or 0) for part in (year, month, day, hour, minute, second)))  # type: ignore[arg-type]  # noqa: DTZ001 - checked for being a time, not kept
    except ValueError:
        return None
    date = f"{year}-{month}-{day}"
    placed = f"{zone[:3]}:{zone[3:]}" if zone else offset
    if hour is None or placed is None:
        return date
    return f"{date}T{hour}:{minute}:{second or '00'}{placed}"


def stamp_of(moment: str) -> str:
    """An RFC 3339 time as a DTM with its offset; empty when it is no time."""
    try:
        at = datetime.fromisoformat(moment)
    except ValueError:
        return ""
    return at.strftime("%Y%m%d%H%M%S%z")
