"""Discovery: which services there are, and exactly what each asks the EHR for.

The prefetch templates are the same searches that the gateway would run itself (needs of the tools
∩ rights of who may ask), written with prefetch tokens. Two things a template cannot say in CDS
Hooks 2.0 and a search can: a date that moves with the day, and ``_elements``. So the EHR sends the
newest of each kind, whole, and the gateway minimises what it gets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from careweir.access import Actor, Decision
from careweir.capabilities import Capability
from careweir.source.compile import Dialect, searches
from careweir.source.judged import SEARCHED
from careweir.stages import House
from careweir_kit.tool import Tool

PATIENT: Final = "patient"  # the key of the Patient itself
TREAT: Final = "TREAT"
_OF_CONTEXT: Final = "{{context.patientId}}"
_COUNT: Final = "200"
_CODES_MAX: Final = 60  # codes in one template, so that the EHR's address stays short
_ANY_DAY: Final = datetime(2000, 1, 1, tzinfo=UTC)
_CODED: Final = frozenset({"code", "combo-code"})


def hooked(house: House) -> list[Capability]:
    """The capabilities that name a hook and have a tool to ask, in the order of their file."""
    named = [one for one in house.capabilities.values() if one.hook is not None]
    return [one for one in named if tools_of(house, one)]


def described(house: House, capability: Capability, actor: Actor | None) -> dict[str, Any]:
    """The descriptor of one service, for one asker; without one, for all roles together."""
    prefetch = templates_for(house, capability, actor)
    return {
        "hook": capability.hook,
        "id": capability.name,
        "title": capability.title,
        "description": _description(house, capability),
        "usageRequirements": "Every prefetch key must be there; null says that there are no data. "
        "The caller is authenticated: see docs/cds-hooks.md.",
    } | ({"prefetch": prefetch} if prefetch else {})


def templates_for(house: House, capability: Capability, actor: Actor | None) -> dict[str, str]:
    """The templates of one service: what the asker's role may have its tools be told."""
    decisions = _decisions(house, capability, actor)
    return templates(tools_of(house, capability), decisions)


def templates(tools: Sequence[Tool], decisions: Iterable[Decision]) -> dict[str, str]:
    """Prefetch key -> FHIR query template; the Patient first, then the types in their order."""
    wanted: dict[str, set[str]] = {}
    for decision in decisions:
        for kind, codes in _wanted(tools, decision):
            wanted.setdefault(kind, set()).update(codes)
    if not wanted:
        return {}
    found = {PATIENT: f"Patient/{_OF_CONTEXT}"}
    for kind in sorted(wanted):
        found.update(_of_kind(kind, sorted(wanted[kind])))
    return found


def purpose_of(house: House, capability: Capability, actor: Actor) -> str:
    """Treatment where the asker may; else the first of its purposes that policy permits."""
    ranked = sorted(actor.purposes, key=lambda purpose: (purpose != TREAT, purpose))
    permitted = (one for one in ranked if _decide(house, capability, actor, one).effect == "permit")
    return next(permitted, ranked[0] if ranked else TREAT)


def _decide(house: House, capability: Capability, actor: Actor, purpose: str) -> Decision:
    return house.policies.decide(
        role=actor.role, purpose=purpose, capability=capability.name, site=actor.site
    )


def _decisions(house: House, capability: Capability, actor: Actor | None) -> list[Decision]:
    if actor is not None:
        return [_decide(house, capability, actor, purpose_of(house, capability, actor))]
    decisions = (
        house.policies.decide(role=role, purpose=TREAT, capability=capability.name, site=None)
        for role in house.policies.roles
    )
    return [decision for decision in decisions if decision.effect == "permit"]


def tools_of(house: House, capability: Capability) -> list[Tool]:
    """The tools that a call would ask, fallbacks included."""
    return [
        tool
        for tool in house.tools.values()
        if capability.name in tool.capabilities
        and tool.lifecycle in ("live", "canary")
        and tool.mode != "shadow"
    ]


def _wanted(tools: Sequence[Tool], decision: Decision) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Type and code tokens of each search that the gateway itself would run."""
    plain = Dialect(lacks=frozenset({"combo-code", "missing"}), whole=True)
    for search in searches(
        tools, decision, patient=_OF_CONTEXT, as_of=_ANY_DAY, study=None, dialect=plain
    ):
        if search.resource != "Patient":
            given = next((value for name, value in search.params if name in _CODED), "")
            yield search.resource, tuple(filter(None, given.split(",")))


def _of_kind(kind: str, codes: Sequence[str]) -> Mapping[str, str]:
    key = kind[0].lower() + kind[1:]
    searched = SEARCHED.get(kind)
    newest = f"&_sort=-{searched.dates[0]}" if searched is not None and searched.dates else ""
    if not codes:
        return {key: f"{kind}?patient={_OF_CONTEXT}{newest}&_count={_COUNT}"}
    chunks = [codes[at : at + _CODES_MAX] for at in range(0, len(codes), _CODES_MAX)]
    return {
        f"{key}{number if number > 1 else ''}": (
            f"{kind}?patient={_OF_CONTEXT}&code={','.join(chunk)}{newest}&_count={_COUNT}"
        )
        for number, chunk in enumerate(chunks, start=1)
    }


def _description(house: House, capability: Capability) -> str:
    names = [tool.product for tool in tools_of(house, capability) if tool.mode == "live"]
    asked = ", ".join(names) or "no tool at present"
    return (
        f"{capability.title}. Asks {asked}; every answer is shown with its tool and version, "
        "and contradictions between them are named."
    )
