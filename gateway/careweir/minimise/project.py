"""From a resource to the few elements of it that may leave, each rebuilt from its parts.

Nothing is copied whole: a leaf is read by its kind and written anew, so that no subtree, sibling,
extension or free word comes along. What cannot be read in its kind is not sent.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from careweir.access import Vocabulary
from careweir.access.elements import ELEMENTS, PRIMITIVE_KINDS, REQUIRED, VALUES
from careweir.access.plan import LEAD, SHIFT, CodeKey, Way
from careweir.minimise.answers import Questions, answered
from careweir.minimise.chart import Chart
from careweir.minimise.moment import age_in_years, is_moment, lead_in_days, shifted
from careweir.minimise.reading import is_number, questionnaire_code
from careweir.minimise.sensitive import attachment_text
from careweir_fhir.model import UCUM
from careweir_fhir.systems import ABSENT_REASON, DATA_ABSENT

AGE_YEARS_URL: Final = "urn:careweir:age-years"
AGE_BAND_URL: Final = "urn:careweir:age-band"
LEAD_DAYS_URL: Final = "urn:careweir:lead-days"
LEAD_TOP: Final = 365  # who books years ahead is rare enough to be known by it
# Source: 45 CFR 164.514(b)(2)(i)(C): ages over 89 are one category.
AGE_TOP: Final = 90
# Source: 45 CFR 164.514(b)(2)(i)(B) and the HHS guidance on it: three-digit areas of 20,000 people
# or fewer (Census 2000) become 000.
_AREAS: Final = """
    036 059 063 102 203 556 692 790 821 823 830 831 878 879 884 890 893
"""
SMALL_AREAS: Final = frozenset(_AREAS.split())
_COMPARATORS: Final = frozenset({"<", "<=", ">", ">="})
_REFERENCE_TYPES: Final = {
    "encounter": "Encounter",
    "imagingStudy": "ImagingStudy",
    "derivedFrom": "ImagingStudy",
}

Scrub = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Projector:
    """What a projection needs to know beside the resource itself."""

    chart: Chart
    vocabulary: Vocabulary
    granted: frozenset[str]  # sensitivity codes that may leave
    pseudonyms: Callable[[str, str], str]
    as_of: datetime
    scrub: Scrub
    shift_days: int  # how far dates are moved where a way says so

    def leaf(self, way: Way, value: Any, wanted: frozenset[CodeKey]) -> Any:
        """The value of one element as it may leave, or None. A list stays a list."""
        if isinstance(value, list):
            found = [self._one(way, item, wanted) for item in value]
            return [item for item in found if item is not None] or None
        return self._one(way, value, wanted)

    def _one(self, way: Way, value: Any, wanted: frozenset[CodeKey]) -> Any:
        match way.element.kind:
            case "code":
                return value if isinstance(value, str) and value in way.element.values else None
            case "concept":
                return self.concept(value, wanted, way.data_class.sensitivity)
            case "coding":
                return self.coding(value, wanted, way.data_class.sensitivity)
            case "quantity":
                return self.quantity(value)
            case "number":
                return value if is_number(value) else None
            case "boolean":
                return value if isinstance(value, bool) else None
            case "date":
                return self.date(way, value)
            case "period":
                return self.period(way, value)
            case "reference":
                return self.reference(way, value)
            case "text":
                return self.scrub(value) if isinstance(value, str) and value.strip() else None
            case "attachment":
                return self.attachment(value)
            case "canonical":
                asked = questionnaire_code(value)
                return asked[1] if asked is not None and asked in wanted else None
            case "answers":
                return answered(value, self._questions(wanted))
            case _:
                return None  # birth date and address: only as a transform, see minimise.py

    def concept(
        self, value: Any, wanted: frozenset[CodeKey], granted: frozenset[str] = frozenset()
    ) -> dict[str, Any] | None:
        """A CodeableConcept with known codings only, and no text."""
        codings = value.get("coding") if isinstance(value, dict) else None
        if not isinstance(codings, list):
            return None
        found = [self.coding(coding, wanted, granted) for coding in codings]
        kept = [coding for coding in found if coding is not None]
        return {"coding": kept} if kept else None

    def coding(
        self, value: Any, wanted: frozenset[CodeKey], granted: frozenset[str]
    ) -> dict[str, Any] | None:
        """A Coding in our own words, if we know it and it may leave."""
        if not isinstance(value, dict):
            return None
        system, code = value.get("system"), value.get("code")
        if not isinstance(system, str) or not isinstance(code, str):
            return None
        known = self.vocabulary.codes.get((system, code))
        if known is None or (wanted and (system, code) not in wanted):
            return None
        if not self.vocabulary.sensitivities_of_code(system, code) <= self.granted | granted:
            return None
        return {"system": system, "code": code, "display": known.display}

    def quantity(self, value: Any) -> dict[str, Any] | None:
        """A number with a unit that we know. A number without one could mean anything."""
        if not isinstance(value, dict) or not is_number(value.get("value")):
            return None
        unit = self.unit(value)
        if unit is None:
            return None
        found: dict[str, Any] = {"value": value["value"]}
        comparator = value.get("comparator")
        if comparator is not None:
            if not isinstance(comparator, str) or comparator not in _COMPARATORS:
                return None  # a bound whose direction is unreadable is not a value
            found["comparator"] = comparator
        return {**found, "unit": unit, "system": UCUM, "code": unit}

    def unit(self, quantity: Mapping[str, Any]) -> str | None:
        """The UCUM unit of a Quantity: its code, or an unmistakable way to write it."""
        code = quantity.get("code")
        if code is not None:
            if quantity.get("system") not in (UCUM, None) or not isinstance(code, str):
                return None
            return self._known_unit(code)
        written = quantity.get("unit")
        return self._known_unit(written) if isinstance(written, str) else None

    def _known_unit(self, written: str) -> str | None:
        unit = self.vocabulary.unit_synonyms.get(written, written)
        return unit if unit in self.vocabulary.units else None

    def date(self, way: Way, value: Any) -> str | None:
        """A FHIR date or dateTime, or only its year, or moved by the shift of the disclosure."""
        if way.transform == SHIFT:
            return shifted(value, self.shift_days)
        if not is_moment(value):
            return None
        return str(value)[:4] if way.transform == "year" else str(value)

    def period(self, way: Way, value: Any) -> dict[str, Any] | None:
        """The start and end of a Period, or both moved.

        A Period of which one end cannot be moved is not sent: without its end it would seem to go
        on.
        """
        if not isinstance(value, dict):
            return None
        if way.transform == SHIFT:
            ends = [name for name in ("start", "end") if name in value]
            moved = {name: shifted(value[name], self.shift_days) for name in ends}
            return moved if moved and None not in moved.values() else None
        found = {name: value[name] for name in ("start", "end") if is_moment(value.get(name))}
        return found or None

    def reference(self, way: Way, value: Any) -> dict[str, Any] | None:
        """An opaque reference to a resource of the kind that this element is about."""
        target = value.get("reference") if isinstance(value, dict) else None
        kind = _REFERENCE_TYPES.get(way.path)
        if kind is None or not isinstance(target, str):
            return None
        record = self.chart.find(target)
        if record is not None and record.resource_type != kind:
            return None
        if record is None and f"{kind}/" not in target and not target.startswith("urn:"):
            return None
        real = target.partition("/_history/")[0] if record is None else record.reference
        return {"reference": reference_to(kind, self.pseudonyms(kind, real))}

    def _questions(self, wanted: frozenset[CodeKey]) -> Questions:
        """How to read answers: a questionnaire is the code system of its own link ids."""
        codes = self.vocabulary.codes
        return Questions(
            known=lambda link: any((url, link) in codes for _, url in wanted),
            coding=lambda value: self.coding(value, frozenset(), frozenset()),
            quantity=self.quantity,
        )

    def attachment(self, value: Any) -> dict[str, Any] | None:
        """A plain-text attachment, decoded, scrubbed and encoded again."""
        if not isinstance(value, dict):
            return None
        media = value.get("contentType")
        if not isinstance(media, str) or media.partition(";")[0].strip().lower() != "text/plain":
            return None
        text = attachment_text(value)
        if text is None or not text.strip():
            return None
        data = base64.b64encode(self.scrub(text).encode()).decode()
        return {"contentType": "text/plain; charset=utf-8", "data": data}


def masks(place: str, names: Iterable[str], kept: Mapping[str, Any]) -> dict[str, Any]:
    """The marks that stand for elements of ``place`` that are kept back, given what is kept.

    A value becomes a reason why it is absent, an element that R4 requires keeps its place; any
    other has no mark. INVARIANT: nothing here comes from the chart, and nothing of ``kept`` is
    replaced (FHIR obs-6: a reason never stands beside a value).
    """
    found: dict[str, Any] = {}
    for name in names:
        if place in ("Observation", "Observation.component") and name in VALUES:
            if kept.keys().isdisjoint(VALUES | {"dataAbsentReason"}):
                coding = {"system": ABSENT_REASON, "code": "masked", "display": "Masked"}
                found["dataAbsentReason"] = {"coding": [coding]}
        elif name in REQUIRED.get(place, ()) and name not in kept:
            kind, _, head = place.partition(".")
            element = ELEMENTS[kind][f"{head}.{name}" if head else name]
            key = f"_{name}" if element.kind in PRIMITIVE_KINDS else name
            found[key] = {"extension": [{"url": DATA_ABSENT, "valueCode": "masked"}]}
    return found


def reference_to(kind: str, pseudonym: str) -> str:
    """``Type/pseudonym``, whether or not the pseudonym already says its type."""
    return pseudonym if pseudonym.startswith(f"{kind}/") else f"{kind}/{pseudonym}"


def generalised(resource: Mapping[str, Any], way: Way, as_of: datetime) -> dict[str, Any]:
    """The elements that stand for a birth date, an address or a start; empty when unreadable."""
    if way.transform == LEAD:
        lead = lead_in_days(resource.get("created"), resource.get("start"))
        return {} if lead is None else _number(LEAD_DAYS_URL, min(lead, LEAD_TOP))
    if way.element.kind == "postal":
        return _postal_3(resource)
    value = resource.get("birthDate")
    if way.transform is None:
        exact = isinstance(value, str) and len(value) == 10 and is_moment(value)
        return {"birthDate": value} if exact else {}
    age = age_in_years(value, as_of)
    if way.transform == "year":
        known = isinstance(value, str) and is_moment(value)
        return {"birthDate": _year(str(value), as_of)} if known else {}
    if age is None:
        return {}
    if way.transform == "age_years":
        return _number(AGE_YEARS_URL, min(age, AGE_TOP))
    low = age // 10 * 10
    band = f"{AGE_TOP}+" if age >= AGE_TOP else f"{low}-{low + 9}"
    return {"extension": [{"url": AGE_BAND_URL, "valueString": band}]}


def _number(url: str, value: int) -> dict[str, Any]:
    return {"extension": [{"url": url, "valueInteger": value}]}


def _year(value: str, as_of: datetime) -> str:
    return str(max(int(value[:4]), as_of.year - AGE_TOP))


def _postal_3(resource: Mapping[str, Any]) -> dict[str, Any]:
    addresses = resource.get("address")
    found: list[dict[str, str]] = []
    for address in addresses if isinstance(addresses, list) else []:
        code = address.get("postalCode") if isinstance(address, dict) else None
        if isinstance(code, str) and len(code) >= 5 and code[:5].isascii() and code[:5].isdigit():
            area = "000" if code[:3] in SMALL_AREAS else code[:3]
            found.append({"postalCode": area})
    return {"address": found} if found else {}
