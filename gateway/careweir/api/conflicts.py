"""``/v1/conflicts``: the work list, one conflict, and the steps of settling it."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec
import orjson
from fastapi import APIRouter, Request, Response

from careweir.access import Actor
from careweir.adjudication import Dispute, Filters, Ruling
from careweir.adjudication.desk import PAGE_MAX, Place
from careweir.adjudication.shown import as_fhir, as_json
from careweir.api import openapi
from careweir.api.routes import FHIR_JSON
from careweir.api.services import actor_of, json_response, services_of
from careweir.errors import QuestionInvalid
from careweir.state import Cursor
from careweir_kit.strict_json import JsonRefused, decode

STATES = ("open", "claimed", "settled", "unsettled")
SEVERITIES = ("high", "moderate", "low")

router = APIRouter()


@router.get("/v1/conflicts", openapi_extra=openapi.CONFLICTS)
async def conflicts(request: Request) -> Response:
    """The conflicts that this reader may know of, gravest first, then oldest."""
    services, actor = services_of(request), await actor_of(request)
    filters, after, limit = _asked(request)
    desk = services.adjudication.desk
    found, place = await desk.page(actor, filters, after=after, limit=limit)
    await services.ledger.read(actor, what="conflicts", found=len(found))
    rows = [as_json(dispute, actor.role) for dispute in found]
    return json_response({"conflicts": rows, "next": None if place is None else _cursor(place)})


@router.get("/v1/conflicts/{name}", openapi_extra=openapi.READ)
async def conflict(request: Request, name: str) -> Response:
    """One conflict: its findings side by side, what each tool saw, its history."""
    services, actor = services_of(request), await actor_of(request)
    dispute = await services.adjudication.desk.get(actor, name)
    await services.ledger.read(
        actor, what=f"conflict {dispute.id}", found=1, patient_key=dispute.patient_key
    )
    return _shown(request, actor, dispute)


@router.post("/v1/conflicts/{name}/adjudication", openapi_extra=openapi.ADJUDICATION)
async def adjudicate(request: Request, name: str) -> Response:
    """Settle it: a verdict with its rationale. Who and when come from the token."""
    actor = await actor_of(request)
    given = await _body(request, _Adjudication)
    ruling = Ruling(given.verdict, given.preferred_finding, given.rationale)
    dispute = await services_of(request).adjudication.desk.settle(actor, name, ruling)
    return _shown(request, actor, dispute)


@router.post("/v1/conflicts/{name}/claim", openapi_extra=openapi.STEP)
async def claim(request: Request, name: str) -> Response:
    """Say that one is at it."""
    actor = await actor_of(request)
    return _shown(request, actor, await services_of(request).adjudication.desk.claim(actor, name))


@router.post("/v1/conflicts/{name}/reopen", openapi_extra=openapi.REOPEN)
async def reopen(request: Request, name: str) -> Response:
    """Take a verdict back, with a rationale; the verdict stays in the history."""
    actor = await actor_of(request)
    given = await _body(request, _Reopening)
    dispute = await services_of(request).adjudication.desk.reopen(actor, name, given.rationale)
    return _shown(request, actor, dispute)


def _shown(request: Request, actor: Actor, dispute: Dispute) -> Response:
    services = services_of(request)
    seen = services.adjudication.desk.rights.settles(actor, dispute)
    if seen and FHIR_JSON in request.headers.get("accept", ""):
        bundle = as_fhir(dispute, services.gateway.house.tools, services.adjudication.desk.policy)
        return Response(orjson.dumps(bundle), media_type=FHIR_JSON)
    return json_response(as_json(dispute, actor.role))


class _Adjudication(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    verdict: str
    rationale: str
    preferred_finding: int | str | None = None


class _Reopening(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rationale: str


async def _body(request: Request, kind: type[Any]) -> Any:
    """A small JSON body of one shape; raises QuestionInvalid in our own words."""
    body = await request.body()
    try:
        decode(body)
        return msgspec.json.decode(body, type=kind)
    except (JsonRefused, msgspec.DecodeError, UnicodeDecodeError):
        fields = ", ".join(kind.__struct_fields__)
        raise QuestionInvalid(f"the body must be a JSON object of {fields}") from None


def _asked(request: Request) -> tuple[Filters, Place | None, int]:
    given = request.query_params
    if unknown := set(given) - {"state", "severity", "type", "queue", "after", "limit"}:
        raise QuestionInvalid(f"{len(unknown)} of the parameters are not known here")
    state, severity, limit = given.get("state"), given.get("severity"), given.get("limit", "50")
    if state is not None and state not in STATES:
        raise QuestionInvalid(f"must be one of {', '.join(STATES)}", path="state")
    if severity is not None and severity not in SEVERITIES:
        raise QuestionInvalid(f"must be one of {', '.join(SEVERITIES)}", path="severity")
    if not (limit.isascii() and limit.isdigit() and 0 < int(limit[:6]) <= PAGE_MAX):
        raise QuestionInvalid(f"must be 1 to {PAGE_MAX}", path="limit")
    filters = Filters(state, severity, given.get("type"), given.get("queue"))
    after = given.get("after")
    return filters, None if after is None else _place(after), int(limit)


def _cursor(place: Place) -> str:
    level, (created_us, key) = place
    return base64.urlsafe_b64encode(orjson.dumps([level, created_us, key])).decode().rstrip("=")


def _place(text: str) -> Place:
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        level, created_us, key = orjson.loads(base64.urlsafe_b64decode(padded))
    except (ValueError, TypeError, binascii.Error):
        raise QuestionInvalid("is no place that was given out", path="after") from None
    if not (isinstance(level, int) and isinstance(created_us, int) and isinstance(key, str)):
        raise QuestionInvalid("is no place that was given out", path="after")
    if not (0 <= level < len(SEVERITIES) and 0 <= created_us < 2**62 and len(key) <= 200):
        raise QuestionInvalid("is no place that was given out", path="after")
    return level, Cursor(created_us, key)
