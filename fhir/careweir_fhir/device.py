"""Who made a result, and on whose word: Device and Provenance."""

from __future__ import annotations

from collections.abc import Sequence

from careweir_fhir import systems
from careweir_fhir.context import ResultContext, ToolOutcome
from careweir_fhir.elements import (
    Json,
    coded,
    compact,
    reference,
    text_concept,
    to,
    words,
)
from careweir_fhir.identity import GATEWAY_DEVICE, device_id
from careweir_fhir.result import AIAST, is_ai

_AI_TYPE = coded(
    systems.AI_DEVICE_TYPE,
    "Artificial-Intelligence",
    "Artificial Intelligence",
    text="Artificial intelligence tool",
)
_SCORE_TYPE = text_concept("Published clinical score, computed by the gateway")
_GATEWAY_TYPE = text_concept("Gateway between a health system and its clinical AI tools")
_AUTHOR = coded(systems.PARTICIPANT, "author", "Author")
_ASSEMBLER = coded(systems.PARTICIPANT, "assembler", "Assembler")
_CREATE = coded(systems.DATA_OPERATION, "CREATE", "create")
_AI_REASON = {"coding": [AIAST]}


def tool_device(tool: ToolOutcome, version: str | None) -> Json:
    """One Device for each version of a tool. Source: HL7 AI Transparency IG, AI-Device."""
    said = words(version)
    return compact(
        resourceType="Device",
        id=device_id(tool.tool, version),
        identifier=[{"system": systems.TOOL, "value": tool.tool}],
        manufacturer=words(tool.vendor),
        deviceName=[{"name": words(tool.product) or tool.tool, "type": "manufacturer-name"}],
        type=_AI_TYPE if is_ai(tool) else _SCORE_TYPE,
        version=[{"value": said}] if said else None,
    )


def gateway_device() -> Json:
    """The gateway itself: it assembles, it never authors a clinical result."""
    return {
        "resourceType": "Device",
        "id": GATEWAY_DEVICE,
        "deviceName": [{"name": "careweir", "type": "user-friendly-name"}],
        "type": _GATEWAY_TYPE,
    }


def provenance(
    identifier: str,
    context: ResultContext,
    tool: ToolOutcome,
    *,
    targets: Sequence[str],
    authors: Sequence[str],
    gateway: str,
) -> Json:
    """Which tool made which results, under which policy; all arguments are fullUrls.

    Source: FHIR R4 Provenance; HL7 AI Transparency IG, AI-Provenance (reason AIAST, agent role).
    """
    role = [_AI_TYPE] if is_ai(tool) else None
    study = reference(context.study)
    return compact(
        resourceType="Provenance",
        id=identifier,
        target=[to(url) for url in targets],
        occurredDateTime=context.as_of,
        recorded=context.recorded,
        policy=[f"{systems.POLICY}:{context.policy_revision}"],
        reason=[_AI_REASON] if is_ai(tool) else None,
        activity=_CREATE,
        agent=[
            *(compact(type=_AUTHOR, role=role, who=to(url)) for url in authors),
            {"type": _ASSEMBLER, "who": to(gateway)},
        ],
        entity=[{"role": "source", "what": study}] if study else None,
    )
