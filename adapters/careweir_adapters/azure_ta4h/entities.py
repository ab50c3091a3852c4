"""From the entities of one document to findings.

Source: learn.microsoft.com, Text Analytics for health: assertion detection, relation extraction,
entity linking. The vendor gives one confidence an entity, of its detection, and none a link.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from careweir_adapters.azure_ta4h.mapping import SYSTEMS, Answer
from careweir_adapters.azure_ta4h.wire import Assertion, Entity, Readable
from careweir_fhir.model import Coding, Dose, Finding, Laterality, Polarity, Span
from careweir_kit.codes import verified, well_formed
from careweir_kit.phrases import dose_of, side_of
from careweir_kit.spans import checked
from careweir_kit.units import unit_of

_CERTAINTY: Final[Mapping[str, Polarity]] = {
    "positive": "present",
    "negative": "absent",
    "positivepossible": "indeterminate",
    "neutralpossible": "indeterminate",
    "negativepossible": "indeterminate",
}
_NUMBER: Final = re.compile(r"\d{1,9}(\.\d{1,6})?", re.ASCII)


def findings_of(
    base: Finding, mapping: Answer, found: Readable, document: int, text: str | None
) -> Iterator[tuple[Finding, bool]]:
    """The findings of a document, each with whether its words stand where the vendor says.

    ``text`` is what was sent; None for a recording or a push, whose places cannot be checked.
    """
    related = _related(found, document)
    for place, entity in found.entities.items():
        if entity.category not in mapping.categories:
            continue
        ends = related.get(place, {})
        code, others = code_of(entity, mapping)
        assertion = entity.assertion or Assertion()
        span = _span(entity, text)
        finding = base.model_copy(
            update={
                "kind": "assertion",
                "code": code,
                "polarity": _CERTAINTY.get(assertion.certainty.lower(), "indeterminate"),
                "subject_context": context_of(assertion),
                "laterality": _side(found, related, ends),
                "body_site": _site(found, ends),
                "confidence": entity.confidenceScore,
                "confidence_kind": "detection",
                "span": span,
                "explanation": others,
                "dose": _dose(found, ends),
                "verified": verified(code, mapping.known),
            }
            | _measured(found, ends, entity)
        )
        yield finding, span is not None


def context_of(assertion: Assertion) -> str | None:
    """Whose it is and when, in the words of a finding; somebody else comes first."""
    if (assertion.association or "subject").lower() != "subject":
        return "family"
    if assertion.conditionality is not None and assertion.conditionality.lower() != "none":
        return "hypothetical"
    return {"past": "history", "future": "hypothetical"}.get((assertion.temporality or "").lower())


def code_of(entity: Entity, mapping: Answer) -> tuple[Coding, tuple[str, ...]]:
    """The code in the preferred system, and which other systems have one, in our words.

    A code that cannot be one of its system is passed over; where no link is left the entity has
    its words alone. LNC links may name parts of LOINC, which are no codes of an examination.
    """
    words = entity.name or entity.text
    codes: dict[str, str] = {}
    for link in entity.links or []:
        system = SYSTEMS.get(link.dataSource)
        if system is None or link.dataSource in codes or link.id[:1] == "L":
            continue
        if well_formed(system, link.id) is not False and re.fullmatch(r"[\w.-]{1,20}", link.id):
            codes[link.dataSource] = link.id
    preferred = [name for name in mapping.systems if name in codes]
    if not preferred:
        return Coding(display=words), ()
    first, *rest = preferred
    others = tuple(f"also coded {name} {codes[name]}" for name in rest)
    return Coding(system=SYSTEMS[first], code=codes[first], display=words), others


def _span(entity: Entity, text: str | None) -> Span | None:
    """Where it stands; without the text, a place counts that is as long as its words."""
    end = entity.offset + entity.length
    if text is not None:
        return checked(text, entity.offset, end, entity.text)
    if len(entity.text) != entity.length:
        return None
    return Span(start=entity.offset, end=end, text=entity.text)


Ends = Mapping[str, list[int]]


def _related(found: Readable, document: int) -> dict[int, dict[str, list[int]]]:
    """For each entity, the entities that a relation joins to it, by their role."""
    related: dict[int, dict[str, list[int]]] = {}
    for relation in found.relations:
        if relation.relationType == "Abbreviation":
            continue
        places = relation.places(document)
        for role, place in places.items():
            for other, joined in places.items():
                if other != role and joined in found.entities:
                    related.setdefault(place, {}).setdefault(other, []).append(joined)
    return related


def _words(found: Readable, ends: Ends, role: str) -> list[str]:
    return [found.entities[place].text for place in ends.get(role, ())]


def _side(found: Readable, related: Mapping[int, Ends], ends: Ends) -> Laterality | None:
    """The side of the entity itself, else that of its body site; two sides are both."""
    through = [related.get(site, {}) for site in ends.get("BodySite", ())]
    own = side_of(_words(found, ends, "Direction"))
    return own or side_of(word for one in through for word in _words(found, one, "Direction"))


def _site(found: Readable, ends: Ends) -> str | None:
    sites = dict.fromkeys(_words(found, ends, "BodySite"))
    return next(iter(sites)) if len(sites) == 1 else None


def _dose(found: Readable, ends: Ends) -> Dose | None:
    said = _words(found, ends, "Dosage")
    return dose_of(said[0]) if len(said) == 1 else None


def _measured(found: Readable, ends: Ends, entity: Entity) -> dict[str, Any]:
    """An examination with one number and one unit that we know is a measurement."""
    values, units = _words(found, ends, "Value"), _words(found, ends, "Unit")
    if entity.category != "ExaminationName" or len(values) != 1 or len(units) != 1:
        return {}
    unit = unit_of({"unit": units[0]})
    if unit is None or not _NUMBER.fullmatch(values[0].strip()):
        return {}
    return {"kind": "measurement", "value": float(values[0]), "unit": unit, "polarity": None}
