"""``/cds-services``: discovery, call, feedback. Refusals are OperationOutcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from careweir.access import Actor
from careweir.api import openapi
from careweir.api.auth import authorization as authorization_of
from careweir.api.cds.call import Call, Prefetched, PrefetchMissing, chart, missing, read_call
from careweir.api.cds.cards import cards
from careweir.api.cds.clients import CdsClients, Client, actor_of
from careweir.api.cds.descriptor import described, hooked, purpose_of, templates_for
from careweir.api.cds.feedback import Feedback, read_feedback
from careweir.api.services import json_response, services_of
from careweir.capabilities import Capability
from careweir.errors import NotAuthenticated, NotFound
from careweir.question import Question
from careweir.source import Source
from careweir.source.place import Place

PATH = "/cds-services"
_LOOPBACK = "127.0.0.1"

router = APIRouter(prefix=PATH)


@dataclass(frozen=True, slots=True)
class CdsService:
    """What the start puts on ``app.state.cds``. ``public_url`` None: where the request came."""

    clients: CdsClients
    sources: Mapping[str, Source]
    feedback: Feedback
    public_url: str | None


@router.get("", openapi_extra=openapi.CDS_DISCOVERY)
async def discovery(request: Request) -> Response:
    """The services. Open to all; to a caller that is known, the prefetch is that of its role."""
    house, actor = services_of(request).gateway.house, await _reader(request)
    return json_response({"services": [described(house, one, actor) for one in hooked(house)]})


async def _reader(request: Request) -> Actor | None:
    """Who discovers. An EHR whose token does not hold here is nobody, and reads what all may.

    A known client sends the token of its first service here, and discovery keeps no secret.
    Source: cds-hooks/legacy-sandbox, issue 82.
    """
    if authorization_of(request) is None:
        return None
    ehr = _cds(request).clients.knows(authorization_of(request))
    try:
        asker = await _asker(request, PATH)
    except NotAuthenticated:
        if ehr:
            return None
        raise
    return asker if isinstance(asker, Actor) else actor_of(asker, asker.name)


@router.post("/{name}", openapi_extra=openapi.CDS_CALL)
async def call(request: Request, name: str) -> Response:
    """One call: the question of a capability about the patient of the context, as cards."""
    capability, gateway = _capability(request, name), services_of(request).gateway
    asker = await _asker(request, f"{PATH}/{name}")
    given = read_call(await request.body(), capability)
    actor = asker if isinstance(asker, Actor) else actor_of(asker, given.user)
    templates = templates_for(gateway.house, capability, actor)
    question, cut = _question(request, capability, actor, asker, given, templates)
    async with gateway.pace.arriving() as arrived:
        answer = await services_of(request).inferences.shown(question, actor, arrived=arrived)
    shown = cards(gateway.house, answer, cut=cut)
    await _cds(request).feedback.expect(answer, shown, site=question.site)
    return json_response({"cards": shown})


@router.post("/{name}/feedback", openapi_extra=openapi.CDS_FEEDBACK)
async def feedback(request: Request, name: str) -> Response:
    """What became of cards: accepted or overridden, and why. The same item twice counts once."""
    capability = _capability(request, name)
    asker = await _asker(request, f"{PATH}/{name}", f"{PATH}/{name}/feedback")
    items = read_feedback(await request.body())
    actor = asker if isinstance(asker, Actor) else actor_of(asker, asker.name)
    await _cds(request).feedback.take(items, actor=actor, service=capability.name)
    return json_response({})


def _question(
    request: Request,
    capability: Capability,
    actor: Actor,
    asker: Actor | Client,
    given: Call,
    templates: Mapping[str, str],
) -> tuple[Question, tuple[str, ...]]:
    """The question of a call, and the prefetch keys of which the EHR gave only a first page.

    What the EHR did not give is fetched from it, where it is a configured source; with the
    gateway's own credentials, so that a token which a caller hands over never travels.
    """
    lacking = missing(given, templates)
    source: str | None = None
    prefetched = Prefetched(b"", ())
    if not lacking:
        prefetched = chart(given, templates)
    elif (source := _source(request, asker, given)) is None:
        raise PrefetchMissing("not given: " + ", ".join(lacking))
    house, services = services_of(request).gateway.house, services_of(request)
    question = Question(
        capability=capability.name,
        subject=f"Patient/{given.patient}",
        purpose=purpose_of(house, capability, actor),
        inputs=prefetched.bundle,
        encounter=f"Encounter/{given.encounter}" if given.encounter else None,
        site=actor.site,
        study=None,
        as_of=None,
        tools=None,
        strategy="all",
        deadline_ms=services.deadline_ms_default,
        source=source,
    )
    return question, prefetched.cut


def _source(request: Request, asker: Actor | Client, given: Call) -> str | None:
    """The configured source behind an EHR, if the call's fhirServer is that one or none."""
    if isinstance(asker, Actor) or asker.file.source is None or given.drafts:
        return None
    source = _cds(request).sources.get(asker.file.source)
    if source is None:
        return None
    told = Place.read(given.fhir_server) if given.fhir_server is not None else None
    same = given.fhir_server is None or told == Place.read(source.file.base_url)
    return source.name if same else None


async def _asker(request: Request, *paths: str) -> Actor | Client:
    """Who calls: an EHR by a JWT of its own, or the bearer of an access token of the gateway."""
    authorization, clients = authorization_of(request), _cds(request).clients
    if authorization is not None and clients.knows(authorization):
        root = _cds(request).public_url or _own_address(request)
        client = await clients.verified(authorization, audiences={root + path for path in paths})
        services_of(request).verifier.count(client.name)
        return client
    return await services_of(request).verifier.actor(authorization)


def _own_address(request: Request) -> str:
    """The address of the request itself. INVARIANT: a Host header chooses no audience.

    Whoever replays a token that was meant for another service can name that service as the host.
    On loopback nobody is deceived: no EHR issues tokens for it.
    """
    if request.url.hostname != _LOOPBACK:
        raise NotAuthenticated("set CAREWEIR_PUBLIC_URL, so that an audience can be compared")
    return str(request.base_url).rstrip("/")


def _capability(request: Request, name: str) -> Capability:
    for capability in hooked(services_of(request).gateway.house):
        if capability.name == name:
            return capability
    raise NotFound("no such service")


def _cds(request: Request) -> CdsService:
    cds: CdsService = request.app.state.cds
    return cds
