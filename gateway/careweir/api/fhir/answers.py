"""The resources of a kept answer, as far as a reader's scopes open them, and the tools in use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import Request

from careweir.access import Actor
from careweir.access.scopes import may_ask, openings
from careweir.api.fhir.base import Json, address, fhir_base
from careweir.api.fhir.result_types import Wanted, conditions_of
from careweir.jobs.kept import Kept
from careweir.stages import House
from careweir.state import Record
from careweir_fhir.context import ToolOutcome
from careweir_fhir.device import gateway_device, tool_device
from careweir_fhir.model_card import CardFacts, model_card, with_card
from careweir_fhir.result import is_ai
from careweir_kit.tool import Tool


def conditions(request: Request, actor: Actor, kind: str, right: str) -> list[list[Wanted]]:
    """What the SMART scopes open of a type: any of these, all of each. None: nothing."""
    base, now = address(request), fhir_base(request).clock()
    alternatives = openings(actor.scopes, kind, right)
    found = (conditions_of(kind, one, base=base, now=now) for one in alternatives)
    return [one for one in found if one is not None]


def open_to(
    actor: Actor, kept: Kept, resources: list[Json], alternatives: list[list[Wanted]]
) -> list[Json]:
    """The resources of an answer that the scope that asked the question opens, or a SMART scope."""
    assert kept.answer is not None
    if may_ask(actor.scopes, kept.answer["capability"]):
        return resources
    return [
        one for one in resources if any(all(w.holds(one) for w in each) for each in alternatives)
    ]


def resources_of(kept: Kept, record: Record, house: House, kind: str | None) -> list[Json]:
    """The resources of one type in a kept answer, or all (None), as they stand at this base."""
    entries = kept.as_fhir(house)["entry"]
    local = {entry["fullUrl"]: name_of(entry["resource"]) for entry in entries}
    meta = {"versionId": str(record.version), "lastUpdated": kept.started}
    return [
        _relinked(entry["resource"], local)
        | {"meta": entry["resource"].get("meta", {}) | meta}
        for entry in entries
        if kind in (None, entry["resource"]["resourceType"])
    ]  # fmt: skip


def name_of(resource: Json) -> str:
    return f"{resource['resourceType']}/{resource.get('id')}"


def _relinked(value: Any, local: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: local.get(item, item) if name == "reference" else _relinked(item, local)
                for name, item in value.items()}  # fmt: skip
    return [_relinked(item, local) for item in value] if isinstance(value, list) else value


def devices(house: House) -> list[Json]:
    """The gateway and every tool in use, an AI tool with its model card."""
    return sorted((*_tools(house), gateway_device()), key=lambda device: str(device["id"]))


def model_cards(house: House) -> list[Json]:
    """A card for each AI tool; they are about no patient."""
    return [model_card(_facts(tool)) for tool in house.tools.values() if is_ai(_outcome(tool))]


def _tools(house: House) -> Iterator[Json]:
    for one in map(_outcome, house.tools.values()):
        device = tool_device(one, one.version)
        yield with_card(device, one.tool, one.version) if is_ai(one) else device


def _facts(tool: Tool) -> CardFacts:
    return CardFacts(
        tool=tool.tool,
        vendor=tool.vendor,
        product=tool.product,
        version=tool.version,
        description=tool.description,
        capabilities=tool.capabilities,
        told=tuple(f"{need.resource}: {', '.join(need.paths)}" for need in tool.needs),
        risk_tier=tool.risk_tier,
        region=tool.region,
        lifecycle=tool.lifecycle,
    )


def _outcome(tool: Tool) -> ToolOutcome:
    return ToolOutcome(
        tool=tool.tool,
        vendor=tool.vendor,
        product=tool.product,
        version=tool.version,
        status="answered",
        reason=None,
        mode=tool.mode,
    )
