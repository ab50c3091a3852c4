"""From one card to findings, and whom an answer is about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from careweir_adapters.cds_hooks.mapping import Answer, at
from careweir_adapters.cds_hooks.wire import Action, Card
from careweir_fhir.model import Coding, Finding
from careweir_kit.errors import VendorProtocolBroken
from careweir_kit.mapping import risk_finding
from careweir_kit.payload import bare_reference, codings
from careweir_kit.references import patient_references, plain
from careweir_kit.tool import Tool

# What creating a resource of this type asks for; any other action is "do".
_CREATES: Final[Mapping[str, str]] = {
    "ServiceRequest": "order",
    "DeviceRequest": "order",
    "MedicationRequest": "start",
}
_CODE_ELEMENTS: Final = ("code", "medicationCodeableConcept", "codeCodeableConcept", "vaccineCode")


def findings_of(
    tool: Tool, mapping: Answer, raw: Any, card: Card, version: str | None, effective: str | None
) -> Iterator[Finding]:
    """The findings of one card: its risk, what it recommends, else what it says."""
    value = at(raw, mapping.risk_path)
    said = False
    if mapping.risk is not None and value is not None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise VendorProtocolBroken("the configured risk is not a number")
        said = True
        yield risk_finding(tool, mapping.risk, value, version=version, effective=effective)

    base = Finding(
        tool=tool.tool,
        tool_version=version or tool.version,
        kind="document",
        code=_topic(mapping, card),
        effective=effective,
        verified=False if card.source.topic else None,
    )
    for suggestion in card.suggestions or []:
        for action in suggestion.actions:
            said = True
            marked = "the service marks this suggestion as recommended"
            yield base.model_copy(
                update={
                    "kind": "recommendation",
                    "action": _verb(action),
                    "target": _target(action),
                    "explanation": (marked,) if suggestion.is_recommended else (),
                    "verified": False,
                }
            )
    if not said and (summary := plain(card.summary)) is not None:
        yield base.model_copy(update={"value": summary})


def _topic(mapping: Answer, card: Card) -> Coding:
    topic = card.source.topic
    if topic is None or topic.code is None:
        return mapping.topic
    return Coding(system=topic.system, code=topic.code, display=plain(topic.display))


def _verb(action: Action) -> str:
    if action.type == "delete":
        return "stop"
    resource = action.resource or {}
    if resource.get("doNotPerform") is True:
        return "avoid"
    if action.type == "update":
        return "do"
    return _CREATES.get(str(resource.get("resourceType")), "do")


def _target(action: Action) -> Coding:
    """The first coding of what the action is about, else its words."""
    display = plain(action.description)
    for element in _CODE_ELEMENTS:
        for system, code in codings((action.resource or {}).get(element)):
            return Coding(system=system or None, code=code, display=display)
    return Coding(display=display)


def echoes_of(mapping: Answer, value: dict[str, Any], raw_cards: list[Any]) -> Iterator[str]:
    """Every patient named in the answer, in cards that break the rules and system actions too."""
    named = [at(value, mapping.answer_subject)]
    named += [at(raw, mapping.subject_path) for raw in raw_cards if isinstance(raw, dict)]
    for reference in (item for item in named if isinstance(item, str)):
        yield bare_reference(reference)
    for reference in patient_references([raw_cards, value.get("systemActions")]):
        yield bare_reference(reference)
