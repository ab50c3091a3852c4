"""A risk becomes a RiskAssessment."""

from __future__ import annotations

from careweir_fhir import systems
from careweir_fhir.context import Place
from careweir_fhir.elements import (
    Json,
    coded,
    compact,
    concept,
    date_time,
    extension,
    is_number,
    joined,
    note,
    number,
    percentage,
    range_of,
    text_concept,
    to,
    words,
)
from careweir_fhir.model import Finding
from careweir_fhir.result import (
    base,
    encounter,
    identifiers,
    observation_status,
    remarks,
    subject,
    tool_name,
)
from careweir_fhir.when import horizon_period

_PER_CENT = "%"
_PROBABILITY_UNITS = (None, "1")
_PROBABILITY_SCALES = (None, "probability")
# Source: HL7 code system risk-probability; "medium" is the word of NEWS2 (RCP 2017) for moderate.
_BANDS = {
    "negligible": ("negligible", "Negligible likelihood"),
    "low": ("low", "Low likelihood"),
    "medium": ("moderate", "Moderate likelihood"),
    "moderate": ("moderate", "Moderate likelihood"),
    "high": ("high", "High likelihood"),
    "certain": ("certain", "Certain"),
}


def risk_assessment(finding: Finding, place: Place) -> Json:
    """Map a risk: a probability in [0, 1] becomes a percentage, points stay words.

    Source: FHIR R4 RiskAssessment; ras-2 (percentages up to 100).
    """
    return base("RiskAssessment", finding, place) | compact(
        identifier=identifiers(finding),
        status=observation_status(finding),
        method=text_concept(tool_name(place.tool)),
        code=concept(finding.code, verified=finding.verified),
        subject=subject(place),
        encounter=encounter(finding, place),
        occurrenceDateTime=date_time(finding.effective) or place.context.as_of,
        performer=to(place.device),
        prediction=[_prediction(finding, place)],
        note=note(*remarks(finding, place)),
    )


def _prediction(finding: Finding, place: Place) -> Json:
    probability = _probability(finding)
    bounds = finding.interval if _on_probability_scale(finding) else None
    interval = _percentages(bounds)
    start = date_time(finding.effective) or place.context.as_of
    return compact(
        extension=[extension(systems.INTERVAL, valueRange=interval)]
        if interval and probability is not None
        else None,
        outcome=concept(finding.code, verified=finding.verified),
        probabilityDecimal=probability,
        probabilityRange=(interval or _no_probability(finding)) if probability is None else None,
        qualitativeRisk=_qualitative(finding, probability),
        whenPeriod=horizon_period(start, finding.horizon),
        rationale=joined(finding.explanation),
    )


def _no_probability(finding: Finding) -> Json:
    """Say that there is no percentage, and why, instead of leaving it out.

    A strict reader of ras-2 rejects a prediction without a probability (FHIRPath: ``{} is
    decimal`` is empty, and empty is not true). Source: FHIR extension data-absent-reason.
    """
    points = finding.scale is not None or is_number(finding.value)
    reason = "not-applicable" if points else "unknown"
    return {"extension": [extension(systems.DATA_ABSENT, valueCode=reason)]}


def _on_probability_scale(finding: Finding) -> bool:
    """A published point score must say ``unit: "1"`` to be read as a probability."""
    if finding.scale not in _PROBABILITY_SCALES or finding.unit not in _PROBABILITY_UNITS:
        return False
    return finding.unit == "1" or not finding.fallback


def _probability(finding: Finding) -> float | int | None:
    value = finding.value
    if not is_number(value) or not _on_probability_scale(finding):
        return None
    return percentage(value) if 0 <= value <= 1 else None


def _percentages(bounds: tuple[float, float] | None) -> Json | None:
    if bounds is None or not 0 <= bounds[0] <= bounds[1] <= 1:
        return None
    return range_of((percentage(bounds[0]), percentage(bounds[1])), _PER_CENT)


def _qualitative(finding: Finding, probability: float | int | None) -> Json | None:
    """The band with its code where the words are known, and the points for people."""
    value = finding.value
    band = words(value) if isinstance(value, str) else None
    band = words(finding.threshold_band) or band
    points = None
    if is_number(value) and probability is None:
        unit = words(finding.unit) if finding.unit != "1" else None
        points = " ".join(
            str(part) for part in (words(finding.scale), number(value), unit) if part is not None
        )
    text = ": ".join(part for part in (points, band) if part)
    known = _BANDS.get((band or "").lower())
    if known:
        return coded(systems.RISK_PROBABILITY, *known, text=text)
    return text_concept(text) if text else None
