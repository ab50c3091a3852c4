"""An assertion or a measurement becomes an Observation; an imaging tool's also a report.

R4 does not let a Device perform an Observation or a DiagnosticReport: the tool stands in
``Observation.device`` and in the Provenance.
"""

from __future__ import annotations

from collections.abc import Sequence

from careweir_fhir import systems
from careweir_fhir.context import Place
from careweir_fhir.elements import (
    Json,
    body_site,
    coded,
    compact,
    concept,
    date_time,
    extension,
    is_number,
    note,
    quantity,
    range_of,
    reference,
    text_concept,
    to,
    words,
)
from careweir_fhir.model import LOINC, Finding
from careweir_fhir.result import (
    AIAST,
    base,
    encounter,
    identifiers,
    is_ai,
    not_about_now,
    observation_status,
    remarks,
    subject,
    tool_name,
)

_IMAGING_CAPABILITIES = frozenset({"chest-xray-findings"})
# Source: FHIR R4 Observation.derivedFrom.
_SOURCES = (
    "ImagingStudy",
    "DocumentReference",
    "Media",
    "QuestionnaireResponse",
    "Observation",
    "MolecularSequence",
)
# Source: LOINC 18748-4 as used for imaging reports by US Core; the exam itself is not known here.
_IMAGING_REPORT = coded(LOINC, "18748-4", "Diagnostic imaging study")
_POSITIVE = coded(systems.INTERPRETATION, "POS", "Positive")
_NEGATIVE = coded(systems.INTERPRETATION, "NEG", "Negative")
_INDETERMINATE = coded(systems.INTERPRETATION, "IND", "Indeterminate")


def is_imaging(finding: Finding, place: Place) -> bool:
    """True where the question or the finding is about a picture."""
    return (
        place.context.capability in _IMAGING_CAPABILITIES
        or reference(finding.study or place.context.study, "ImagingStudy") is not None
    )


def observation(finding: Finding, place: Place) -> Json:
    """Map an assertion or a measurement. Source: FHIR R4 Observation, obs-6."""
    imaging = is_imaging(finding, place)
    head = base("Observation", finding, place)
    interval = range_of(finding.interval, finding.unit)
    if interval:
        head.setdefault("extension", []).append(extension(systems.INTERVAL, valueRange=interval))
    specimen = reference(finding.specimen, "Specimen")
    named = words(finding.specimen)
    return head | compact(
        identifier=identifiers(finding),
        status=observation_status(finding),
        category=[coded(systems.CATEGORY, "imaging", "Imaging")] if imaging else None,
        code=concept(finding.code, verified=finding.verified),
        subject=subject(place),
        encounter=encounter(finding, place),
        effectiveDateTime=date_time(finding.effective),
        issued=place.context.recorded,
        **_said(finding),
        note=note(*remarks(finding, place), *finding.explanation),
        bodySite=body_site(finding),
        method=text_concept(tool_name(place.tool)),
        specimen=specimen or ({"display": named} if named else None),
        device=to(place.device),
        derivedFrom=_sources(finding, place),
    )


def _sources(finding: Finding, place: Place) -> list[Json]:
    source = reference(finding.study or place.context.study, *_SOURCES)
    return [source] if source else []


def _said(finding: Finding) -> Json:
    """Value, interpretation and the reason for a missing value: never a negative by silence.

    obs-6 forbids a reason beside a value, so ``indeterminate`` has an interpretation and a reason
    and no value. What is not about this patient now has neither value nor interpretation.
    """
    if not_about_now(finding):
        return _no_value("not-applicable", "Not Applicable")
    if finding.kind == "measurement":
        return _measured(finding)
    match finding.polarity:
        case "present":
            return {"valueBoolean": True, "interpretation": [_POSITIVE]}
        case "absent":
            return {"valueBoolean": False, "interpretation": [_NEGATIVE]}
        case "indeterminate":
            return _no_value("unknown", "Unknown") | {"interpretation": [_INDETERMINATE]}
        case None:
            return _no_value("unknown", "Unknown")


def _measured(finding: Finding) -> Json:
    value = finding.value
    band = words(finding.threshold_band)
    interpretation = {"interpretation": [text_concept(band)]} if band else {}
    if is_number(value):
        return {"valueQuantity": quantity(value, finding.unit)} | interpretation
    if isinstance(value, str) and (text := words(value)):
        unit = words(finding.unit)
        return {"valueString": f"{text} {unit}" if unit else text} | interpretation
    return _no_value("unknown", "Unknown") | interpretation


def _no_value(code: str, display: str) -> Json:
    return {"dataAbsentReason": coded(systems.ABSENT_REASON, code, display)}


def diagnostic_report(place: Place, results: Sequence[str]) -> Json:
    """One tool's reading of a picture: preliminary until a person signs.

    ``results`` are the fullUrls of its Observations. Source: FHIR R4 DiagnosticReport.status:
    ``final`` is for what an authorised person verified.
    """
    study = reference(place.context.study, "ImagingStudy")
    return compact(
        resourceType="DiagnosticReport",
        id=place.id,
        meta={"security": [AIAST]} if is_ai(place.tool) else None,
        status="preliminary",
        category=[coded(systems.DIAGNOSTIC_SECTION, "RAD", "Radiology")],
        code=_IMAGING_REPORT,
        subject=subject(place),
        encounter=reference(place.context.encounter, "Encounter"),
        effectiveDateTime=place.context.as_of,
        issued=place.context.recorded,
        result=[to(url) for url in results],
        imagingStudy=[study] if study else None,
    )
