"""``/fhir``: read and search of the results that the gateway made.

A result is served to the application and role that its answer was given to, while the answer is
kept: there is no second door to what somebody else was told. A Device holds no patient's data and
is served to every token. The resources are those of the answer's Bundle; references between them,
which there are ``urn:uuid``, become ``Type/id``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request, Response

from careweir.access import Actor
from careweir.api import openapi
from careweir.api.fhir.answers import conditions, devices, model_cards, open_to, resources_of
from careweir.api.fhir.base import (
    FhirRoute,
    Json,
    ParameterInvalid,
    ParameterUnsupported,
    address,
    check_scope,
    fhir_base,
)
from careweir.api.fhir.control import CURSOR, Control, is_strict, sorted_out
from careweir.api.fhir.forms import form
from careweir.api.fhir.includes import brought_along, wishes_of
from careweir.api.fhir.parameters import Parameter, parameters
from careweir.api.fhir.result_types import (
    OF_PATIENT,
    SERVED,
    TYPES,
    Wanted,
    inference_of,
    wanted,
)
from careweir.api.fhir.searchset import Searchset
from careweir.api.outcomes import fhir_json
from careweir.api.services import actor_of, services_of
from careweir.errors import NotFound
from careweir.stages import House
from careweir_fhir import validate
from careweir_fhir.operation_outcome import Issue

__all__ = ["SERVED", "router"]

CARDS: Final = "DocumentReference"  # the type of model cards, which are about no patient
ANSWERS_MAX: Final = 2000  # kept answers that one search looks through
_HASHED: Final = "patient.identifier"

router = APIRouter(route_class=FhirRoute)


@dataclass(slots=True)
class _Page:
    found: list[Json]
    more: bool = False
    total: int | None = 0
    cut: bool = False


async def _read(request: Request, kind: str, identifier: str) -> Response:
    actor = await reader(request, kind, "r")
    found, version = await _one(request, actor, kind, identifier)
    await services_of(request).ledger.read(actor, what=f"fhir: {kind} read", found=len(found))
    if not found:
        raise NotFound("no such resource, or not for this reader")
    tag = f'W/"{version}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"ETag": tag})
    response = fhir_json(found[0])
    response.headers["ETag"] = tag
    return response


async def _search(request: Request, kind: str, pairs: Sequence[tuple[str, str]]) -> Response:
    actor = await reader(request, kind, "s")
    try:
        given = parameters(pairs)
    except ValueError:
        raise ParameterInvalid("too many or too long values") from None
    known = {*TYPES[kind], *([_HASHED] if OF_PATIENT & TYPES[kind].keys() else [])}
    strict = is_strict(request.headers.get("prefer"))
    wishes, given = wishes_of(kind, given)
    narrowing, control, ignored = sorted_out(given, known, strict=strict)
    asked, used, patient = _asked(request, kind, narrowing)
    page = await _page(request, actor, kind, asked, patient, control)
    included = await brought_along(request, actor, kind, page.found, wishes)
    names = ", ".join(sorted({name for name, _ in [*used, *wishes]})) or "no filter"
    found = len(page.found) + len(included)
    await services_of(request).ledger.read(
        actor, what=f"fhir: {kind} search, {names}", found=found, patient_key=patient
    )
    bundle = Searchset(
        base=address(request),
        kind=kind,
        found=page.found,
        used=[*used, *wishes, *control.used],
        here=(CURSOR, control.cursor) if control.cursor else None,
        following=(CURSOR, page.found[-1]["id"]) if page.more and page.found else None,
        total=page.total if control.only_count or control.total != "none" else None,
        issues=_issues(ignored, page),
        included=included,
    ).bundle()
    validate.check(bundle)
    return fhir_json(bundle)


def _issues(ignored: int, page: _Page) -> list[Issue]:
    issues = []
    if ignored:
        text = f"{ignored} parameters are not supported and were passed over; see the self link"
        issues.append(Issue("warning", "not-supported", text))
    if page.cut:
        text = f"only the first {ANSWERS_MAX} kept answers were looked through: narrow the search"
        issues.append(Issue("warning", "too-costly", text))
    return issues


def _asked(
    request: Request, kind: str, narrowing: Sequence[Parameter]
) -> tuple[list[Wanted], list[tuple[str, str]], str | None]:
    """What each resource must hold, the parameters for links, and the one patient's key.

    A patient stands in links as a keyed hash, so that no proxy's log learns who was asked about.
    """
    asked: list[Wanted] = []
    used: list[tuple[str, str]] = []
    patient: str | None = None
    base = fhir_base(request)
    for parameter in narrowing:
        if parameter.modifier not in (None, "Patient"):
            raise ParameterUnsupported(f"{parameter.name} with that modifier")
        if parameter.name == _HASHED:
            if len(parameter.values) != 1:
                raise ParameterInvalid(_HASHED)
            patient = parameter.values[0].rpartition("|")[2]
            used.append((_HASHED, parameter.values[0]))
            continue
        look = TYPES[kind][parameter.name]
        one = wanted(
            look, parameter.name, parameter.values, base=address(request), now=base.clock()
        )
        asked.append(one)
        if parameter.name in OF_PATIENT:
            if len(one.references) == 1:
                patient = base.patient_key(one.references[0])
                used.append((_HASHED, f"{base.names.patient_system}|{patient}"))
        else:
            used.append((parameter.name, ",".join(parameter.values)))
    return asked, used, patient


async def _page(
    request: Request,
    actor: Actor,
    kind: str,
    asked: Sequence[Wanted],
    patient: str | None,
    control: Control,
) -> _Page:
    """One page, filtered before it is cut: what may not be seen is neither shown nor counted."""
    page = _Page([])
    counting = control.only_count or control.total != "none"
    seen = total = 0
    waiting = control.cursor
    async for resources in all_of(request, actor, kind, patient, control):
        seen += 1
        if seen > ANSWERS_MAX:
            page.cut = True
            break
        for resource in resources:
            if not all(one.holds(resource) for one in asked):
                continue
            total += 1
            if waiting is not None:
                waiting = None if resource["id"] == waiting else waiting
            elif control.only_count or len(page.found) == control.count:
                page.more = not control.only_count
            else:
                page.found.append(resource)
        if page.more and not counting:
            break
    if waiting is not None:
        raise ParameterInvalid(CURSOR)
    page.total = None if page.cut else total
    return page


async def all_of(
    request: Request, actor: Actor, kind: str, patient: str | None, control: Control
) -> AsyncIterator[list[Json]]:
    """The resources of a type that the actor's scopes open, an answer at a time."""
    house = services_of(request).gateway.house
    if kind == "Device":
        yield devices(house)
        return
    answers = services_of(request).inferences.answers.given_to(
        actor, patient=patient, newest_first=control.newest_first
    )
    alternatives = conditions(request, actor, kind, "s")
    async for kept, record in answers:
        yield open_to(actor, kept, resources_of(kept, record, house, kind), alternatives)
    if kind == CARDS and patient is None:
        yield _cards(house, actor, alternatives)


async def _one(
    request: Request, actor: Actor, kind: str, identifier: str
) -> tuple[list[Json], int]:
    house = services_of(request).gateway.house
    if kind == "Device":
        return [one for one in devices(house) if one["id"] == identifier], 1
    if kind == CARDS and identifier.startswith("card-"):
        cards = _cards(house, actor, conditions(request, actor, kind, "r"))
        return [one for one in cards if one["id"] == identifier], 1
    inference = inference_of(identifier)
    if inference is None:
        return [], 0
    try:
        kept, record = await services_of(request).inferences.answers.read(inference, actor)
    except NotFound:
        return [], 0
    if kept.state != "done":
        return [], 0
    mine = resources_of(kept, record, house, kind)
    seen = open_to(actor, kept, mine, conditions(request, actor, kind, "r"))
    return [one for one in seen if one["id"] == identifier], record.version


def _cards(house: House, actor: Actor, alternatives: list[list[Wanted]]) -> list[Json]:
    """The model cards, as far as a scope opens them: whoever asks questions may read them all."""
    if _asks(actor):
        return model_cards(house)
    return [card for card in model_cards(house)
            if any(all(one.holds(card) for one in each) for each in alternatives)]  # fmt: skip


def _asks(actor: Actor) -> bool:
    return any(scope.startswith("capability/") for scope in actor.scopes)


async def reader(request: Request, kind: str, right: str) -> Actor:
    """Whoever asked for an answer may read its results; others need a scope, and find nothing."""
    actor = await actor_of(request)
    if kind != "Device" and not _asks(actor):
        check_scope(actor, kind, right)
    return actor


def _routes(kind: str) -> None:
    """The three routes of one type."""

    async def search(request: Request) -> Response:
        return await _search(request, kind, request.query_params.multi_items())

    async def search_by_form(request: Request) -> Response:
        return await _search(request, kind, await form(request))

    async def read(request: Request, resource: str) -> Response:
        return await _read(request, kind, resource)

    searched, found = openapi.FHIR_SEARCH, openapi.FHIR_READ
    for path, method, handler, extra, words in (
        (f"/{kind}", "GET", search, searched, f"Search {kind} among the results given here."),
        (f"/{kind}/_search", "POST", search_by_form, searched, "The same, by a form."),
        (f"/{kind}/{{resource}}", "GET", read, found, f"One {kind} by its id."),
    ):
        router.add_api_route(
            path, handler, methods=[method], openapi_extra=extra, summary=words, description=words
        )


for _kind in TYPES:
    _routes(_kind)
