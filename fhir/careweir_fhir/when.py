"""The time that a prediction looks ahead to."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import datetime, timedelta

from careweir_fhir.elements import Json, date_time

_ISO = re.compile(
    r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?", re.ASCII
)
_SHORT = re.compile(r"(\d+) ?(min|h|d|w|mo|y)", re.ASCII)
_SHORT_PLACE = {"y": 0, "mo": 1, "w": 2, "d": 3, "h": 4, "min": 5}


def horizon_period(start: str, horizon: str | None) -> Json | None:
    """The Period from a moment to the end of a horizon (``PT6H``, ``6h``, ``30d``, ``3mo``).

    None when there is no horizon, or none that can be read: it is never guessed.
    """
    amounts = _amounts((horizon or "").strip())
    if amounts is None or date_time(start) is None or "T" not in start:
        return None
    try:
        begin = datetime.fromisoformat(start)
        end = _add(begin, amounts)
    except (ValueError, OverflowError):
        return None
    text = end.isoformat(timespec="seconds")
    return {"start": start, "end": text.removesuffix("+00:00") + "Z" if _is_utc(text) else text}


def _is_utc(text: str) -> bool:
    return text.endswith("+00:00")


def _amounts(text: str) -> list[int] | None:
    """Years, months, weeks, days, hours, minutes."""
    if short := _SHORT.fullmatch(text):
        amounts = [0] * 6
        amounts[_SHORT_PLACE[short[2]]] = int(short[1])
    elif (iso := _ISO.fullmatch(text)) and any(iso.groups()):
        amounts = [int(part or 0) for part in iso.groups()]
    else:
        return None
    return amounts if any(amounts) else None


def _add(begin: datetime, amounts: list[int]) -> datetime:
    years, months, weeks, days, hours, minutes = amounts
    month = begin.month - 1 + months + 12 * years
    year, month = begin.year + month // 12, month % 12 + 1
    if year > 9999:
        raise OverflowError("beyond the calendar")
    day = min(begin.day, monthrange(year, month)[1])
    moved = begin.replace(year=year, month=month, day=day)
    return moved + timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes)
