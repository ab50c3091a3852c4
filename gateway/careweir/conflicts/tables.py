"""The shapes of the smaller rule files: actions, scales, cross-kind limits, coding."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from careweir_fhir.model import Severity

STRICT = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
Verb = Literal[
    "start", "stop", "continue", "increase", "decrease", "avoid", "order", "do", "approve", "deny"
]
Range = tuple[float | None, float | None]


class TableFile(BaseModel):
    """Every rule file says where it comes from and whether somebody checked it."""

    model_config = STRICT

    source: str
    verified: bool


class OppositeRow(BaseModel):
    """Two verbs that cannot both be followed."""

    model_config = STRICT

    a: Verb
    b: Verb
    drug: Severity
    other: Severity


class ActionsFile(TableFile):
    """``actions.yaml``."""

    verbs: dict[str, Verb]
    taking: frozenset[Verb]
    starting: frozenset[Verb]
    opposites: tuple[OppositeRow, ...]
    dose_ratio: float
    exclusive: dict[str, tuple[tuple[str, int, tuple[str, ...]], ...]]


class GradeRow(BaseModel):
    """An ordinal scale; ``actions`` are (lower step, severity)."""

    model_config = STRICT

    names: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    actions: tuple[tuple[int, Severity], ...] = ()
    icd10cm: dict[str, int] = {}
    words: dict[str, int] = {}
    steps: int | None = None
    shared: bool = False
    source: str
    verified: bool = False


class TriageRow(BaseModel):
    """A triage scale mapped to five levels, 1 the most urgent."""

    model_config = STRICT

    names: tuple[str, ...]
    levels: dict[str, int]
    source: str
    verified: bool = False


class ScalesFile(TableFile):
    """``scales.yaml``."""

    steps: int
    grades: dict[str, GradeRow]
    triage_steps: int
    triage_emergent: int
    triage_nonurgent: int
    triage: dict[str, TriageRow]


class CrossRow(BaseModel):
    """Readings outside ``absent`` or ``present`` contradict that claim; ``grave``: high."""

    model_config = STRICT

    concept: str
    quantity: str
    absent: Range | None = None
    present: Range | None = None
    grave: Range | None = None
    source: str | None = None
    verified: bool = False


class StagedRow(BaseModel):
    """Codes whose stage is a range of a number."""

    model_config = STRICT

    scale: str
    quantity: str
    ranges: tuple[Range, ...]
    source: str | None = None
    verified: bool = False


class CrossKindFile(TableFile):
    """``cross_kind.yaml``."""

    rows: dict[str, CrossRow]
    staged: dict[str, StagedRow]


class AxisRow(BaseModel):
    """A category in which one axis has one value."""

    model_config = STRICT

    axis: str
    severity: Severity
    stem: int = 3


class CodePair(BaseModel):
    """Two code stems that exclude each other."""

    model_config = STRICT

    a: str
    b: str
    severity: Severity
    why: str


class CodingFile(TableFile):
    """``coding.yaml``."""

    within_category: Severity
    excludes1: Severity
    single_axis: dict[str, AxisRow]
    pairs: tuple[CodePair, ...]
    opposed_words: tuple[tuple[str, str], ...]


def outside(value: float, limits: Range | None) -> bool:
    """Is a value outside a range that may be open at either end?"""
    if limits is None:
        return False
    low, high = limits
    return (low is not None and value < low) or (high is not None and value > high)


def compiled(patterns: Mapping[str, int]) -> list[tuple[re.Pattern[str], int]]:
    """Code patterns of a grade, ready to match from the start of a code."""
    return [(re.compile(pattern), level) for pattern, level in patterns.items()]
