"""``$export``: results and the record as NDJSON, by the asynchronous pattern of Bulk Data.

Nothing is copied aside. An export is a moment and a list of types, kept for a day; its files are
written while they are fetched, out of a record that only grows and answers that are kept, up to
that moment. Whoever fetches shows a token each time and gets what it opens now, never more.

Source: HL7 Bulk Data Access 2.0, Export; FHIR R4 asynchronous pattern. What is not there:
``_typeFilter``, ``_elements``, exports of a Patient or a Group, ``deleted``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Final

import msgspec
import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from careweir.access import Actor
from careweir.access.readers import READERS
from careweir.access.scopes import openings
from careweir.api import openapi
from careweir.api.fhir import audit_event, results
from careweir.api.fhir.audit_search import Criteria, opened
from careweir.api.fhir.base import (
    FhirRoute,
    ParameterInvalid,
    ParameterUnsupported,
    address,
    fhir_base,
    reader,
)
from careweir.api.fhir.control import Control
from careweir.api.fhir.parameters import Parameter, spans
from careweir.api.idempotency import respond_async
from careweir.api.services import actor_of, services_of
from careweir.audit.merged import COUNTED_MAX, count_any, read_any
from careweir.errors import AccessDenied, NotFound
from careweir.ids import new_id
from careweir.question import rfc3339
from careweir.state import State

NDJSON: Final = "application/fhir+ndjson"
KIND: Final = "export"
KEPT: Final = timedelta(days=1)
PAGE: Final = 500
_FORMATS: Final = frozenset({NDJSON, "application/ndjson", "ndjson"})
_KNOWN: Final = frozenset({"_type", "_since", "_outputFormat"})
_AUDIT: Final = audit_event.KIND
TYPES: Final = (_AUDIT, *(served.kind for served in results.SERVED))

router = APIRouter(route_class=FhirRoute)
files = APIRouter()


class Export(msgspec.Struct, frozen=True):
    """What was asked for, by which application in which role, and up to which moment."""

    client: str
    role: str
    site: str | None
    types: tuple[str, ...]
    since: str | None
    until: str

    def admits(self, actor: Actor) -> bool:
        """The same application, role and site."""
        mine = (self.client, self.role, self.site)
        return (actor.client, actor.role, actor.site) == mine


@router.get("/$export", openapi_extra=openapi.FHIR_EXPORT)
async def kick_off(request: Request) -> Response:
    """Begin an export: 202 with the address of its status."""
    actor = await actor_of(request)
    if not respond_async(request.headers.get("prefer")):
        raise ParameterUnsupported("send Prefer: respond-async")
    given = request.query_params
    if set(given) - _KNOWN or len(given.multi_items()) > len(given):
        raise ParameterUnsupported("only _type, _since and _outputFormat, each once")
    if given.get("_outputFormat", NDJSON).replace(" ", "+") not in _FORMATS:
        raise ParameterInvalid("_outputFormat")
    now = fhir_base(request).clock()
    asked = Export(
        actor.client, actor.role, actor.site, _types(actor, given.get("_type")),
        _since(given.get("_since"), now), rfc3339(now),
    )  # fmt: skip
    await services_of(request).ledger.read(
        actor, what=f"fhir: export of {', '.join(asked.types)} begun", found=0
    )
    name = new_id("exp")
    await _state(request).put_new(
        KIND, name, msgspec.json.encode(asked), site=actor.site, expires_at=now + KEPT
    )
    location = f"{address(request)}/$export-status/{name}"
    return Response(status_code=202, headers={"Content-Location": location})


@router.get("/$export-status/{export}", openapi_extra=openapi.FHIR_EXPORT_STATUS)
async def status(request: Request, export: str) -> Response:
    """The manifest: one file a type, fetched with a token of the same application."""
    asked, expires = await _mine(request, export)
    root = f"{address(request)}/$export-file/{export}"
    manifest = {
        "transactionTime": asked.until,
        "request": f"{address(request)}/$export?_type={','.join(asked.types)}",
        "requiresAccessToken": True,
        "output": [{"type": kind, "url": f"{root}/{kind}"} for kind in asked.types],
        "error": [],
    }
    headers = {"Expires": format_datetime(expires, usegmt=True)}
    return Response(orjson.dumps(manifest), headers=headers, media_type="application/json")


@router.delete("/$export-status/{export}", openapi_extra=openapi.FHIR_EXPORT_STATUS)
async def forget(request: Request, export: str) -> Response:
    """Forget an export: its files are gone at once."""
    await _mine(request, export)
    await _state(request).delete(KIND, export)
    return Response(status_code=202)


@files.get("/$export-file/{export}/{kind}", openapi_extra=openapi.FHIR_EXPORT_FILE)
async def file(request: Request, export: str, kind: str) -> Response:
    """All resources of one type, one a line; the reading is on the record before the first."""
    asked, _ = await _mine(request, export)
    if kind not in asked.types:
        raise NotFound("no such file, or not for this reader")
    if kind != _AUDIT:
        actor = await results.reader(request, kind, "s")
        found = [one async for one in _results(request, actor, kind, asked)]
        await _on_record(request, actor, kind, len(found))
        return Response(b"".join(found), media_type=NDJSON)
    actor = await reader(request, kind, "s")
    wanted = opened(_within(asked), fhir_base(request), actor, "s")
    count = await count_any(services_of(request).trail, wanted.queries)
    await _on_record(request, actor, kind, COUNTED_MAX if count is None else count)
    return StreamingResponse(_events(request, wanted, actor.site), media_type=NDJSON)


async def _on_record(request: Request, actor: Actor, kind: str, found: int) -> None:
    await services_of(request).ledger.read(actor, what=f"fhir: export of {kind}", found=found)


def _within(asked: Export) -> list[Parameter]:
    """The time of an export as search parameters."""
    given = [Parameter("date", None, (f"lt{asked.until}",))]
    return [*given, Parameter("date", None, (f"ge{asked.since}",))] if asked.since else given


async def _events(request: Request, wanted: Criteria, site: str | None) -> AsyncIterator[bytes]:
    """The record, oldest first, a page at a time: never all of it at once."""
    trail, names, after = services_of(request).trail, fhir_base(request).names, None
    while True:
        rows = await read_any(trail, wanted.queries, after=after, newest_first=False, limit=PAGE)
        if not rows:
            return
        events = await audit_event.events_of(trail, rows, names, site=site)
        yield b"".join(orjson.dumps(one) + b"\n" for one in events)
        after = rows[-1].position


async def _results(
    request: Request, actor: Actor, kind: str, asked: Export
) -> AsyncIterator[bytes]:
    """What the kept answers of this application hold, oldest first."""
    until, since = _moment(asked.until), _moment(asked.since) if asked.since else None
    oldest_first = Control(newest_first=False)
    async for resources in results.all_of(request, actor, kind, None, oldest_first):
        for one in resources:
            said = one.get("meta", {}).get("lastUpdated")
            moment = None if said is None else _moment(said)
            if moment is None or (moment < until and (since is None or moment >= since)):
                yield orjson.dumps(one) + b"\n"


def _types(actor: Actor, given: str | None) -> tuple[str, ...]:
    """The types that were asked for, or all that the actor may search."""
    if given is None:
        found = tuple(kind for kind in TYPES if _may(actor, kind))
    else:
        found = tuple(dict.fromkeys(given.split(",")))
    if unknown := set(found) - set(TYPES):
        raise ParameterInvalid(f"_type: {len(unknown)} are not served here")
    if not found or not all(_may(actor, kind) for kind in found):
        raise AccessDenied("the role or the scopes do not open these types")
    return found


def _may(actor: Actor, kind: str) -> bool:
    asks = any(scope.startswith("capability/") for scope in actor.scopes)
    open_to = bool(openings(actor.scopes, kind, "s"))
    return (actor.role in READERS and open_to) if kind == _AUDIT else (asks or open_to)


def _since(given: str | None, now: datetime) -> str | None:
    if given is None:
        return None
    try:
        ((low, _),) = spans(given, now)
    except ValueError:
        raise ParameterInvalid("_since") from None
    if low is None or not given[:4].isdigit():
        raise ParameterInvalid("_since")
    return rfc3339(low)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def _mine(request: Request, export: str) -> tuple[Export, datetime]:
    """An export of this application, and when it is forgotten; NotFound for all others."""
    actor = await actor_of(request)
    record = await _state(request).get(KIND, export) if len(export) <= 64 else None
    asked = None if record is None else msgspec.json.decode(record.body, type=Export)
    if record is None or asked is None or not asked.admits(actor):
        raise NotFound("no such export, or not for this reader")
    assert record.expires_at is not None
    return asked, record.expires_at


def _state(request: Request) -> State:
    found: State = request.app.state.store
    return found
