"""The wire form of a job and of its inferences.

Source: azure-healthinsights-radiologyinsights 1.1.0 (api-version 2024-10-01), models and enums;
Azure/azure-rest-api-specs, HealthInsights examples. Inferences are read one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, Field, ValidationError

from careweir_fhir.model import Coding
from careweir_kit.adapter import VendorAnswer
from careweir_kit.classify import json_object
from careweir_kit.codes import well_formed
from careweir_kit.errors import VendorProtocolBroken
from careweir_kit.mapping import WIRE

JOB_ID: Final = re.compile(r"[A-Za-z0-9_-]{3,100}", re.ASCII)


class PatientResult(BaseModel):
    """What was inferred about one patient; inferences are still to be read one by one."""

    model_config = WIRE

    patientId: str
    inferences: list[Any]


class Result(BaseModel):
    """The result of a finished job."""

    model_config = WIRE

    patientResults: list[PatientResult]
    modelVersion: str


class JobError(BaseModel):
    """Why a job failed; only its code is read, and only compared."""

    model_config = WIRE

    code: str = ""


class Job(BaseModel):
    """A job with its state."""

    model_config = WIRE

    id: str
    status: str
    error: JobError | None = None
    result: Result | None = None


class Critical(BaseModel):
    """The body of a critical result."""

    model_config = WIRE

    description: str = Field(min_length=1)
    finding: dict[str, Any] | None = None


class Range(BaseModel):
    """A range of a score, as text."""

    model_config = WIRE

    minimum: str
    maximum: str


class Period(BaseModel):
    """A FHIR Period."""

    model_config = WIRE

    start: str | None = None
    end: str | None = None


class Inference(BaseModel):
    """One inference of any kind that is read; each kind uses its own fields."""

    model_config = WIRE

    kind: str
    finding: dict[str, Any] | None = None
    result: Critical | None = None
    discrepancyType: str | None = None
    lateralityIndication: dict[str, Any] | None = None
    orderType: dict[str, Any] | None = None
    category: str | None = None
    categoryDescription: str | None = None
    singleValue: str | None = None
    rangeValue: Range | None = None
    effectiveAt: str | None = None
    effectivePeriod: Period | None = None
    findings: list[dict[str, Any]] = Field(default_factory=list)
    isConditional: bool = False
    isOption: bool = False
    isGuideline: bool = False
    isHedging: bool = False
    recommendedProcedure: dict[str, Any] | None = None


def job_of(answer: VendorAnswer) -> Job:
    """Read a job. Raises VendorProtocolBroken."""
    try:
        job = Job.model_validate(json_object(answer))
    except ValidationError:
        raise VendorProtocolBroken("not a job of this service") from None
    if not JOB_ID.fullmatch(job.id):
        raise VendorProtocolBroken("a job without a usable id")
    return job


def inferences(patient: PatientResult) -> tuple[list[Inference], int]:
    """The inferences that can be read and how many cannot. Raises VendorProtocolBroken."""
    found = []
    for raw in patient.inferences:
        try:
            found.append(Inference.model_validate(raw))
        except ValidationError:
            continue
    if patient.inferences and not found:
        raise VendorProtocolBroken("no inference of the answer can be read")
    return found, len(patient.inferences) - len(found)


def coding_of(concept: object) -> Coding | None:
    """The first coding that can be one of its system, else the first, else the text."""
    if not isinstance(concept, Mapping):
        return None
    found = list(_codings(concept))
    for coding in found:
        if coding.code and well_formed(coding.system, coding.code):
            return coding
    text = concept.get("text")
    return found[0] if found else Coding(display=text) if isinstance(text, str) and text else None


def _codings(concept: Mapping[str, Any]) -> Iterator[Coding]:
    listed = concept.get("coding")
    for raw in listed if isinstance(listed, list) else ():
        try:
            coding = Coding.model_validate({k: raw.get(k) for k in ("system", "code", "display")})
        except (ValidationError, AttributeError):
            continue
        if coding.code or coding.display:
            yield coding


def components(observation: Mapping[str, Any]) -> Iterator[tuple[Coding, Mapping[str, Any]]]:
    """The components of an Observation with the coding of what each one says."""
    listed = observation.get("component")
    for raw in listed if isinstance(listed, list) else ():
        if isinstance(raw, Mapping) and (said := coding_of(raw.get("code"))) is not None:
            yield said, raw


State = Literal["waiting", "done", "failed", "stopped", "unknown"]


def state_of(job: Job) -> State:
    """The state of a job, whatever case it is written in."""
    match job.status.lower():
        case "notstarted" | "running":
            return "waiting"
        case "succeeded":
            return "done"
        case "failed":
            return "failed"
        case "canceled" | "cancelled":
            return "stopped"
    return "unknown"
