"""``_include`` and ``_revinclude``: what a result refers to, and who made it, in the same answer.

What is brought along comes out of the kept answer that the reader was given, through the same
scopes as a search for its type: what a condition hides there, it hides here.

Source: FHIR R4 search (4.0.1), section 3.1.1.5.4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from fastapi import Request

from careweir.access import Actor
from careweir.api.fhir.answers import conditions, devices, name_of, open_to, resources_of
from careweir.api.fhir.base import Json
from careweir.api.fhir.parameters import Parameter
from careweir.api.fhir.result_types import INCLUDES, REVERSE, TYPES, inference_of
from careweir.api.services import services_of
from careweir.errors import NotFound

INCLUDE: Final = "_include"
REVINCLUDE: Final = "_revinclude"
INCLUDED_MAX: Final = 1000
Wish = tuple[str, str]  # the parameter, and its value as it stands in INCLUDES or REVERSE


def wishes_of(kind: str, given: Sequence[Parameter]) -> tuple[list[Wish], list[Parameter]]:
    """What is to be brought along, and all other parameters.

    One that cannot be followed here stays among the others: it is passed over, or refused where
    the caller is strict.
    """
    wishes: list[Wish] = []
    others: list[Parameter] = []
    for one in given:
        known = {INCLUDE: INCLUDES.get(kind, {}), REVINCLUDE: REVERSE.get(kind, {})}.get(one.name)
        if known and one.modifier is None and set(one.values) <= known.keys():
            wishes += [(one.name, value) for value in one.values]
        else:
            others.append(one)
    return list(dict.fromkeys(wishes)), others


async def brought_along(
    request: Request, actor: Actor, kind: str, found: Sequence[Json], wishes: Sequence[Wish]
) -> list[Json]:
    """The resources that the wishes add to a page, each once and none that is on it."""
    if not wishes:
        return []
    added: dict[str, Json] = {}
    here = {name_of(one) for one in found}
    for inference, mine in _by_answer(found).items():
        others = await _others(request, actor, inference)
        for wish in wishes:
            for one in _wanted(kind, mine, wish, others):
                if name_of(one) not in here and len(added) < INCLUDED_MAX:
                    added[name_of(one)] = one
    return list(added.values())


def _by_answer(found: Sequence[Json]) -> Mapping[str, list[Json]]:
    answers: dict[str, list[Json]] = {}
    for one in found:
        inference = inference_of(one["id"])
        if inference is not None:
            answers.setdefault(inference, []).append(one)
    return answers


async def _others(request: Request, actor: Actor, inference: str) -> dict[str, Json]:
    """All resources of one answer that the actor may read, by type and id; the tools in use too."""
    services = services_of(request)
    house = services.gateway.house
    seen = {name_of(one): one for one in devices(house)}
    try:
        kept, record = await services.inferences.answers.read(inference, actor)
    except NotFound:  # forgotten meanwhile
        return seen
    by_kind: dict[str, list[Json]] = {}
    for one in resources_of(kept, record, house, None):
        by_kind.setdefault(one["resourceType"], []).append(one)
    for kind in TYPES:
        mine = by_kind.get(kind, [])
        if mine and kind != "Device":
            mine = open_to(actor, kept, mine, conditions(request, actor, kind, "r"))
        seen |= {name_of(one): one for one in mine}
    return seen


def _wanted(kind: str, mine: Sequence[Json], wish: Wish, others: dict[str, Json]) -> Iterator[Json]:
    name, value = wish
    if name == INCLUDE:
        element = INCLUDES[kind][value]
        references = (reference for one in mine for reference in _references(one, element))
        yield from (others[reference] for reference in references if reference in others)
        return
    source, element = REVERSE[kind][value]
    targets = {name_of(one) for one in mine}
    for reference, one in others.items():
        if reference.startswith(f"{source}/") and targets & set(_references(one, element)):
            yield one


def _references(resource: Json, element: str) -> Iterator[str]:
    found: Any = resource.get(element, [])
    for one in found if isinstance(found, list) else [found]:
        yield one.get("reference", "")
