"""``/fhir/AuditEvent``: the record in the form of IHE BALP, for auditors' own tools.

One event an action. The reading is on the record before its result is given.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response

from careweir.access import Actor
from careweir.api import openapi
from careweir.api.fhir.audit_search import NARROWING, Criteria, opened
from careweir.api.fhir.base import (
    FhirRoute,
    Json,
    ParameterInvalid,
    address,
    fhir_base,
    reader,
)
from careweir.api.fhir.control import CURSOR, Control, is_strict, sorted_out
from careweir.api.fhir.forms import form
from careweir.api.fhir.metadata import Served
from careweir.api.fhir.parameters import Parameter, parameters
from careweir.api.fhir.searchset import Searchset
from careweir.api.outcomes import fhir_json
from careweir.api.services import services_of
from careweir.audit import AuditTrail, Query, Stored
from careweir.audit.audit_event import Names, audit_event, event_id, place_of
from careweir.audit.event_kinds import BALP, CONCLUDES
from careweir.audit.merged import count_any, read_any
from careweir.errors import NotFound
from careweir.log import log
from careweir_fhir import validate
from careweir_fhir.operation_outcome import Issue

KIND = "AuditEvent"
_BASE = "http://hl7.org/fhir/SearchParameter"
SERVED = Served(
    kind=KIND,
    interactions=("read", "search-type"),
    parameters={
        "_id": ("token", f"{_BASE}/Resource-id"),
        "_lastUpdated": ("date", f"{_BASE}/Resource-lastUpdated"),
        "action": ("token", f"{_BASE}/AuditEvent-action"),
        "agent": ("reference", f"{_BASE}/AuditEvent-agent"),
        "agent.identifier": ("token", None),
        "date": ("date", f"{_BASE}/AuditEvent-date"),
        "entity": ("reference", f"{_BASE}/AuditEvent-entity"),
        "entity.identifier": ("token", None),
        "outcome": ("token", f"{_BASE}/AuditEvent-outcome"),
        "patient": ("reference", f"{_BASE}/AuditEvent-patient"),
        "patient.identifier": ("token", None),
        "policy": ("uri", f"{_BASE}/AuditEvent-policy"),
        "purpose": ("token", None),
        "site": ("token", f"{_BASE}/AuditEvent-site"),
        "source": ("reference", f"{_BASE}/AuditEvent-source"),
        "subtype": ("token", f"{_BASE}/AuditEvent-subtype"),
        "type": ("token", f"{_BASE}/AuditEvent-type"),
    },
    profiles=(f"{BALP}/StructureDefinition/IHE.BasicAudit.PrivacyDisclosure.Source",),
    documentation=(
        "One event an action of the gateway. Patients stand as keyed hashes (identifiers); "
        "a patient's reference in a search is hashed at once. Prefer POST _search for it. "
        "Ordered by date only, newest first unless asked otherwise."
    ),
)

router = APIRouter(route_class=FhirRoute)


@router.get(f"/{KIND}", openapi_extra=openapi.FHIR_SEARCH)
async def search(request: Request) -> Response:
    """Search the record; only what the reader's role and site may see."""
    return await _searched(request, request.query_params.multi_items())


@router.post(f"/{KIND}/_search", openapi_extra=openapi.FHIR_SEARCH)
async def search_by_form(request: Request) -> Response:
    """The same with the parameters in the body, where no proxy's log keeps them."""
    return await _searched(request, await form(request))


@router.get(f"/{KIND}/{{event}}", openapi_extra=openapi.FHIR_READ)
async def read(request: Request, event: str) -> Response:
    """One event by its id, which names the entry's place in the record."""
    actor = await reader(request, KIND, "r")
    rows = await _rows(request, actor, event, "r")
    patient = rows[0].entry.patient_key if rows else None
    await services_of(request).ledger.read(
        actor, what="fhir: AuditEvent read", found=len(rows), patient_key=patient
    )
    if not rows:
        raise NotFound("no such event, or not for this reader")
    names, trail = fhir_base(request).names, services_of(request).trail
    found = await events_of(trail, rows, names, site=actor.site)
    return fhir_json(found[0])


async def _searched(request: Request, pairs: Sequence[tuple[str, str]]) -> Response:
    actor = await reader(request, KIND, "s")
    try:
        given = parameters(pairs)
    except ValueError:
        raise ParameterInvalid("too many or too long values") from None
    strict = is_strict(request.headers.get("prefer"))
    narrowing, control, ignored = sorted_out(given, NARROWING, strict=strict)
    wanted = opened(narrowing, fhir_base(request), actor, "s")
    page = await _page(request, actor, wanted, control)
    if ignored:
        text = f"{ignored} parameters are not supported and were passed over; see the self link"
        page.issues.append(Issue("warning", "not-supported", text))
    await _on_record(request, actor, wanted, len(page.rows))
    names, trail = fhir_base(request).names, services_of(request).trail
    events = await events_of(trail, page.rows, names, site=actor.site)
    bundle = Searchset(
        base=address(request),
        kind=KIND,
        found=events,
        used=[*wanted.used, *control.used],
        here=(CURSOR, control.cursor) if control.cursor else None,
        following=(CURSOR, events[-1]["id"]) if page.more else None,
        total=page.total,
        issues=page.issues,
    ).bundle()
    validate.check(bundle)
    return fhir_json(bundle)


async def _on_record(request: Request, actor: Actor, wanted: Criteria, found: int) -> None:
    names = ", ".join(sorted({name for name, _ in wanted.used})) or "no filter"
    await services_of(request).ledger.read(
        actor, what=f"fhir: AuditEvent search, {names}", found=found, patient_key=wanted.patient_key
    )


class _Page:
    """The rows of one page, whether there are more, and how many there are in all."""

    def __init__(self) -> None:
        self.rows: list[Stored] = []
        self.more = False
        self.total: int | None = None
        self.issues: list[Issue] = []


async def _page(request: Request, actor: Actor, wanted: Criteria, control: Control) -> _Page:
    trail, page = services_of(request).trail, _Page()
    if control.only_count or control.total != "none":
        page.total = await count_any(trail, wanted.queries)
        if page.total is None:
            text = "there are more than can be counted, so no total is given"
            page.issues.append(Issue("information", "too-costly", text))
    if not control.only_count:
        after = await _after(request, actor, control.cursor)
        rows = await read_any(
            trail, wanted.queries, after=after, newest_first=control.newest_first,
            limit=control.count + 1,
        )  # fmt: skip
        page.rows, page.more = rows[: control.count], len(rows) > control.count
    return page


async def _after(request: Request, actor: Actor, cursor: str | None) -> int | None:
    """Where the page before ended. A place that the reader may not see is none."""
    if cursor is None:
        return None
    rows = await _rows(request, actor, cursor, "s")
    if not rows:
        raise ParameterInvalid(CURSOR)
    return rows[0].position


async def _rows(request: Request, actor: Actor, event: str, right: str) -> list[Stored]:
    """The entry of an event, if this reader may see it by this right."""
    if place_of(event) is None:
        return []
    wanted = opened([Parameter("_id", None, (event,))], fhir_base(request), actor, right)
    return await read_any(
        services_of(request).trail, wanted.queries, after=None, newest_first=True, limit=1
    )


async def events_of(
    trail: AuditTrail, rows: Sequence[Stored], names: Names, *, site: str | None
) -> list[Json]:
    """Events of entries, to a reader of one site or of all (None).

    A disclosure stands together with what became of it.
    """
    sent = tuple(
        r.entry.disclosure for r in rows if r.entry.type == "intent" and r.entry.disclosure
    )
    ended: dict[str | None, str | None] = {}
    if sent:
        async for row in trail.read(Query(type=CONCLUDES, disclosure=sent, within=site)):
            ended[row.entry.disclosure] = row.entry.outcome
    return [_valid(audit_event(row, names, ended.get(row.entry.disclosure)), row) for row in rows]


def _valid(event: Json, row: Stored) -> Json:
    """An event with facts that R4 does not take is shown without them, never hidden."""
    if not validate.problems(event):
        return event
    log.error("audit event reduced", writer=row.receipt.writer, seq=row.receipt.seq)
    kept = {name: event[name] for name in ("resourceType", "id", "type", "action", "recorded")}
    gateway = {**event["agent"][0], "requestor": True}
    gateway.pop("policy", None)
    source = {"observer": event["source"]["observer"]}
    detail = [{"type": "hash", "valueString": row.receipt.hash}]
    what = {"identifier": {"value": event_id(row.receipt.writer, row.receipt.seq)}}
    reduced = {"agent": [gateway], "source": source, "entity": [{"what": what, "detail": detail}]}
    return kept | reduced | {"outcomeDesc": "some facts of this entry cannot stand in R4"}
