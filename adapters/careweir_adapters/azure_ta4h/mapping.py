"""The tool file of a Text Analytics for Health service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from pydantic import BaseModel, Field

from careweir_fhir.model import ICD10CM, LOINC, RXNORM, SNOMED
from careweir_kit.errors import ToolFileInvalid
from careweir_kit.mapping import MAPPING, KnownCodes, read, unique
from careweir_kit.tool import Tool

# Source: the vendor's ``dataSource`` names as in its recordings and the FHIR names of the systems.
SYSTEMS: Final[Mapping[str, str]] = {
    "SNOMEDCT_US": SNOMED,
    "ICD10CM": ICD10CM,
    "RXNORM": RXNORM,
    "LNC": LOINC,
    "UMLS": "http://www.nlm.nih.gov/research/umls",
    "ATC": "http://www.whocc.no/atc",
}
# What is a statement about the patient; the other categories only say more about one of these.
CATEGORIES: Final = (
    "Diagnosis",
    "SymptomOrSign",
    "MedicationName",
    "MedicationClass",
    "TreatmentName",
    "ExaminationName",
    "Allergen",
    "SubstanceUse",
    "GeneOrProtein",
    "Variant",
    "MutationType",
)
_PATHS: Final = {
    "language": "language/analyze-text/jobs",
    "v3.1": "text/analytics/v3.1/entities/health/jobs",
}


class Request(BaseModel):
    """``request`` in the tool file; ``dialect`` v3.1 is that of the containers."""

    model_config = MAPPING

    dialect: Literal["language", "v3.1"] = "language"
    api_version: str = Field(default="2023-04-01", pattern=r"^\d{4}-\d{2}-\d{2}(-preview)?$")
    model_version: str = Field(default="latest", pattern=r"^[A-Za-z0-9.-]+$")
    language: str = Field(default="en", pattern=r"^[a-z]{2}(-[A-Za-z]+)?$")
    characters_max: int = Field(default=125_000, gt=0)
    preliminary: bool = False

    @property
    def path(self) -> str:
        """Where jobs are submitted, and below which they are found."""
        return _PATHS[self.dialect]


class Answer(KnownCodes):
    """``answer`` in the tool file.

    ``systems`` in order of preference: the first one with a code that can be right is the code.
    ``operation_hosts`` are names besides the endpoint's own under which the service may announce
    a job, as behind a proxy; nothing is ever sent there.
    """

    systems: tuple[str, ...] = ("SNOMEDCT_US", "ICD10CM", "RXNORM", "LNC", "UMLS", "ATC")
    categories: tuple[str, ...] = CATEGORIES
    operation_hosts: tuple[str, ...] = ()


def request_of(tool: Tool) -> Request:
    """Read ``request``. Raises ToolFileInvalid."""
    return read(Request, tool, "request")


def answer_of(tool: Tool) -> Answer:
    """Read ``answer``. Raises ToolFileInvalid."""
    return read(Answer, tool, "answer")


def check(tool: Tool) -> None:
    """Refuse a mapping that could not be used. Raises ToolFileInvalid."""
    request_of(tool)
    answer = answer_of(tool)
    if set(answer.systems) - set(SYSTEMS) or not unique(answer.systems):
        raise ToolFileInvalid(f"{tool.tool}.yaml: answer.systems: not known, or twice")
