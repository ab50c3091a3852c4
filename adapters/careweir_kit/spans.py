"""Where words stand in a text: half-open, in Unicode code points, and only when they stand there.

Vendors count in code points, UTF-16 units, bytes or graphemes, and a language model does not count
at all. What a vendor gives as a place is therefore held against the text; a place whose words are
others is dropped and the words are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from careweir_fhir.model import Span

Place = Literal["one", "several", "none", "unchecked"]


@dataclass(frozen=True, slots=True)
class Grounded:
    """What became of a quote: its span where it stands exactly once, and how often it stands."""

    span: Span | None
    place: Place


def ground(quote: str, text: str | None) -> Grounded:
    """Find a quote word for word. ``text`` is None where there is no text to hold it against."""
    if text is None:
        return Grounded(None, "unchecked")
    start = text.find(quote) if quote.strip() else -1
    if start < 0:
        return Grounded(None, "none")
    if text.find(quote, start + 1) >= 0:
        return Grounded(None, "several")
    return Grounded(Span(start=start, end=start + len(quote), text=quote), "one")


def checked(text: str | None, start: int, end: int, quote: str) -> Span | None:
    """A span that a vendor gave in code points, if its words do stand there; else None."""
    if text is None or not 0 <= start < end <= len(text) or text[start:end] != quote:
        return None
    return Span(start=start, end=end, text=quote)
