"""From one inference to findings. The service has no confidence anywhere, and none is made up."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from careweir_adapters.azure_radiology_insights.observation import (
    Known,
    findings_of,
    side_of,
    words_of,
)
from careweir_adapters.azure_radiology_insights.wire import Inference, coding_of
from careweir_fhir.model import Coding, Finding
from careweir_kit.codes import verified

# What the service finds wrong with a report, as codes of our own.
DISCREPANCY: Final = "urn:careweir:report-discrepancy"
_LATERALITY: Final[Mapping[str, str]] = {
    "orderLateralityMismatch": "The side of the order is not the side in the report",
    "textLateralityContradiction": "The report contradicts itself about the side",
    "textLateralityMissing": "The report does not say the side",
}
_MISMATCHES: Final[Mapping[str, str]] = {
    "sexMismatch": "The sex in the report is not the patient's: possibly another patient",
    "ageMismatch": "The age in the report is not the patient's: possibly another patient",
    "completeOrderDiscrepancy": "The report lacks what a complete study of this order shows",
    "limitedOrderDiscrepancy": "The report goes beyond or lacks what a limited study shows",
}
_NO_FOLLOW_UP: Final = "266750002"  # comes in the place of a modality and means what it says
_SCALES: Final[Mapping[str, str]] = {"BIRADS": "BI-RADS", "LIRADS": "LI-RADS", "TIRADS": "TI-RADS"}
_DATE: Final = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?", re.ASCII)


class NotRead(Exception):
    """An inference that is not carried on; the message is in our words."""


def read(base: Finding, one: Inference, known: Known) -> Iterator[Finding]:
    """The findings of one inference. Raises NotRead."""
    match one.kind:
        case "finding":
            yield from _observed(base, one.finding, known)
        case "criticalResult":
            yield from _critical(base, one, known)
        case "followupRecommendation":
            yield from _follow_up(base, one, known)
        case "lateralityDiscrepancy":
            kind = one.discrepancyType or ""
            yield _discrepancy(base, kind, _LATERALITY.get(kind)).model_copy(
                update={"laterality": side_of(one.lateralityIndication)}
            )
        case "sexMismatch" | "ageMismatch" | "completeOrderDiscrepancy" | "limitedOrderDiscrepancy":
            yield _discrepancy(base, one.kind, _MISMATCHES[one.kind])
        case "scoringAndAssessment":
            yield _scored(base, one)
        case _:
            raise NotRead("an inference is of a kind that is not read")


def _observed(base: Finding, observation: dict[str, Any] | None, known: Known) -> Iterator[Finding]:
    found = list(findings_of(base, observation or {}, known))
    if not found:
        raise NotRead("a finding does not say what it is")
    yield from found


def _critical(base: Finding, one: Inference, known: Known) -> Iterator[Finding]:
    if one.result is None:
        raise NotRead("a critical result is empty")
    urgent = base.model_copy(update={"explanation": ("the service marks this as critical",)})
    found = list(findings_of(urgent, one.result.finding or {}, known))
    said = {"code": Coding(display=one.result.description), "polarity": "present"}
    yield from found or [urgent.model_copy(update=said | {"verified": False})]


def _discrepancy(base: Finding, code: str, words: str | None) -> Finding:
    """What the service says is wrong with the report: a statement about the report."""
    if words is None:
        raise NotRead("a discrepancy is of a kind that is not known")
    coding = Coding(system=DISCREPANCY, code=code, display=words)
    return base.model_copy(update={"code": coding, "polarity": "present", "verified": False})


def _scored(base: Finding, one: Inference) -> Finding:
    value = one.singleValue
    if value is None and one.rangeValue is not None:
        value = f"{one.rangeValue.minimum}-{one.rangeValue.maximum}"
    if not one.category or not value:
        raise NotRead("a score lacks its scale or its value")
    scale = _SCALES.get(one.category, one.category)
    code = Coding(display=one.categoryDescription or scale)
    update = {"kind": "triage", "code": code, "scale": scale, "value": value, "verified": False}
    return base.model_copy(update=update)


def _follow_up(base: Finding, one: Inference, known: Known) -> Iterator[Finding]:
    """A recommended procedure; its strength is said in words, as the flags say it."""
    procedure = one.recommendedProcedure or {}
    listed = procedure.get("imagingProcedures")
    images: list[Mapping[str, Any]] = [procedure]
    if isinstance(listed, list) and listed:
        images = [image for image in listed if isinstance(image, Mapping)]
    if not images:
        raise NotRead("a recommendation does not say what is recommended")
    modalities = [coding_of(image.get("modality")) for image in images]
    if any(one and one.code == _NO_FOLLOW_UP for one in modalities):
        raise NoFollowUp
    for image, modality in zip(images, modalities, strict=True):
        anatomy = coding_of(image.get("anatomy"))
        target = _named(procedure) or _composed(modality, anatomy)
        if target is None:
            raise NotRead("a recommendation does not say what is recommended")
        yield base.model_copy(
            update={
                "kind": "recommendation",
                "action": "order",
                "code": _reason(one) or target,
                "target": target,
                "body_site": anatomy,
                "laterality": side_of(image.get("laterality")),
                "explanation": _strength(one),
                "verified": verified(target, known),
            }
        )


class NoFollowUp(Exception):
    """The service says that no follow-up was arranged: nothing is recommended."""


def _named(procedure: Mapping[str, Any]) -> Coding | None:
    """The code of the procedure itself, where it has one."""
    codes = procedure.get("procedureCodes")
    first = codes[0] if isinstance(codes, list) and codes else procedure.get("code")
    description = procedure.get("description")
    text = Coding(display=description) if isinstance(description, str) and description else None
    return coding_of(first) or text


def _composed(modality: Coding | None, anatomy: Coding | None) -> Coding | None:
    """The modality as target, with the anatomy in its words where it has any."""
    if modality is None:
        return None
    words = [part for part in (words_of(modality), words_of(anatomy)) if part]
    return modality.model_copy(update={"display": " of ".join(words) or None})


def _reason(one: Inference) -> Coding | None:
    """What the recommendation is for: the first finding that says what it is."""
    for raw in one.findings:
        for name in ("finding", "criticalFinding"):
            said = raw.get(name)
            if isinstance(said, Mapping):
                blank = Finding(tool="-", kind="assertion", code=Coding())
                found = list(findings_of(blank, said, {}))
                text = said.get("description")
                if found:
                    return found[0].code
                if isinstance(text, str) and text:
                    return Coding(display=text)
    return None


def _strength(one: Inference) -> tuple[str, ...]:
    said = []
    period = one.effectivePeriod
    due = one.effectiveAt or (period and (period.end or period.start)) or ""
    if found := _DATE.match(due):
        said.append(f"due {found[0]}")
    flags = {
        "on a condition": one.isConditional,
        "as one option": one.isOption,
        "from a guideline": one.isGuideline,
        "in hedged words": one.isHedging,
    }
    return (*said, *(f"recommended {words}" for words, on in flags.items() if on))
