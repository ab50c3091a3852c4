"""The resources of an answer, and what an OperationOutcome means for us.

Source: FHIR R4, RiskAssessment, GuidanceResponse, OperationOutcome and ValueSet issue-type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, Field, ValidationError

from careweir_kit.adapter import AnswerClass
from careweir_kit.errors import VendorProtocolBroken
from careweir_kit.mapping import WIRE

RESOURCES_MAX: Final = 500

# What an issue means, whatever its status. What is not here is classed by the status.
ISSUES: Final[Mapping[str, AnswerClass]] = {
    "throttled": "throttled",
    "transient": "vendor_fault",
    "timeout": "vendor_fault",
    "lock-error": "vendor_fault",
    "no-store": "vendor_fault",
    "incomplete": "vendor_fault",
    "exception": "vendor_fault",
    "security": "unauthorised",
    "login": "unauthorised",
    "expired": "unauthorised",
    "forbidden": "unauthorised",
    "unknown": "unauthorised",
    "business-rule": "refused",
    "required": "refused",
    "not-supported": "bad_request",
    "invalid": "bad_request",
    "structure": "bad_request",
}


class WireCoding(BaseModel):
    """A Coding."""

    model_config = WIRE

    system: str | None = None
    code: str | None = None
    display: str | None = None


class Concept(BaseModel):
    """A CodeableConcept."""

    model_config = WIRE

    coding: list[WireCoding] = Field(default_factory=list)
    text: str | None = None


class Quantity(BaseModel):
    """The number and unit of a Quantity."""

    model_config = WIRE

    value: float | int | None = None
    unit: str | None = None
    code: str | None = None


class Range(BaseModel):
    """A Range."""

    model_config = WIRE

    low: Quantity | None = None
    high: Quantity | None = None


class Period(BaseModel):
    """A Period."""

    model_config = WIRE

    start: str | None = None
    end: str | None = None


class Prediction(BaseModel):
    """One prediction of a RiskAssessment."""

    model_config = WIRE

    outcome: Concept | None = None
    probability: float | int | None = Field(default=None, alias="probabilityDecimal")
    between: Range | None = Field(default=None, alias="probabilityRange")
    qualitative: Concept | None = Field(default=None, alias="qualitativeRisk")
    when: Period | None = Field(default=None, alias="whenPeriod")


class RiskAssessment(BaseModel):
    """A RiskAssessment."""

    model_config = WIRE

    status: Literal[
        "registered", "preliminary", "final", "amended", "corrected", "cancelled",
        "entered-in-error", "unknown",
    ]  # fmt: skip
    prediction: list[Prediction] = Field(default_factory=list)
    occurrence: str | None = Field(default=None, alias="occurrenceDateTime")


class Guidance(BaseModel):
    """A GuidanceResponse; its results stand beside or inside it."""

    model_config = WIRE

    status: Literal[
        "success", "data-requested", "data-required", "in-progress", "failure", "entered-in-error"
    ]


def held(value: Mapping[str, Any], depth: int = 0) -> Iterator[dict[str, Any]]:
    """A resource and every resource in it: of Parameters, of Bundles, and contained ones."""
    if depth > 8:
        raise VendorProtocolBroken("resources nested too deeply")
    if not isinstance(value.get("resourceType"), str):
        return
    yield dict(value)
    inner: list[Any] = []
    for key in ("parameter", "part", "entry"):
        listed = value.get(key)
        inner += listed if isinstance(listed, list) else []
    contained = value.get("contained")
    for one in contained if isinstance(contained, list) else ():
        if isinstance(one, dict):
            yield from held(one, depth + 1)
    for one in inner:
        resource = one.get("resource") if isinstance(one, dict) else None
        if isinstance(resource, dict):
            yield from held(resource, depth + 1)


def resources_of(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every resource of an answer. Raises VendorProtocolBroken when it is none."""
    found = []
    for resource in held(value):
        found.append(resource)
        if len(found) > RESOURCES_MAX:
            raise VendorProtocolBroken("an answer of too many resources")
    if not found:
        raise VendorProtocolBroken("not a FHIR resource")
    return found


def typed(resources: list[dict[str, Any]], kind: str) -> Iterator[dict[str, Any]]:
    """The resources of one type."""
    return (one for one in resources if one["resourceType"] == kind)


def risk_assessment(resource: Mapping[str, Any]) -> RiskAssessment:
    """Read one. Raises VendorProtocolBroken."""
    try:
        return RiskAssessment.model_validate(resource)
    except ValidationError:
        raise VendorProtocolBroken("not a RiskAssessment of R4") from None


def guidance(resource: Mapping[str, Any]) -> Guidance:
    """Read one. Raises VendorProtocolBroken."""
    try:
        return Guidance.model_validate(resource)
    except ValidationError:
        raise VendorProtocolBroken("not a GuidanceResponse of R4") from None


def issue_class(resources: list[dict[str, Any]]) -> AnswerClass | None:
    """The class of the first grave issue that we know; ``bad_request`` of one that we do not."""
    grave = False
    for outcome in typed(resources, "OperationOutcome"):
        listed = outcome.get("issue")
        for issue in listed if isinstance(listed, list) else ():
            if isinstance(issue, dict) and issue.get("severity") in ("error", "fatal"):
                grave = True
                code = issue.get("code")
                if isinstance(code, str) and code in ISSUES:
                    return ISSUES[code]
    return "bad_request" if grave else None


def device_version(resources: list[dict[str, Any]]) -> str | None:
    """The version that the one Device of an answer gives; None without one, or with several."""
    found = set()
    for device in typed(resources, "Device"):
        listed = device.get("version")
        for version in listed if isinstance(listed, list) else ():
            if isinstance(version, dict) and isinstance(version.get("value"), str):
                found.add(version["value"])
    return found.pop() if len(found) == 1 else None
