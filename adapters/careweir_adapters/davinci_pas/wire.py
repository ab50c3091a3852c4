"""A ClaimResponse and the decision inside each of its items.

Source: HL7/davinci-pas, input/fsh/ClaimResponse.fsh; X12 306 codes without their texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal

from pydantic import BaseModel, Field, ValidationError

from careweir_kit.errors import VendorProtocolBroken
from careweir_kit.mapping import WIRE

X12_306: Final = "https://codesystem.x12.org/005010/306"
_PAS: Final = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/"
_REVIEW: Final = f"{_PAS}extension-reviewAction"
_CODES: Final = frozenset({f"{_PAS}extension-reviewActionCode", "code"})
_REASONS: Final = frozenset({f"{_PAS}extension-reviewActionReasonCode", "reasonCode"})


class WireCoding(BaseModel):
    """A Coding."""

    model_config = WIRE

    system: str | None = None
    code: str | None = None


class Concept(BaseModel):
    """A CodeableConcept, its codings only."""

    model_config = WIRE

    coding: list[WireCoding] = Field(default_factory=list)


class Extension(BaseModel):
    """An extension with inner ones, or with a coded value."""

    model_config = WIRE

    url: str
    extension: list[Extension] = Field(default_factory=list)
    concept: Concept | None = Field(default=None, alias="valueCodeableConcept")


class Adjudication(BaseModel):
    """One adjudication of an item."""

    model_config = WIRE

    extension: list[Extension] = Field(default_factory=list)


class Item(BaseModel):
    """One item; its sequence is that of the Claim."""

    model_config = WIRE

    sequence: int = Field(alias="itemSequence", ge=1)
    adjudication: list[Adjudication] = Field(default_factory=list)


class Reference(BaseModel):
    """A literal reference."""

    model_config = WIRE

    reference: str | None = None


class ClaimResponse(BaseModel):
    """A payer's answer. ``error`` may stand beside status 200."""

    model_config = WIRE

    status: Literal["active", "cancelled", "draft", "entered-in-error"]
    use: Literal["preauthorization"]
    outcome: Literal["queued", "complete", "error", "partial"]
    patient: Reference
    request: Reference | None = None
    reference: str | None = Field(default=None, alias="preAuthRef", pattern=r"^[\w .:/-]{1,60}$")
    item: list[Item] = Field(default_factory=list, max_length=100)
    error: list[Any] = Field(default_factory=list)


class Decision(BaseModel):
    """The decision on one item: its X12 306 code, and the codes of its reasons."""

    model_config = WIRE

    sequence: int
    code: str | None = None
    reasons: tuple[str, ...] = ()


def claim_response(value: dict[str, Any]) -> ClaimResponse | None:
    """The one ClaimResponse of an answer; None where there is none. Raises VendorProtocolBroken."""
    found = [one for one in _resources(value) if one.get("resourceType") == "ClaimResponse"]
    if not found:
        return None
    if len(found) > 1:
        raise VendorProtocolBroken("an answer with more than one decision")
    try:
        return ClaimResponse.model_validate(found[0])
    except ValidationError:
        raise VendorProtocolBroken("not a ClaimResponse for a preauthorization") from None


def has_outcome(value: dict[str, Any]) -> bool:
    """Whether an OperationOutcome stands in the answer."""
    return any(one.get("resourceType") == "OperationOutcome" for one in _resources(value))


def _resources(value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield value
    listed = value.get("entry") if value.get("resourceType") == "Bundle" else None
    for entry in listed if isinstance(listed, list) else ():
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(resource, dict):
            yield resource


def decisions(response: ClaimResponse) -> list[Decision]:
    """One decision for each item; of two in one item, none. Raises VendorProtocolBroken."""
    sequences = [item.sequence for item in response.item]
    if len(sequences) != len(set(sequences)):
        raise VendorProtocolBroken("two items have one sequence number")
    return [_decision(item) for item in response.item]


def _decision(item: Item) -> Decision:
    inner = [
        extension
        for adjudication in item.adjudication
        for review in adjudication.extension
        if review.url == _REVIEW
        for extension in review.extension
    ]
    codes = {
        coding.code
        for extension in inner
        if extension.url in _CODES and extension.concept
        for coding in extension.concept.coding
        if coding.system == X12_306 and coding.code
    }
    reasons = tuple(
        coding.code
        for extension in inner
        if extension.url in _REASONS and extension.concept
        for coding in extension.concept.coding
        if coding.code
    )
    if len(codes) > 1:
        raise VendorProtocolBroken("an item with two decisions")
    return Decision(sequence=item.sequence, code=next(iter(codes), None), reasons=reasons)
