"""The JSON that a model was asked to write, checked: nothing besides, nothing of another type."""

from __future__ import annotations

from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from careweir_kit.language.task import QUOTED_MAX

_CONTENT = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)
_ITEMS_MAX = 200


class Content(BaseModel):
    """What every answer has: the subject, where the question wanted it back."""

    model_config = _CONTENT

    subject: str | None = None


AnyContent = TypeVar("AnyContent", bound=Content)


class Item(BaseModel):
    """One finding of a report."""

    model_config = _CONTENT

    label: str = Field(min_length=1, max_length=120)
    present: bool
    side: Literal["left", "right", "both", "none"]
    quote: str = Field(max_length=QUOTED_MAX)


class FindingsContent(Content):
    """Findings of a report."""

    findings: list[Item] = Field(max_length=_ITEMS_MAX)


class Entity(BaseModel):
    """One entity of a text."""

    model_config = _CONTENT

    label: str = Field(min_length=1, max_length=200)
    assertion: Literal["present", "absent", "possible"]
    about: Literal["patient", "family", "other"]
    when: Literal["current", "history", "hypothetical"]
    quote: str = Field(max_length=QUOTED_MAX)


class EntitiesContent(Content):
    """Entities of a text."""

    entities: list[Entity] = Field(max_length=_ITEMS_MAX)


class Code(BaseModel):
    """One code with the words that bear it out."""

    model_config = _CONTENT

    code: str = Field(min_length=1, max_length=40)
    display: str = Field(max_length=300)
    quote: str = Field(max_length=QUOTED_MAX)


class CodingsContent(Content):
    """Suggested codes."""

    codes: list[Code] = Field(max_length=_ITEMS_MAX)


class Statement(BaseModel):
    """One statement of a summary with the words that it rests on."""

    model_config = _CONTENT

    text: str = Field(min_length=1, max_length=QUOTED_MAX)
    quote: str = Field(max_length=QUOTED_MAX)


class Section(BaseModel):
    """One section of a summary."""

    model_config = _CONTENT

    key: str
    statements: list[Statement] = Field(max_length=_ITEMS_MAX)


class SummaryContent(Content):
    """A summary in sections."""

    sections: list[Section] = Field(max_length=50)


class TriageContent(Content):
    """One level, and why."""

    triage: str
    why: str = Field(max_length=QUOTED_MAX)


class Criterion(BaseModel):
    """One criterion of a payer, whether it is met, and the words that say so."""

    model_config = _CONTENT

    text: str = Field(min_length=1, max_length=1000)
    met: bool
    quote: str = Field(max_length=QUOTED_MAX)


class AuthorisationContent(Content):
    """A proposed decision with its criteria."""

    decision: Literal["approve", "deny", "review"]
    criteria: list[Criterion] = Field(max_length=_ITEMS_MAX)
