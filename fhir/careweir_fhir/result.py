"""What every result has in common, whatever its type: label, identifier, confidence, context."""

from __future__ import annotations

from careweir_fhir import systems
from careweir_fhir.context import Place, ToolOutcome
from careweir_fhir.elements import (
    Json,
    compact,
    confidence_extensions,
    extension,
    patient,
    reference,
    span_extension,
    words,
)
from careweir_fhir.model import Finding

# Source: HL7 v3 ObservationValue (THO 6): the label of what an artificial intelligence asserts.
AIAST = {
    "system": systems.OBSERVATION_VALUE,
    "code": "AIAST",
    "display": "Artificial Intelligence asserted",
}


def is_ai(tool: ToolOutcome) -> bool:
    """False for a published score computed by the gateway: a table is no intelligence."""
    return tool.mode != "fallback"


def base(resource_type: str, finding: Finding, place: Place) -> Json:
    """The head of a result: type, id, label, confidence, where in a text, about whom."""
    said = confidence_extensions(finding)
    span = span_extension(finding.span)
    return compact(
        resourceType=resource_type,
        id=place.id,
        meta={"security": [AIAST]} if is_ai(place.tool) and not finding.fallback else None,
        extension=[*said, span] if span else said,
        modifierExtension=_modifiers(finding),
    )


def _modifiers(finding: Finding) -> list[Json]:
    """A modifier where the finding is not about this patient now: a reader must not skip it."""
    about = not_about_now(finding)
    return [extension(systems.SUBJECT_CONTEXT, valueString=about)] if about else []


def not_about_now(finding: Finding) -> str | None:
    """``history``, ``family``, ``hypothetical`` or another subject; None for this patient now."""
    return words(finding.subject_context)


def identifiers(finding: Finding) -> list[Json]:
    """The tool's own id of a finding, where it gave one."""
    given = words(finding.id)
    return [{"system": f"{systems.FINDING}:{finding.tool}", "value": given}] if given else []


def observation_status(finding: Finding) -> str:
    """Nothing that a machine says is final; what was withdrawn says so.

    Source: FHIR R4 ObservationStatus. It has no ``superseded``: ``cancelled`` is the nearest that
    stops a reader from using the value.
    """
    withdrawn = {"entered-in-error": "entered-in-error", "superseded": "cancelled"}
    return withdrawn.get(finding.status or "", "preliminary")


def encounter(finding: Finding, place: Place) -> Json | None:
    """The encounter of the finding, else that of the question."""
    return reference(finding.encounter, "Encounter") or reference(
        place.context.encounter, "Encounter"
    )


def subject(place: Place) -> Json:
    """The patient, as the caller names them."""
    return patient(place.context.subject)


def tool_name(tool: ToolOutcome) -> str:
    """Who made a result, for people: ``Vendor Product 4.1.0``, or ``NEWS2 (RCP 2017)``."""
    vendor, product, version = words(tool.vendor), words(tool.product), words(tool.version)
    if is_ai(tool):
        return " ".join(part for part in (vendor, product, version) if part) or tool.tool
    source = " ".join(part for part in (vendor, version) if part)
    return f"{product or tool.tool} ({source})" if source else product or tool.tool


def remarks(finding: Finding, place: Place) -> list[str]:
    """What a reader must know beside the value, in our own words."""
    said = []
    if finding.fallback or not is_ai(place.tool):
        missing = ", ".join(place.stands_in_for)
        said.append(
            "Fallback: a published score, not the answer of an AI tool."
            + (f" It stands in for: {missing}." if missing else "")
        )
    if finding.completeness == "partial":
        said.append("The tool answered in part only: what is not named was not judged.")
    if finding.status == "superseded":
        said.append("Superseded by a later answer of the same tool.")
    if about := not_about_now(finding):
        polarity = f": {finding.polarity}" if finding.polarity else ""
        said.append(f"Not about this patient now ({about}){polarity}.")
    return said
