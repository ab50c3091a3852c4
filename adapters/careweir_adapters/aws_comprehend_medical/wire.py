"""The wire form of an answer and of an error (AWS JSON 1.1).

Source: boto/botocore, comprehendmedical 2018-10-30 service-2.json; errors as botocore's JSON
parser and the service's header ``x-amzn-ErrorType`` name them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, Field, ValidationError

from careweir_kit.adapter import AnswerClass, VendorAnswer
from careweir_kit.classify import json_object
from careweir_kit.errors import VendorProtocolBroken
from careweir_kit.mapping import WIRE


class Trait(BaseModel):
    """How an entity is meant."""

    model_config = WIRE

    Name: str


class Concept(BaseModel):
    """One code for an entity, in the order of the service's preference."""

    model_config = WIRE

    Code: str
    Description: str | None = None
    Score: float = Field(ge=0, le=1)


class Attribute(BaseModel):
    """What belongs to an entity: a side, a site, a strength, a value."""

    model_config = WIRE

    Type: str
    Text: str


class Entity(BaseModel):
    """One entity; offsets count code points, the end is exclusive."""

    model_config = WIRE

    BeginOffset: int = Field(ge=0)
    EndOffset: int = Field(ge=1)
    Score: float = Field(ge=0, le=1)
    Text: str = Field(min_length=1)
    Category: str
    Type: str
    Traits: list[Trait] = Field(default_factory=list)
    Attributes: list[Attribute] = Field(default_factory=list)
    ICD10CMConcepts: list[Concept] = Field(default_factory=list)
    RxNormConcepts: list[Concept] = Field(default_factory=list)
    SNOMEDCTConcepts: list[Concept] = Field(default_factory=list)

    @property
    def traits(self) -> frozenset[str]:
        """The names of the traits."""
        return frozenset(trait.Name for trait in self.Traits)

    def said(self, *types: str) -> list[str]:
        """The words of the attributes of these types."""
        return [attribute.Text for attribute in self.Attributes if attribute.Type in types]


class Detected(BaseModel):
    """An answer; its entities are still to be read one by one."""

    model_config = WIRE

    Entities: list[Any]
    ModelVersion: str
    PaginationToken: str | None = None


def detected(answer: VendorAnswer) -> Detected:
    """Read an answer. Raises VendorProtocolBroken."""
    try:
        return Detected.model_validate(json_object(answer))
    except ValidationError:
        raise VendorProtocolBroken("not an answer of this service") from None


def readable(found: Detected) -> tuple[list[Entity], int]:
    """The entities that can be read and how many cannot. Raises VendorProtocolBroken."""
    entities = []
    for raw in found.Entities:
        try:
            entities.append(Entity.model_validate(raw))
        except ValidationError:
            continue
    if found.Entities and not entities:
        raise VendorProtocolBroken("no entity of the answer can be read")
    return entities, len(found.Entities) - len(entities)


# The name decides before the status: throttling comes as 400 too.
CLASS_OF_ERROR: Final[Mapping[str, AnswerClass]] = {
    **dict.fromkeys(
        ("ThrottlingException", "Throttling", "ThrottledException", "TooManyRequestsException",
         "RequestLimitExceeded", "RequestThrottled", "RequestThrottledException", "SlowDown",
         "ProvisionedThroughputExceededException"),
        "throttled",
    ),
    **dict.fromkeys(
        ("AccessDeniedException", "AccessDenied", "UnrecognizedClientException",
         "InvalidSignatureException", "IncompleteSignature", "IncompleteSignatureException",
         "MissingAuthenticationToken", "MissingAuthenticationTokenException",
         "InvalidClientTokenId", "ExpiredTokenException", "ExpiredToken", "OptInRequired",
         "RequestTimeTooSkewed", "RequestExpired", "NotAuthorized", "SignatureDoesNotMatch"),
        "unauthorised",
    ),
    **dict.fromkeys(
        ("InvalidRequestException", "InvalidEncodingException", "SerializationException",
         "TextSizeLimitExceededException", "ValidationException", "ValidationError",
         "ResourceNotFoundException", "UnknownOperationException"),
        "bad_request",
    ),
    **dict.fromkeys(
        ("InternalServerException", "InternalFailure", "InternalServerError",
         "ServiceUnavailableException", "ServiceUnavailable"),
        "vendor_fault",
    ),
}  # fmt: skip


def error_name(answer: VendorAnswer) -> str:
    """The name of an error, for comparison only; empty when there is none."""
    named = answer.headers.get("x-amzn-errortype", "")
    if not named:
        try:
            said = json_object(answer).get("__type")
        except VendorProtocolBroken:
            said = None
        named = said if isinstance(said, str) else ""
    return named.rpartition("#")[2].partition(":")[0].strip()
