"""A resource with its values taken out: all that the structure check depends on.

``fhir.resources`` takes about 0.1 ms and more for one resource, and answers of one kind have the
same form again and again. It therefore judges a stand-in, in which every value is replaced by a
plain one of the same form, and its verdict is kept for that form. No patient's value is kept.

What ``fhir.resources`` asks of a value: its JSON type, and of a string whether it is blank, a
code, an id or a date. Where that is not all (binary data, addresses, odd characters) there is no
stand-in, and the resource itself is judged.
"""

from __future__ import annotations

import re
from typing import Any

from careweir_fhir.elements import date_time

_ID = re.compile(r"[A-Za-z0-9\-.]+")  # Source: FHIR R4 datatypes, id
_LIKE_A_DATE_OR_TIME = re.compile(r"\d{4}(-\d\d(-\d\d)?)?(T|$)|\d\d:")
_INTEGER_MAX = 2_147_483_647  # Source: FHIR R4 datatypes, integer is 32 bits
# Elements whose values are looked at more closely: base64, xhtml, url, oid, uuid, whole resources.
_CLOSELY = frozenset(
    {
        "attachment",
        "carrierAIDC",
        "contained",
        "data",
        "div",
        "presentedForm",
        "query",
        "signature",
        "valueAttachment",
        "valueBase64Binary",
        "valueOid",
        "valueSignature",
        "valueUrl",
        "valueUuid",
    }
)
_DATES = {4: "2000", 7: "2000-01", 10: "2000-01-01"}
_MOMENT = "2000-01-01T00:00:00Z"


class NoStandIn(Exception):
    """The resource holds something whose form is not all that is checked."""


def stand_in(value: Any) -> Any:
    """Replace every value below by a plain one of its form. Raises NoStandIn."""
    kind = value.__class__
    if kind is dict:
        return {name: _element(name, below) for name, below in value.items()}
    if kind is list:
        return [stand_in(item) for item in value]
    if kind is str:
        return _text(value)
    if kind is bool or value is None:
        return value
    if kind is int and -_INTEGER_MAX <= value <= _INTEGER_MAX:
        return _like(value)
    if kind is float and -_INTEGER_MAX <= value <= _INTEGER_MAX:
        return float(_like(value)) if value.is_integer() else 0.5
    raise NoStandIn


def _element(name: str, value: Any) -> Any:
    if name in _CLOSELY:
        raise NoStandIn
    return value if name == "resourceType" else stand_in(value)


def _like(value: float) -> int:
    """A whole number of the same sign that nobody takes for a truth value."""
    return 7 * ((value > 0) - (value < 0))


def _text(text: str) -> str:
    if not text:
        return ""
    if text[0].isdigit() and _LIKE_A_DATE_OR_TIME.match(text):
        if date_time(text) is None:
            raise NoStandIn
        return _DATES.get(len(text), _MOMENT)
    if _ID.fullmatch(text):
        return "x"
    if not text.isprintable():
        raise NoStandIn
    if text[0] == " " or text[-1] == " " or "  " in text:
        return " x" if text.strip() else " "
    return "x x"
