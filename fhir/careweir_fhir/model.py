"""The nouns that every stage speaks: what a tool found, and where two tools disagree.

A ``Finding`` is what one tool says about one patient, in words that no vendor owns. Optional
fields are ``None`` when the tool did not say; nothing here is ever filled in by a guess.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

FindingKind = Literal[
    "assertion", "measurement", "risk", "recommendation", "coding", "triage", "document"
]
Polarity = Literal["present", "absent", "indeterminate"]
Laterality = Literal["left", "right", "bilateral", "none", "unknown"]
ConfidenceKind = Literal["class_probability", "detection", "linking", "vendor_scale", "none"]
Completeness = Literal["full", "partial"]
Severity = Literal["high", "moderate", "low"]

SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
RADLEX = "http://radlex.org"
ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
UCUM = "http://unitsofmeasure.org"

_FROZEN = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


class Coding(BaseModel):
    """One code; ``system`` and ``code`` may be missing when a tool gave only words."""

    model_config = _FROZEN

    system: str | None = None
    code: str | None = None
    display: str | None = None


class Span(BaseModel):
    """Where in a text a finding stands: half-open, counted in Unicode code points."""

    model_config = _FROZEN

    start: int = Field(ge=0)
    end: int = Field(ge=0)
    text: str


class Dose(BaseModel):
    """An amount of a drug with its UCUM unit."""

    model_config = _FROZEN

    value: float
    unit: str


class Finding(BaseModel):
    """What one tool says about one patient (CONTRACT: Finding).

    ``value`` is a probability in [0, 1] or a coded band for ``risk``, a number in ``unit`` (UCUM)
    for ``measurement``, a level on ``scale`` for ``triage``, text for ``document``. ``confidence``
    never stands without its kind and is never compared across kinds. ``verified`` is False when
    the code could not be checked against what careweir knows, None when there was nothing to check.
    """

    model_config = _FROZEN

    tool: str
    tool_version: str | None = None
    kind: FindingKind
    code: Coding
    value: float | int | str | None = None
    unit: str | None = None
    polarity: Polarity | None = None
    laterality: Laterality | None = None
    body_site: str | Coding | None = None
    confidence: float | None = Field(default=None, ge=0, le=1)
    confidence_kind: ConfidenceKind = "none"
    horizon: str | None = None
    study: str | None = None
    encounter: str | None = None
    specimen: str | None = None
    effective: str | None = None
    action: str | None = None
    target: Coding | None = None
    span: Span | None = None
    explanation: tuple[str, ...] = ()
    completeness: Completeness = "full"
    fallback: bool = False
    scale: str | None = None
    threshold_band: str | None = None
    interval: tuple[float, float] | None = None
    dose: Dose | None = None
    subject_context: str | None = None
    status: str | None = None
    id: str | None = None
    replaces: str | None = None
    verified: bool | None = None


class WithheldInput(BaseModel):
    """A path that one tool of a conflict did not get and another did, with our reason."""

    model_config = _FROZEN

    path: str
    reason: str


class ConflictInput(BaseModel):
    """What stood behind one finding of a conflict: who, when, and what was kept from it."""

    model_config = _FROZEN

    tool: str
    tool_version: str | None
    effective: str | None
    inference: str
    without: tuple[WithheldInput, ...] = ()


DECISIONS = frozenset({"approve", "deny"})


def is_decision(finding: Finding) -> bool:
    """Whether a recommendation answers a request for authorisation, or says that nobody has yet."""
    undecided = finding.action is None and finding.value is not None
    return finding.kind == "recommendation" and (finding.action in DECISIONS or undecided)


def awaits_review(finding: Finding) -> bool:
    """Whether a finding counts for nothing until a coder or a reviewer has signed it."""
    return finding.kind == "coding" or is_decision(finding)


class Conflict(BaseModel):
    """Two or more findings that cannot all be right; no winner is named.

    ``between`` holds positions in the list of findings that was compared. ``id`` is the name under
    which it is settled, the same when the same tools disagree again; ``inputs`` stand in the order
    of ``between``. A conflict that was found outside an answer has neither.
    """

    model_config = _FROZEN

    type: str
    between: tuple[int, ...] = Field(min_length=2)
    severity: Severity
    reason: str
    rule: str
    id: str | None = None
    inputs: tuple[ConflictInput, ...] = ()
