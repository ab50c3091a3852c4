"""From predictions and proposed requests to findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from careweir_adapters.fhir_service.mapping import Answer
from careweir_adapters.fhir_service.wire import (
    Concept,
    Prediction,
    Range,
    RiskAssessment,
    risk_assessment,
    typed,
)
from careweir_fhir.model import Coding, Finding
from careweir_kit import codes
from careweir_kit.errors import VendorProtocolBroken
from careweir_kit.mapping import Risk, band_of
from careweir_kit.payload import codings, moment
from careweir_kit.references import plain
from careweir_kit.tool import Tool

# What creating a resource of this type asks for.
_VERBS: Final[Mapping[str, str]] = {
    "ServiceRequest": "order",
    "DeviceRequest": "order",
    "MedicationRequest": "start",
    "CommunicationRequest": "do",
    "Task": "do",
}
_CODES: Final = ("code", "medicationCodeableConcept", "codeCodeableConcept")
_HOUR_S: Final = 3600
WITHDRAWN: Final = frozenset({"cancelled", "entered-in-error"})


def findings_of(
    tool: Tool,
    answer: Answer,
    resources: list[dict[str, Any]],
    version: str | None,
    as_of: str | None,
) -> Iterator[Finding]:
    """The findings of every RiskAssessment, then what is proposed. Raises VendorProtocolBroken."""
    base = Finding(
        tool=tool.tool,
        tool_version=version or tool.version,
        kind="risk",
        code=Coding(),
        effective=as_of,
    )
    for resource in typed(resources, "RiskAssessment"):
        assessment = risk_assessment(resource)
        for prediction in assessment.prediction:
            yield _risk(answer, assessment, prediction, base, as_of)
    if answer.recommendations:
        for kind in _VERBS:
            for resource in typed(resources, kind):
                yield _recommendation(resource, base)
        for group in typed(resources, "RequestGroup"):
            yield from _actions(group, base)


def _risk(
    answer: Answer,
    assessment: RiskAssessment,
    prediction: Prediction,
    base: Finding,
    as_of: str | None,
) -> Finding:
    code, verified, known = _outcome(answer, prediction.outcome)
    value = _share(answer, prediction.probability)
    band = _words(prediction.qualitative)
    interval = _interval(answer, prediction.between)
    if value is None and interval is None and band is None:
        raise VendorProtocolBroken("a prediction without a probability, a range or a band")
    if known is not None and value is not None and known.bands:
        band = band_of(value, known.bands)
    return base.model_copy(
        update={
            "code": code,
            "value": value if value is not None else band,
            "unit": "1" if value is not None else None,
            "interval": interval,
            "threshold_band": band,
            "horizon": (known.horizon if known else None) or _horizon(prediction, as_of),
            "effective": assessment.occurrence or base.effective,
            "status": "entered-in-error" if assessment.status in WITHDRAWN else None,
            "verified": verified,
        }
    )


def _outcome(answer: Answer, outcome: Concept | None) -> tuple[Coding, bool, Risk | None]:
    """The code of a prediction: one of the tool file's where there is one, else the first."""
    if outcome is None:
        raise VendorProtocolBroken("a prediction without an outcome")
    given = [Coding(system=c.system, code=c.code, display=plain(c.display)) for c in outcome.coding]
    for coding in given:
        for risk in answer.risks:
            if (risk.code.system, risk.code.code) == (coding.system, coding.code):
                return risk.code, codes.agree(coding.display, risk.code.display), risk
    if given and given[0].code:
        return given[0], codes.verified(given[0]), None
    words = plain(outcome.text)
    if words is None or not words.strip():
        raise VendorProtocolBroken("a prediction without an outcome")
    return Coding(display=words), False, None


def _share(answer: Answer, value: float | int | None) -> float | None:
    """A probability in [0, 1], by the unit that the tool file names."""
    if value is None:
        return None
    whole = 100 if answer.probability == "per_cent" else 1
    if not 0 <= value <= whole:
        raise VendorProtocolBroken("a probability lies outside its range")
    return round(value / whole, 9)


def _interval(answer: Answer, between: Range | None) -> tuple[float, float] | None:
    """Both bounds of a range: per cent where its unit says so, else as the probability."""
    if between is None or between.low is None or between.high is None:
        return None
    bounds = []
    for bound in (between.low, between.high):
        per_cent = "%" in (bound.code, bound.unit)
        value = bound.value / 100 if per_cent and bound.value is not None else bound.value
        share = _share(answer, value) if not per_cent else value
        if share is None or not 0 <= share <= 1:
            raise VendorProtocolBroken("a probability lies outside its range")
        bounds.append(round(share, 9))
    if bounds[0] > bounds[1]:
        raise VendorProtocolBroken("a range that ends before it begins")
    return bounds[0], bounds[1]


def _words(concept: Concept | None) -> str | None:
    """The band of a prediction: its first code, else its words."""
    if concept is None:
        return None
    coded = next((c.code or c.display for c in concept.coding if c.code or c.display), None)
    return plain(coded or concept.text)


def _horizon(prediction: Prediction, as_of: str | None) -> str | None:
    """From the moment of the question to the end of the period, in whole hours."""
    now, end = moment(as_of), moment(prediction.when.end if prediction.when else None)
    if now is None or end is None or end <= now:
        return None
    return f"PT{round((end - now).total_seconds() / _HOUR_S)}H"


def _recommendation(resource: Mapping[str, Any], base: Finding) -> Finding:
    target = next(
        (
            Coding(system=system or None, code=code)
            for element in _CODES
            for system, code in codings(resource.get(element))
        ),
        None,
    )
    words = _said(resource.get("description")) or _text(resource)
    avoid = resource.get("doNotPerform") is True
    return base.model_copy(
        update={
            "kind": "recommendation",
            "code": target or Coding(display=words),
            "target": target or Coding(display=words),
            "action": "avoid" if avoid else _VERBS[str(resource["resourceType"])],
            "verified": target is not None and codes.verified(target),
        }
    )


def _actions(group: Mapping[str, Any], base: Finding) -> Iterator[Finding]:
    """The actions of a request group that say themselves what is to be done."""
    listed = group.get("action")
    for action in listed if isinstance(listed, list) else ():
        title = _said(action.get("title")) if isinstance(action, dict) else None
        if title is not None and "resource" not in action:
            yield base.model_copy(
                update={
                    "kind": "recommendation",
                    "code": Coding(display=title),
                    "target": Coding(display=title),
                    "action": "do",
                    "verified": False,
                }
            )


def _text(resource: Mapping[str, Any]) -> str | None:
    for element in _CODES:
        concept = resource.get(element)
        if isinstance(concept, Mapping) and (words := _said(concept.get("text"))):
            return words
    return None


def _said(value: object) -> str | None:
    return plain(value) if isinstance(value, str) and value.strip() else None
