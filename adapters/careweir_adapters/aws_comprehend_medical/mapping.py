"""The tool file of a Comprehend Medical operation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel

from careweir_fhir.model import ICD10CM, RXNORM, SNOMED
from careweir_kit.errors import ToolFileInvalid
from careweir_kit.mapping import MAPPING, KnownCodes, read
from careweir_kit.tool import Tool

Operation = Literal["DetectEntitiesV2", "InferICD10CM", "InferRxNorm", "InferSNOMEDCT"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What the service model says of an operation: longest text, name of the concepts, system."""

    characters_max: int
    concepts: str | None
    system: str | None


# Source: boto/botocore, comprehendmedical 2018-10-30 service-2.json.
OPERATIONS: Final[Mapping[str, Facts]] = {
    "DetectEntitiesV2": Facts(20_000, None, None),
    "InferICD10CM": Facts(10_000, "ICD10CMConcepts", ICD10CM),
    "InferRxNorm": Facts(10_000, "RxNormConcepts", RXNORM),
    "InferSNOMEDCT": Facts(10_000, "SNOMEDCTConcepts", SNOMED),
}
# What is a statement about the patient. Health information that identifies is never a finding.
CATEGORIES: Final = (
    "MEDICAL_CONDITION",
    "MEDICATION",
    "TEST_TREATMENT_PROCEDURE",
    "BEHAVIORAL_ENVIRONMENTAL_SOCIAL",
)


class Request(BaseModel):
    """``request`` in the tool file: which operation is called."""

    model_config = MAPPING

    operation: Operation
    preliminary: bool = False

    @property
    def facts(self) -> Facts:
        """What holds for the operation."""
        return OPERATIONS[self.operation]


class Answer(KnownCodes):
    """``answer`` in the tool file.

    ``kind`` coding makes each plainly present condition a suggested code; what is negated, of the
    family, past or hypothetical stays an assertion and is never suggested.
    """

    kind: Literal["assertion", "coding"] = "assertion"
    categories: tuple[str, ...] = CATEGORIES


def request_of(tool: Tool) -> Request:
    """Read ``request``. Raises ToolFileInvalid."""
    return read(Request, tool, "request")


def answer_of(tool: Tool) -> Answer:
    """Read ``answer``. Raises ToolFileInvalid."""
    return read(Answer, tool, "answer")


def check(tool: Tool) -> None:
    """Refuse a mapping that could not be used. Raises ToolFileInvalid."""
    request, answer = request_of(tool), answer_of(tool)
    if tool.subject_echo != "none":
        raise ToolFileInvalid(f"{tool.tool}.yaml: subject_echo: this service repeats no patient")
    if answer.kind == "coding" and request.facts.system is None:
        raise ToolFileInvalid(f"{tool.tool}.yaml: answer.kind: this operation gives no codes")
