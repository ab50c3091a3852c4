"""What a site knows of an AI tool, as a model card that its Device points to.

Written by the gateway from the tool's own file, so it says what is set up here: what the tool is
asked and what it is told. How a model was trained and how well it does, its maker's papers say.

Source: HL7 AI Transparency IG, STU1 ballot: AI-ModelCard, AI-Device.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from careweir_fhir import systems
from careweir_fhir.elements import Json, coded, compact, extension, to, words
from careweir_fhir.identity import GATEWAY_DEVICE, device_id

_TYPE = coded(systems.AI_INPUTS, "AIModelCard", "AI model card")
_MARKDOWN = coded(systems.AI_INPUTS, "AIModelCardMarkdownFormat", "AI model card in Markdown")


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What is known; ``told`` are types of resources with their elements, from the tool's file."""

    tool: str
    vendor: str
    product: str
    version: str
    description: str
    capabilities: tuple[str, ...]
    told: tuple[str, ...]
    risk_tier: str
    region: str
    lifecycle: str


def card_id(tool: str, version: str | None) -> str:
    """One card for each Device."""
    return f"card-{device_id(tool, version)}"


def model_card(facts: CardFacts) -> Json:
    """A DocumentReference about no patient, in Markdown."""
    title = words(f"{facts.product} {facts.version}") or facts.tool
    text = _text(facts, title)
    return {
        "resourceType": "DocumentReference",
        "id": card_id(facts.tool, facts.version),
        "identifier": [{"system": systems.TOOL, "value": facts.tool}],
        "status": "current",
        "type": _TYPE,
        "category": [_MARKDOWN],
        "author": [to(f"Device/{GATEWAY_DEVICE}")],
        "description": "What is set up here of an AI tool; not its maker's own model card.",
        "content": [{"attachment": {
            "contentType": "text/markdown; charset=utf-8",
            "data": base64.b64encode(text.encode()).decode("ascii"),
            "title": title,
        }}],
    }  # fmt: skip


def with_card(device: Json, tool: str, version: str | None) -> Json:
    """A Device that points to its card."""
    card = to(f"DocumentReference/{card_id(tool, version)}")
    return device | compact(extension=[extension(systems.MODEL_CARD, valueReference=card)])


def _text(facts: CardFacts, title: str) -> str:
    lines = [
        f"# {title}", "", facts.description, "",
        f"- maker: {facts.vendor}",
        f"- answers: {', '.join(facts.capabilities)}",
        f"- risk tier set here: {facts.risk_tier}",
        f"- in use here as: {facts.lifecycle}",
        f"- where it runs: {facts.region}",
        "", "## What it may be told of a patient", "",
        *(f"- {one}" for one in facts.told or ("nothing",)),
        "", "Each role's rights narrow this further. How the model was made, on whom, and how well "
        "it does is not known to the gateway: ask its maker.", "",
    ]  # fmt: skip
    return "\n".join(lines)
