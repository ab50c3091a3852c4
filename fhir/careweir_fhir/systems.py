"""Addresses of code systems and extensions. Ours begin with ``urn:careweir:``."""

from __future__ import annotations

_HL7 = "http://terminology.hl7.org/CodeSystem/"
INTERPRETATION = _HL7 + "v3-ObservationInterpretation"
ABSENT_REASON = _HL7 + "data-absent-reason"
CATEGORY = _HL7 + "observation-category"
DIAGNOSTIC_SECTION = _HL7 + "v2-0074"
RISK_PROBABILITY = _HL7 + "risk-probability"
FLAG_CATEGORY = _HL7 + "flag-category"
PARTICIPANT = _HL7 + "provenance-participant-type"
DATA_OPERATION = _HL7 + "v3-DataOperation"
ACT_CODE = _HL7 + "v3-ActCode"
OBSERVATION_VALUE = _HL7 + "v3-ObservationValue"

DATA_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"

# Source: HL7 AI Transparency IG, STU1 ballot (August 2026): young, so each stands here only.
_AI = "http://hl7.org/fhir/uv/aitransparency/"
AI_DEVICE_TYPE = _AI + "CodeSystem/AIdeviceTypeCS"
AI_CONFIDENCE = _AI + "StructureDefinition/AIconfidence"
AI_INPUTS = _AI + "CodeSystem/AIinputsCS"
MODEL_CARD = _AI + "StructureDefinition/aitransparency.modelCardDescription"

CONFLICT_TYPE = "urn:careweir:conflict-type"
CONFLICT_RULE = "urn:careweir:conflict-rule"
TOOL = "urn:careweir:tool"
TOOL_STATUS = "urn:careweir:tool-status"
CAPABILITY = "urn:careweir:capability"
POLICY = "urn:careweir:policy"
FINDING = "urn:careweir:finding"

_EXTENSION = "urn:careweir:extension:"
CONFIDENCE_KIND = _EXTENSION + "confidence-kind"  # valueCode: class_probability, detection …
VENDOR_CONFIDENCE = _EXTENSION + "vendor-scale-confidence"  # valueDecimal, never a probability
LATERALITY = _EXTENSION + "laterality"  # valueCodeableConcept, on a body site
SUBJECT_CONTEXT = _EXTENSION + "subject-context"  # valueString, a modifier: not about here and now
CODE_UNVERIFIED = _EXTENSION + "code-unverified"  # valueBoolean true, on a code we do not know
INTERVAL = _EXTENSION + "interval"  # valueRange: the bounds that the tool gives
TEXT_SPAN = _EXTENSION + "text-span"  # start, end (code points, half-open), text
EXPLANATION = _EXTENSION + "explanation"  # valueString, where the type has no note
PROPOSED_ACTION = _EXTENSION + "proposed-action"  # action, target, dose
