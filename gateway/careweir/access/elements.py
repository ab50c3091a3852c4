"""Which FHIR R4 elements a policy can name at all, and how each is read.

A path that is not in this table cannot be granted, asked for or sent: an unnamed complex element
would bring a subtree that nobody looked at. Kinds:

    code        a token of the listed set            date        a date or dateTime, instant
    concept     CodeableConcept: known codings only  coding      Coding: known only
    quantity    number with a known UCUM unit        number      integer or decimal
    boolean     true or false                        period      start and end
    reference   rewritten, opaque                    birthdate   generalised, or by its own right
    postal      address, only generalised            text        free text: scrubbed, by right
    attachment  base64 text: decoded and scrubbed
    canonical   the URL of a known questionnaire, without its version
    answers     the items of a known questionnaire: known questions, coded and counted answers

Source: FHIR R4 (4.0.1) resource definitions; required bindings of the elements of kind ``code``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

Kind = Literal[
    "code", "concept", "coding", "quantity", "number", "boolean", "date", "period", "reference",
    "birthdate", "postal", "text", "attachment", "canonical", "answers",
]  # fmt: skip

TEXT_KINDS: Final = frozenset({"text", "attachment"})


class Element(NamedTuple):
    """How one element is read; ``values`` is the required value set of a ``code``."""

    kind: Kind
    values: frozenset[str] = frozenset()


def _of(kind: Kind, *names: str) -> dict[str, Element]:
    return {name: Element(kind) for name in names}


def _code(name: str, values: str) -> dict[str, Element]:
    return {name: Element("code", frozenset(values.split()))}


_OBSERVED = "registered preliminary final amended corrected cancelled entered-in-error unknown"
_REPORTED = (
    "registered partial preliminary final amended corrected appended cancelled entered-in-error "
    "unknown"
)
_REQUESTED = "draft active on-hold revoked completed entered-in-error unknown"
_DONE = "preparation in-progress not-done on-hold stopped completed entered-in-error unknown"
_INTENT = (
    "proposal plan directive order original-order reflex-order filler-order instance-order option"
)

ELEMENTS: Final[Mapping[str, Mapping[str, Element]]] = {
    "Patient": {
        **_code("gender", "male female other unknown"),
        **_of("birthdate", "birthDate"),
        **_of("boolean", "deceasedBoolean"),
        **_of("postal", "address.postalCode"),
    },
    "Observation": {
        **_code("status", _OBSERVED),
        **_of("concept", "code", "category", "valueCodeableConcept", "interpretation"),
        **_of("concept", "dataAbsentReason", "component.code", "component.valueCodeableConcept"),
        **_of("concept", "component.dataAbsentReason"),
        **_of("date", "effectiveDateTime", "effectiveInstant", "issued", "valueDateTime"),
        **_of("period", "effectivePeriod"),
        **_of("quantity", "valueQuantity", "component.valueQuantity"),
        **_of("quantity", "referenceRange.low", "referenceRange.high"),
        **_of("number", "valueInteger", "component.valueInteger"),
        **_of("boolean", "valueBoolean", "component.valueBoolean"),
        **_of("reference", "encounter", "derivedFrom"),
        **_of("text", "valueString", "component.valueString"),
    },
    "DiagnosticReport": {
        **_code("status", _REPORTED),
        **_of("concept", "code", "category", "conclusionCode"),
        **_of("date", "effectiveDateTime", "issued"),
        **_of("period", "effectivePeriod"),
        **_of("reference", "encounter", "imagingStudy"),
        **_of("text", "conclusion"),
        **_of("attachment", "presentedForm"),
    },
    "ImagingStudy": {
        **_code("status", "registered available cancelled entered-in-error unknown"),
        **_of("coding", "modality", "series.modality", "series.bodySite", "series.laterality"),
        **_of("concept", "procedureCode"),
        **_of("date", "started", "series.started"),
        **_of("number", "numberOfSeries", "numberOfInstances", "series.numberOfInstances"),
        **_of("reference", "encounter"),
        **_of("text", "description"),
    },
    "Condition": {
        **_of("concept", "code", "category", "clinicalStatus", "verificationStatus", "severity"),
        **_of("date", "onsetDateTime", "abatementDateTime", "recordedDate"),
        **_of("period", "onsetPeriod", "abatementPeriod"),
        **_of("reference", "encounter"),
    },
    "Encounter": {
        **_code(
            "status",
            "planned arrived triaged in-progress onleave finished cancelled entered-in-error "
            "unknown",
        ),
        **_of("coding", "class"),
        **_of("concept", "type", "priority", "reasonCode"),
        **_of("concept", "hospitalization.admitSource", "hospitalization.dischargeDisposition"),
        **_of("period", "period"),
        **_of("quantity", "length"),
    },
    "Coverage": {
        **_code("status", "active cancelled draft entered-in-error"),
        **_of("concept", "type", "relationship"),
        **_of("period", "period"),
        **_of("number", "order"),
    },
    "MedicationRequest": {
        **_code(
            "status",
            "active on-hold cancelled completed entered-in-error stopped draft unknown",
        ),
        **_code("intent", _INTENT),
        **_of("concept", "medicationCodeableConcept", "category"),
        **_of("date", "authoredOn"),
        **_of("reference", "encounter"),
    },
    "MedicationStatement": {
        **_code(
            "status",
            "active completed entered-in-error intended stopped on-hold unknown not-taken",
        ),
        **_of("concept", "medicationCodeableConcept"),
        **_of("date", "effectiveDateTime", "dateAsserted"),
        **_of("period", "effectivePeriod"),
    },
    "Procedure": {
        **_code("status", _DONE),
        **_of("concept", "code", "category", "bodySite"),
        **_of("date", "performedDateTime"),
        **_of("period", "performedPeriod"),
        **_of("reference", "encounter"),
    },
    "AllergyIntolerance": {
        **_code("type", "allergy intolerance"),
        **_code("criticality", "low high unable-to-assess"),
        **_of("concept", "code", "clinicalStatus", "verificationStatus"),
        **_of("date", "recordedDate"),
    },
    "ServiceRequest": {
        **_code("status", _REQUESTED),
        **_code("intent", _INTENT),
        **_code("priority", "routine urgent asap stat"),
        **_of("concept", "code", "category", "bodySite", "reasonCode"),
        **_of("date", "authoredOn", "occurrenceDateTime"),
        **_of("quantity", "quantityQuantity"),
        **_of("reference", "encounter"),
    },
    "DocumentReference": {
        **_code("status", "current superseded entered-in-error"),
        **_code("docStatus", "preliminary final amended entered-in-error"),
        **_of("concept", "type", "category"),
        **_of("date", "date"),
        **_of("attachment", "content.attachment"),
    },
    "QuestionnaireResponse": {
        **_code("status", "in-progress completed amended entered-in-error stopped"),
        **_of("canonical", "questionnaire"),
        **_of("date", "authored"),
        **_of("reference", "encounter"),
        **_of("answers", "item"),
    },
    "Appointment": {
        **_code(
            "status",
            "proposed pending booked arrived fulfilled cancelled noshow entered-in-error "
            "checked-in waitlist",
        ),
        **_of("concept", "serviceCategory", "serviceType", "specialty", "appointmentType"),
        **_of("date", "start", "end", "created"),
        **_of("number", "minutesDuration", "priority"),
    },
}

PRIMITIVE_KINDS: Final[frozenset[Kind]] = frozenset(
    {"code", "number", "boolean", "date", "text", "canonical"}
)

# Elements of these types and backbones that R4 requires (min >= 1), as far as a policy can name
# them. What is missing here beside them is rebuilt by us (subject, patient) or cannot be named.
REQUIRED: Final[Mapping[str, frozenset[str]]] = {
    place: frozenset(names.split())
    for place, names in {
        "Observation": "status code",
        "Observation.component": "code",
        "DiagnosticReport": "status code",
        "ImagingStudy": "status",
        "ImagingStudy.series": "modality",
        "Encounter": "status class",
        "Coverage": "status",
        "MedicationRequest": "status intent medicationCodeableConcept",
        "MedicationStatement": "status medicationCodeableConcept",
        "Procedure": "status",
        "ServiceRequest": "status intent",
        "DocumentReference": "status",
        "DocumentReference.content": "attachment",
        "Appointment": "status",
        "QuestionnaireResponse": "status",
    }.items()
}

# The choices of value[x], of an Observation and of its components.
VALUES: Final = frozenset(
    {"valueQuantity", "valueCodeableConcept", "valueString", "valueBoolean", "valueInteger"}
    | {"valueRange", "valueRatio", "valueSampledData", "valueTime", "valueDateTime", "valuePeriod"}
)

# The element whose code says what a resource is about: it selects, and it decides the data class.
CODED_BY: Final[Mapping[str, str]] = {
    "Observation": "code",
    "DiagnosticReport": "code",
    "Condition": "code",
    "Procedure": "code",
    "ServiceRequest": "code",
    "AllergyIntolerance": "code",
    "MedicationRequest": "medicationCodeableConcept",
    "MedicationStatement": "medicationCodeableConcept",
    "DocumentReference": "type",
    "Encounter": "class",
    "ImagingStudy": "modality",
    "QuestionnaireResponse": "questionnaire",
}
