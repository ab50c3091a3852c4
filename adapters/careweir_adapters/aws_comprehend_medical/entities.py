"""From the entities of an answer to findings.

Source: docs.aws.amazon.com, Comprehend Medical: traits, attributes, API_ICD10CMEntity (offsets in
code points). The service scores an entity, each of its codes and each relation; the confidence of
a finding is that of the entity, and the score of its code is said beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from careweir_adapters.aws_comprehend_medical.mapping import Answer, Facts
from careweir_adapters.aws_comprehend_medical.wire import Concept, Entity
from careweir_fhir.model import Coding, Finding, Laterality, Span
from careweir_kit.codes import verified, well_formed
from careweir_kit.phrases import dose_of, side_of
from careweir_kit.spans import checked
from careweir_kit.units import unit_of

_NUMBER: Final = re.compile(r"\d{1,9}(\.\d{1,6})?", re.ASCII)
_CODE: Final = re.compile(r"[A-Z0-9.-]{1,20}", re.ASCII)
_ALTERNATIVES_MAX: Final = 4


def findings_of(
    base: Finding, mapping: Answer, facts: Facts, entities: list[Entity], text: str | None
) -> Iterator[tuple[Finding, bool]]:
    """One finding an entity, each with whether its words stand where the service says."""
    for entity in entities:
        if entity.Category not in mapping.categories:
            continue
        code, scores = _code(entity, facts)
        side = side_of(entity.said("DIRECTION"))
        context = _context(entity.traits)
        agrees = _sides_agree(code, side)
        span = _span(entity, text)
        absent = "NEGATION" in entity.traits
        coding = mapping.kind == "coding" and not absent and context is None and code.code
        finding = base.model_copy(
            update={
                "kind": "coding" if coding else "assertion",
                "code": code,
                "polarity": None if coding else "absent" if absent else "present",
                "subject_context": context,
                "laterality": side,
                "body_site": _only(entity.said("SYSTEM_ORGAN_SITE")),
                "confidence": entity.Score,
                "confidence_kind": "detection",
                "span": span,
                "explanation": (*scores, *_remarks(entity, agrees)),
                "dose": dose_of(_only(entity.said("STRENGTH", "DOSAGE")) or ""),
                "verified": agrees and verified(code, mapping.known),
            }
            | _measured(entity)
        )
        yield finding, span is not None


def _context(traits: frozenset[str]) -> str | None:
    """Whose it is and when; somebody else comes first."""
    if "PERTAINS_TO_FAMILY" in traits:
        return "family"
    if traits & {"HYPOTHETICAL", "FUTURE"}:
        return "hypothetical"
    return "history" if "PAST_HISTORY" in traits else None


def _code(entity: Entity, facts: Facts) -> tuple[Coding, tuple[str, ...]]:
    """The first concept that can be a code of its system; the scores of it and of the others."""
    ranked: list[Concept] = getattr(entity, facts.concepts) if facts.concepts else []
    held = [one for one in ranked if _CODE.fullmatch(one.Code)]
    usable = [one for one in held if well_formed(facts.system, one.Code)] or held[:1]
    if not usable:
        return Coding(display=entity.Text), ()
    first, *others = usable
    said = [f"linking score {first.Score:g}"]
    said += [f"alternative {o.Code}, linking score {o.Score:g}" for o in others[:_ALTERNATIVES_MAX]]
    return Coding(system=facts.system, code=first.Code, display=first.Description), tuple(said)


def _remarks(entity: Entity, agrees: bool) -> tuple[str, ...]:
    said = []
    if "LOW_CONFIDENCE" in entity.traits:
        said.append("the service marks this as of low confidence")
    if not agrees:
        said.append("the side of the code is not the side in the text")
    return tuple(said)


def _sides_agree(code: Coding, side: Laterality | None) -> bool:
    """Whether the words of the code name no other side than the text does."""
    words = re.findall(r"[a-z]+", (code.display or "").lower())
    named = side_of(words)
    return code.code is None or named is None or side is None or named == side


def _span(entity: Entity, text: str | None) -> Span | None:
    """Where it stands; without the text, a place counts that is as long as its words."""
    if text is not None:
        return checked(text, entity.BeginOffset, entity.EndOffset, entity.Text)
    if entity.EndOffset - entity.BeginOffset != len(entity.Text):
        return None
    return Span(start=entity.BeginOffset, end=entity.EndOffset, text=entity.Text)


def _only(words: list[str]) -> str | None:
    return words[0] if len(words) == 1 else None


def _measured(entity: Entity) -> dict[str, Any]:
    """A test with one number and one unit that we know is a measurement."""
    value, unit = _only(entity.said("TEST_VALUE")), _only(entity.said("TEST_UNIT", "TEST_UNITS"))
    known = unit_of({"unit": unit}) if unit else None
    if entity.Type != "TEST_NAME" or known is None or not _NUMBER.fullmatch((value or "").strip()):
        return {}
    return {"kind": "measurement", "value": float(value or ""), "unit": known, "polarity": None}
