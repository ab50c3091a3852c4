"""Typed constructors for FHIR datatypes: the only place that knows their spelling.

Every function returns plain JSON data (or None where there is nothing to say) that holds no empty
string, list or object: FHIR forbids them.
"""

from __future__ import annotations

import math
import re
import unicodedata
from calendar import monthrange
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeGuard

from careweir_fhir import systems
from careweir_fhir.model import SNOMED, UCUM, Coding, Finding, Laterality, Span

Json = dict[str, Any]

_ABSOLUTE_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[^\s<>\"{}|\\^`]+")
_LITERAL = re.compile(
    r"(?:https?://[^\s<>\"{}|\\^`]+/)?([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}"
    r"(?:/_history/[A-Za-z0-9\-.]{1,64})?"
)
_DATE_TIME = re.compile(
    r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01])"
    r"(T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?(Z|[+-](0\d|1[0-3]):[0-5]\d|[+-]14:00))?)?)?",
    re.ASCII,
)  # Source: FHIR R4 datatypes, dateTime; leap seconds left out, Python has none
_SCALARS = frozenset({bool, int, float})  # False and 0 say something
_INTEGER_MAX = 2_147_483_647  # Source: FHIR R4 datatypes, integer is 32 bits
_EXACT_MAX = 2**53  # every whole number up to here is exact in a double
# Source: SNOMED CT qualifier values.
_SIDES: dict[Laterality, tuple[str, str]] = {
    "left": ("7771000", "Left"),
    "right": ("24028007", "Right"),
    "bilateral": ("51440002", "Right and left"),
}


def words(text: str | None) -> str | None:
    """Text without control characters and outer blanks; None when nothing is left."""
    if text is None:
        return None
    if not text.isprintable():
        text = "".join(c for c in text if c in "\t\n\r" or unicodedata.category(c) not in _CONTROL)
    return text.strip() or None


_CONTROL = frozenset({"Cc", "Cs", "Co", "Cn"})


def inert(text: str) -> str:
    """Text for a markdown element in which no tag, link or image of a vendor can come alive."""
    return (
        text.replace("&", "&amp;").replace("<", "&lt;").replace("](", "]\\(").replace("]:", "]\\:")
    )


def compact(**elements: Any) -> Json:
    """An object of the elements that say something; ``for_`` and the like lose the underscore."""
    return {
        name.rstrip("_"): value
        for name, value in elements.items()
        if value or value.__class__ in _SCALARS
    }


def coded(system: str, code: str, display: str | None = None, *, text: str | None = None) -> Json:
    """A CodeableConcept of one code that we chose ourselves."""
    return compact(coding=[compact(system=system, code=code, display=display)], text=text)


def text_concept(text: str) -> Json:
    """A CodeableConcept of words only."""
    return {"text": text}


def coding(given: Coding, *, verified: bool | None = None) -> Json | None:
    """A Coding as a tool gave it, or None without a code; an unknown code is marked as one."""
    code = words(given.code)
    if code is None:
        return None
    system = given.system if _ABSOLUTE_URI.fullmatch(given.system or "") else None
    unverified = [extension(systems.CODE_UNVERIFIED, valueBoolean=True)]
    return compact(
        extension=unverified if verified is False else None,
        system=system,
        code=" ".join(code.split()),
        display=words(given.display),
    )


def concept(given: Coding, *, verified: bool | None = None, text: str | None = None) -> Json:
    """A CodeableConcept as a tool gave it; words alone when there is no code."""
    one = coding(given, verified=verified)
    said = words(text) or words(given.display)
    if one is None and said is None:
        return text_concept("not named by the tool")
    return compact(coding=[one] if one else None, text=said)


def reference(text: str | None, *targets: str) -> Json | None:
    """A literal reference, if it is one to a resource of a target type; else None."""
    literal = _LITERAL.fullmatch(text or "")
    if literal is None or (targets and literal[1] not in targets):
        return None
    return {"reference": text}


def patient(text: str) -> Json:
    """The caller's own reference to the patient, unchanged where R4 can carry it.

    A ``urn:`` of the caller's Bundle keeps its type beside it, since it resolves there and not
    here; what is no reference in R4 (an id with an underscore) is carried as an identifier.
    """
    if literal := reference(text, "Patient"):
        return literal
    if text.startswith(("urn:uuid:", "urn:oid:")) and _ABSOLUTE_URI.fullmatch(text):
        return {"reference": text, "type": "Patient"}
    return {"type": "Patient", "identifier": {"value": words(text) or "unknown"}}


def to(url: str) -> Json:
    """A Reference to an entry of the same Bundle, or to a literal that was checked before."""
    return {"reference": url}


def extension(url: str, **value: Any) -> Json:
    """An Extension with one ``value…`` element."""
    return {"url": url, **value}


def parts(url: str, *inner: Json) -> Json:
    """An Extension made of extensions."""
    return {"url": url, "extension": list(inner)}


def note(*texts: str | None) -> list[Json] | None:
    """Annotations, one a text, each made inert; None when there is nothing to say."""
    said = [text for text in map(words, texts) if text]
    return [{"text": inert(text)} for text in said] or None


def number(value: float | int) -> float | int:
    """A number as JSON writes it best: 87.0 -> 87, 5.40 -> 5.4; beyond 2^53 a float."""
    if abs(value) > _EXACT_MAX:
        return float(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def is_number(value: object) -> TypeGuard[float | int]:
    """True for a finite number that a double can hold; a truth value is none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def percentage(probability: float | int) -> float | int:
    """A probability in [0, 1] as a percentage, in decimal arithmetic: 0.87 -> 87, 0.07 -> 7.

    Source: FHIR R4 RiskAssessment.prediction.probability[x]: decimals are percentages.
    """
    return number(float(Decimal(str(probability)) * 100))


def quantity(value: float | int, unit: str | None) -> Json | None:
    """A Quantity with a UCUM unit where one is given; None for what no double can hold."""
    if not is_number(value):
        return None
    code = words(unit)
    if code is None or re.search(r"\s", code):
        return compact(value=number(value), unit=code)
    return {"value": number(value), "unit": code, "system": UCUM, "code": code}


def range_of(bounds: tuple[float, float] | None, unit: str | None) -> Json | None:
    """A Range; None where a tool gave bounds in the wrong order or not at all."""
    if bounds is None or not bounds[0] <= bounds[1]:
        return None
    low, high = quantity(bounds[0], unit), quantity(bounds[1], unit)
    return {"low": low, "high": high} if low and high else None


def date_time(text: str | None) -> str | None:
    """A FHIR dateTime, or None for what is not one (a time without its zone, for example)."""
    return text if is_moment(text) else None


def is_moment(value: object) -> TypeGuard[str]:
    """True for a dateTime of R4 that is a day of the calendar."""
    return isinstance(value, str) and _is_moment(value)


@lru_cache(maxsize=256)  # the moments of one answer come again in each of its resources
def _is_moment(text: str) -> bool:
    if not _DATE_TIME.fullmatch(text) or text.startswith("0000"):
        return False
    return len(text) < 10 or int(text[8:10]) <= monthrange(int(text[:4]), int(text[5:7]))[1]


def body_site(finding: Finding) -> Json | None:
    """A body site with its side: words for people, a SNOMED CT qualifier for programs."""
    site = finding.body_site
    named = Coding(display=site) if isinstance(site, str) else site
    side = _SIDES.get(finding.laterality) if finding.laterality else None
    if side is None:
        return concept(named) if named and (words(named.display) or words(named.code)) else None

    qualifier = extension(systems.LATERALITY, valueCodeableConcept=coded(SNOMED, side[0], side[1]))
    one = coding(named) if named else None
    place = words(named.display) if named else None
    text = f"{place} ({side[1].lower()})" if place else side[1]
    return compact(extension=[qualifier], coding=[one] if one else None, text=text)


def span_extension(span: Span | None) -> Json | None:
    """Where in a text the finding stands; None when there is no span that FHIR can hold."""
    if span is None or max(span.start, span.end) > _INTEGER_MAX:
        return None
    text = words(span.text)
    quoted = [extension("text", valueString=text)] if text else []
    return parts(
        systems.TEXT_SPAN,
        extension("start", valueInteger=span.start),
        extension("end", valueInteger=span.end),
        *quoted,
    )


def confidence_extensions(finding: Finding) -> list[Json]:
    """The confidence with its kind; a vendor's own scale never looks like a probability.

    Source: HL7 AI Transparency IG (ballot), AIconfidence: a decimal from 0 to 1.
    """
    if finding.confidence is None or finding.confidence_kind == "none":
        return []
    value = number(finding.confidence)
    own_scale = finding.confidence_kind == "vendor_scale"
    url = systems.VENDOR_CONFIDENCE if own_scale else systems.AI_CONFIDENCE
    kind = extension(systems.CONFIDENCE_KIND, valueCode=finding.confidence_kind)
    return [extension(url, valueDecimal=value), kind]


def joined(texts: Sequence[str]) -> str | None:
    """Several explanations as one line of words."""
    return "; ".join(said for said in map(words, texts) if said) or None
