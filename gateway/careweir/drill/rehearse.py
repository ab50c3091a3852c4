"""Play the scenes one after the other on a running gateway, and heal between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from careweir.audit.standstill import standstill
from careweir.drill.scenes import (
    Played,
    Scene,
    all_is_well,
    broken,
    broken_without_record,
    first_question,
    scenes,
)
from careweir.drill.target import Link, Seen
from careweir.errors import AuditUnavailable

AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Case:
    """Who asks what about whom, to rehearse one capability."""

    role: str
    chart: Callable[[datetime], dict[str, Any]]
    purpose: str = "TREAT"


@dataclass(frozen=True, slots=True)
class Plan:
    """How hard to rehearse."""

    deadline_ms: int = 1500
    flood: int = 40
    only: str | None = None


async def rehearse(
    link: Link, cases: Mapping[str, Case], plan: Plan, *, now: datetime
) -> AsyncIterator[Played]:
    """Every scene of every capability that has a case and simulated tools, then the record."""
    last: tuple[Case, dict[str, Any]] | None = None
    nameless = await link.nameless()
    for capability in await link.capabilities():
        name = capability["name"]
        tools = [tool for tool in capability["tools"] if tool in link.target.controls]
        if name not in cases or not tools or plan.only not in (None, name):
            continue
        case = cases[name]
        question = _question(name, case, plan, now)
        last = case, question
        yield await _play(link, first_question(name), question, case.role, (), plan)
        well = await _play(link, all_is_well(name), question, case.role, (), plan)
        yield well
        asked = [tool for tool in tools if any(tool in one.statuses for one in well.seen)]
        for scene in scenes(name, asked, flood=plan.flood, nameless=nameless):
            yield await _play(link, scene, question, case.role, asked, plan)
    if last is not None and link.target.database_url is not None:
        yield await _without_record(link, last[1], last[0].role, link.target.database_url)


async def _play(
    link: Link, scene: Scene, question: dict[str, Any], role: str, tools: Sequence[str], plan: Plan
) -> Played:
    before = await link.calls()
    for tool in scene.tools:
        assert scene.outage is not None
        await link.fault(tool, scene.outage.fault)
    seen = await _ask(link, scene.questions, question, role)
    calls = await link.calls() - before
    intents = sum([await link.intents(one.body["id"]) for one in seen if "id" in one.body])
    missed = broken(
        scene, seen, tools, deadline_s=plan.deadline_ms / 1000, calls=calls, intents=intents
    )
    healed = await link.heal(question, role)
    return Played(
        scene, tuple(seen), calls, intents,
        missed if healed else (*missed, "a breaker or hold did not end when the outage did"),
    )  # fmt: skip


async def _ask(link: Link, times: int, question: dict[str, Any], role: str) -> list[Seen]:
    seen: list[Seen] = []
    while len(seen) < times:
        together = min(AT_ONCE, times - len(seen))
        seen += await asyncio.gather(*(link.ask(question, role) for _ in range(together)))
    return seen


async def _without_record(
    link: Link, question: dict[str, Any], role: str, database_url: str
) -> Played:
    scene = Scene(str(question["capability"]), "the record cannot be written")
    before = await link.calls()
    try:
        async with standstill(database_url):
            seen = await _ask(link, scene.questions, question, role)
    except AuditUnavailable:
        return Played(scene, (), 0, 0, ("not rehearsed: the record's lock could not be had",))
    calls = await link.calls() - before
    missed = broken_without_record(seen, calls=calls)
    healed = await link.heal(question, role)
    if not healed:
        missed = (*missed, "the gateway did not become ready again")
    return Played(scene, tuple(seen), calls, 0, missed)


def _question(capability: str, case: Case, plan: Plan, now: datetime) -> dict[str, Any]:
    chart = case.chart(now)
    return {
        "capability": capability,
        "subject": f"Patient/{chart['id']}",
        "purpose": case.purpose,
        "inputs": chart,
        "deadline_ms": plan.deadline_ms,
    }
