"""The wire form of cards and the rules that CDS Hooks sets for them.

Source: HL7/cds-hooks, input/pagecontent/index.md and input/fsh/invariants.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from careweir_kit.mapping import WIRE


class WireCoding(BaseModel):
    """A coding as a service sends it."""

    model_config = WIRE

    system: str | None = None
    code: str | None = None
    display: str | None = None


class Source(BaseModel):
    """Who says so."""

    model_config = WIRE

    label: str = Field(min_length=1)
    topic: WireCoding | None = None


class Action(BaseModel):
    """One action of a suggestion."""

    model_config = WIRE

    type: Literal["create", "update", "delete"]
    description: str = Field(min_length=1)
    resource: dict[str, Any] | None = None
    resource_id: str | list[str] | None = Field(default=None, alias="resourceId")


class Suggestion(BaseModel):
    """One suggestion of a card."""

    model_config = WIRE

    label: str = Field(min_length=1)
    is_recommended: bool = Field(default=False, alias="isRecommended")
    actions: list[Action] = Field(default_factory=list)
    action_selection: Literal["all", "any", "at-most-one"] | None = Field(
        default=None, alias="actionSelectionBehavior"
    )


class Link(BaseModel):
    """A link of a card: checked, never passed on."""

    model_config = WIRE

    label: str
    url: str
    type: Literal["absolute", "smart"]
    app_context: str | None = Field(default=None, alias="appContext")


class Card(BaseModel):
    """One card."""

    model_config = WIRE

    summary: str = Field(min_length=1, max_length=139)
    indicator: Literal["info", "warning", "critical"]
    source: Source
    suggestions: list[Suggestion] | None = None
    selection: Literal["at-most-one", "any"] | None = Field(default=None, alias="selectionBehavior")
    links: list[Link] | None = None


def card_of(value: Any) -> Card | None:
    """A card that keeps the rules, or None: a client must treat any other as an error."""
    try:
        card = Card.model_validate(value)
    except ValidationError:
        return None
    return None if any(_broken_rules(card)) else card


def _broken_rules(card: Card) -> Iterator[bool]:
    suggestions = card.suggestions or []
    yield bool(suggestions) and card.selection is None
    yield card.selection == "at-most-one" and sum(s.is_recommended for s in suggestions) > 1
    for link in card.links or []:
        yield link.app_context is not None and link.type != "smart"
    for action in (action for suggestion in suggestions for action in suggestion.actions):
        deletes = action.type == "delete"
        yield deletes and (action.resource_id is None or action.resource is not None)
        yield not deletes and action.resource is None
