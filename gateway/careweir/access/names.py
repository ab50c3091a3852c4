"""The names that FHIR R4 gives to resource types and elements.

A manifest names paths. A name that stands here is the standard's word; any other is the caller's,
could hold anything, and is written as ``(unknown)``. Backbone elements list their children.

Source: FHIR R4 (4.0.1) resource definitions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_TYPES: Final = """
    Account ActivityDefinition AdministrableProductDefinition AdverseEvent AllergyIntolerance
    Appointment AppointmentResponse AuditEvent Basic Binary BiologicallyDerivedProduct
    BodyStructure Bundle CapabilityStatement CarePlan CareTeam CatalogEntry ChargeItem
    ChargeItemDefinition Citation Claim ClaimResponse ClinicalImpression ClinicalUseDefinition
    CodeSystem Communication CommunicationRequest CompartmentDefinition Composition ConceptMap
    Condition Consent Contract Coverage CoverageEligibilityRequest CoverageEligibilityResponse
    DetectedIssue Device DeviceDefinition DeviceMetric DeviceRequest DeviceUseStatement
    DiagnosticReport DocumentManifest DocumentReference Encounter Endpoint EnrollmentRequest
    EnrollmentResponse EpisodeOfCare EventDefinition Evidence EvidenceReport EvidenceVariable
    ExampleScenario ExplanationOfBenefit FamilyMemberHistory Flag Goal GraphDefinition Group
    GuidanceResponse HealthcareService ImagingStudy Immunization ImmunizationEvaluation
    ImmunizationRecommendation ImplementationGuide Ingredient InsurancePlan Invoice Library
    Linkage List Location ManufacturedItemDefinition Measure MeasureReport Media Medication
    MedicationAdministration MedicationDispense MedicationKnowledge MedicationRequest
    MedicationStatement MedicinalProductDefinition MessageDefinition MessageHeader
    MolecularSequence NamingSystem NutritionOrder NutritionProduct Observation
    ObservationDefinition OperationDefinition OperationOutcome Organization
    OrganizationAffiliation PackagedProductDefinition Parameters Patient PaymentNotice
    PaymentReconciliation Person PlanDefinition Practitioner PractitionerRole Procedure
    Provenance Questionnaire QuestionnaireResponse RegulatedAuthorization RelatedPerson
    RequestGroup ResearchDefinition ResearchElementDefinition ResearchStudy ResearchSubject
    RiskAssessment Schedule SearchParameter ServiceRequest Slot Specimen SpecimenDefinition
    StructureDefinition StructureMap Subscription SubscriptionStatus SubscriptionTopic Substance
    SubstanceDefinition SupplyDelivery SupplyRequest Task TerminologyCapabilities TestReport
    TestScript ValueSet VerificationResult VisionPrescription
"""
RESOURCE_TYPES: Final = frozenset(_TYPES.split())

_ELEMENTS: Final[Mapping[str, str]] = {
    "Patient": """
        active address birthDate communication contact contained deceasedBoolean
        deceasedDateTime extension gender generalPractitioner id identifier implicitRules
        language link managingOrganization maritalStatus meta modifierExtension
        multipleBirthBoolean multipleBirthInteger name photo telecom text
    """,
    "Observation": """
        basedOn bodySite category code component contained dataAbsentReason derivedFrom device
        effectiveDateTime effectiveInstant effectivePeriod effectiveTiming encounter extension
        focus hasMember id identifier implicitRules interpretation issued language meta method
        modifierExtension note partOf performer referenceRange specimen status subject text
        valueBoolean valueCodeableConcept valueDateTime valueInteger valuePeriod valueQuantity
        valueRange valueRatio valueSampledData valueString valueTime
    """,
    "Observation.component": """
        code dataAbsentReason extension id interpretation modifierExtension referenceRange
        valueBoolean valueCodeableConcept valueDateTime valueInteger valuePeriod valueQuantity
        valueRange valueRatio valueSampledData valueString valueTime
    """,
    "Observation.referenceRange": """
        age appliesTo extension high id low modifierExtension text type
    """,
    "DiagnosticReport": """
        basedOn category code conclusion conclusionCode contained effectiveDateTime
        effectivePeriod encounter extension id identifier imagingStudy implicitRules issued
        language media meta modifierExtension performer presentedForm result resultsInterpreter
        specimen status subject text
    """,
    "ImagingStudy": """
        basedOn contained description encounter endpoint extension id identifier implicitRules
        interpreter language location meta modality modifierExtension note numberOfInstances
        numberOfSeries procedureCode procedureReference reasonCode reasonReference referrer
        series started status subject text
    """,
    "ImagingStudy.series": """
        bodySite description endpoint extension id instance laterality modality
        modifierExtension number numberOfInstances performer specimen started uid
    """,
    "Condition": """
        abatementAge abatementDateTime abatementPeriod abatementRange abatementString asserter
        bodySite category clinicalStatus code contained encounter evidence extension id
        identifier implicitRules language meta modifierExtension note onsetAge onsetDateTime
        onsetPeriod onsetRange onsetString recordedDate recorder severity stage subject text
        verificationStatus
    """,
    "Encounter": """
        account appointment basedOn class classHistory contained diagnosis episodeOfCare
        extension hospitalization id identifier implicitRules language length location meta
        modifierExtension partOf participant period priority reasonCode reasonReference
        serviceProvider serviceType status statusHistory subject text type
    """,
    "Coverage": """
        beneficiary class contained contract costToBeneficiary dependent extension id identifier
        implicitRules language meta modifierExtension network order payor period policyHolder
        relationship status subrogation subscriber subscriberId text type
    """,
    "Encounter.hospitalization": """
        admitSource destination dietPreference dischargeDisposition extension id
        modifierExtension origin preAdmissionIdentifier reAdmission specialArrangement
        specialCourtesy
    """,
    "MedicationRequest": """
        authoredOn basedOn category contained courseOfTherapyType detectedIssue dispenseRequest
        doNotPerform dosageInstruction encounter eventHistory extension groupIdentifier id
        identifier implicitRules instantiatesCanonical instantiatesUri insurance intent language
        medicationCodeableConcept medicationReference meta modifierExtension note performer
        performerType priorPrescription priority reasonCode reasonReference recorder
        reportedBoolean reportedReference requester status statusReason subject substitution
        supportingInformation text
    """,
    "MedicationStatement": """
        basedOn category contained context dateAsserted derivedFrom dosage effectiveDateTime
        effectivePeriod extension id identifier implicitRules informationSource language
        medicationCodeableConcept medicationReference meta modifierExtension note partOf
        reasonCode reasonReference status statusReason subject text
    """,
    "Procedure": """
        asserter basedOn bodySite category code complication complicationDetail contained
        encounter extension focalDevice followUp id identifier implicitRules
        instantiatesCanonical instantiatesUri language location meta modifierExtension note
        outcome partOf performedAge performedDateTime performedPeriod performedRange
        performedString performer reasonCode reasonReference recorder report status statusReason
        subject text usedCode usedReference
    """,
    "AllergyIntolerance": """
        asserter category clinicalStatus code contained criticality encounter extension id
        identifier implicitRules language lastOccurrence meta modifierExtension note onsetAge
        onsetDateTime onsetPeriod onsetRange onsetString patient reaction recordedDate recorder
        text type verificationStatus
    """,
    "ServiceRequest": """
        asNeededBoolean asNeededCodeableConcept authoredOn basedOn bodySite category code
        contained doNotPerform encounter extension id identifier implicitRules
        instantiatesCanonical instantiatesUri insurance intent language locationCode
        locationReference meta modifierExtension note occurrenceDateTime occurrencePeriod
        occurrenceTiming orderDetail patientInstruction performer performerType priority
        quantityQuantity quantityRange quantityRatio reasonCode reasonReference relevantHistory
        replaces requester requisition specimen status subject supportingInfo text
    """,
    "DocumentReference": """
        authenticator author category contained content context custodian date description
        docStatus extension id identifier implicitRules language masterIdentifier meta
        modifierExtension relatesTo securityLabel status subject text type
    """,
    "DocumentReference.content": """
        attachment extension format id modifierExtension
    """,
    "Appointment": """
        appointmentType basedOn cancelationReason comment contained created description end
        extension id identifier implicitRules language meta minutesDuration modifierExtension
        participant patientInstruction priority reasonCode reasonReference requestedPeriod
        serviceCategory serviceType slot specialty start status supportingInformation text
    """,
    "QuestionnaireResponse": """
        author authored basedOn contained encounter extension id identifier implicitRules item
        language meta modifierExtension partOf questionnaire source status subject text
    """,
    "Patient.address": """
        city country district extension id line period postalCode state text type use
    """,
}
NAMES: Final[Mapping[str, frozenset[str]]] = {
    place: frozenset(names.split()) for place, names in _ELEMENTS.items()
}
UNKNOWN: Final = "(unknown)"


def resource_name(kind: str) -> str:
    """A resource type as the standard names it, else ``(unknown)``."""
    return kind if kind in RESOURCE_TYPES else UNKNOWN


def element_name(place: str, name: str) -> str:
    """An element below a type or backbone as the standard names it, else ``(unknown)``."""
    bare = name.removeprefix("_")
    return bare if bare in NAMES.get(place, frozenset()) else UNKNOWN
