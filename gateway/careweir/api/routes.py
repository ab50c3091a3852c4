"""The routes of ``/v1``: read the request, call one function of the core, write the answer."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi import Query as Parameter

from careweir.access import Actor
from careweir.access.readers import READERS, check_reader, reads_record
from careweir.access.scopes import may_ask
from careweir.api import openapi
from careweir.api.idempotency import checked_key, respond_async
from careweir.api.problems import problem
from careweir.api.services import Services, actor_of, json_response, services_of
from careweir.audit import Query, Stored
from careweir.capabilities import described
from careweir.errors import AccessDenied, NotFound, ScopeMissing
from careweir.holds import read_reason, release
from careweir.jobs import Kept
from careweir.preview import previewed
from careweir.question import read_question, rfc3339
from careweir_kit.push import Push

FHIR_JSON = "application/fhir+json"
EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
READY_S = 3.0  # a record that takes longer to say that it is well is not

WORKERS = READERS | {"operator"}

router = APIRouter()


@router.post("/v1/inferences", openapi_extra=openapi.INFERENCE)
async def infer(request: Request) -> Response:
    """Ask every tool of a capability about one patient; one compared, recorded answer."""
    services, actor = services_of(request), await actor_of(request)
    kept = await asked(request, services, actor, await request.body())
    return _rendered(kept, services, as_fhir=FHIR_JSON in request.headers.get("accept", ""))


async def asked(request: Request, services: Services, actor: Actor, body: bytes) -> Kept:
    """Ask now, once for a key, or later, as the headers of the request say."""
    async with services.gateway.pace.arriving() as arrived:
        key = checked_key(request.headers.get("idempotency-key"))
        question = read_question(body, deadline_ms_default=services.deadline_ms_default)
        if respond_async(request.headers.get("prefer")):
            return await services.inferences.later(key, body, question, actor)
        if key is not None:
            return await services.inferences.once(key, body, question, actor, arrived=arrived)
        return await services.inferences.now(question, actor, arrived=arrived)


@router.get("/v1/inferences", openapi_extra=openapi.LIST)
async def work_list(
    request: Request,
    status: Literal["unknown", "stuck"] = "unknown",
    after: str | None = None,
    limit: Annotated[int, Parameter(ge=1, le=200)] = 50,
) -> Response:
    """The work list: nobody knows what a tool answered, or the question could not be ended."""
    services, actor = services_of(request), await actor_of(request)
    if actor.role not in WORKERS:
        raise AccessDenied("the work list needs the role operator, auditor or privacy-officer")
    rows = await services.inferences.answers.work_list(
        {status: "yes"}, site=actor.site, after=after, limit=limit
    )
    return json_response({"inferences": rows})


@router.get("/v1/inferences/{inference}", openapi_extra=openapi.KEPT)
async def inference(request: Request, inference: str) -> Response:
    """An answer that was given or is being made: for who asked, while it is kept."""
    services, actor = services_of(request), await actor_of(request)
    kept, _record = await services.inferences.answers.read(inference, actor)
    if kept.answer is not None and not may_ask(actor.scopes, kept.answer["capability"]):
        raise ScopeMissing(f"capability/{kept.answer['capability']}.infer")
    if kept.state != "running":
        await services.ledger.read(actor, what="answer", found=1)
    as_fhir = FHIR_JSON in request.headers.get("accept", "")
    return _rendered(kept, services, as_fhir=as_fhir, again=True)


@router.delete("/v1/inferences/{inference}", openapi_extra=openapi.CANCEL)
async def cancel(request: Request, inference: str) -> Response:
    """End a question that is answered later: by who asked it; what was sent stays recorded."""
    services, actor = services_of(request), await actor_of(request)
    await services.inferences.cancel(inference, actor)
    return Response(status_code=204)


@router.post("/v1/inferences/{inference}/resume", openapi_extra=openapi.RESUME)
async def resume(request: Request, inference: str) -> Response:
    """Take up a question that was given up after several tries; on the record, by an operator."""
    services, actor = services_of(request), await actor_of(request)
    await services.inferences.resume(inference, actor)
    return json_response({"id": inference, "status": "running"}, status=202)


def _rendered(kept: Kept, services: Services, *, as_fhir: bool, again: bool = False) -> Response:
    """202 while it runs; then the answer, with 200 when it is read again whatever it says."""
    if kept.state == "running":
        body = {"id": kept.inference, "status": "running", "started": kept.started}
        response = json_response(body, status=202)
        response.headers["Location"] = f"/v1/inferences/{kept.inference}"
        response.headers["Retry-After"] = "1"
        return response
    if kept.problem is not None:
        found = kept.problem
        return problem(kept.status, found["code"], found["title"], found["detail"])
    status = 200 if again else kept.status
    if as_fhir:
        return json_response(
            kept.as_fhir(services.gateway.house), status=status, media_type=FHIR_JSON
        )
    response = json_response(kept.answer, status=status)
    if kept.retry_after_s is not None and not again:
        response.headers["Retry-After"] = str(kept.retry_after_s)
    return response


@router.get("/v1/capabilities", openapi_extra=openapi.LIST)
async def capabilities(request: Request) -> Response:
    """The questions that can be asked, and the tools behind each."""
    await actor_of(request)
    house = services_of(request).gateway.house
    rows = [described(one, house.tools.values()) for one in house.capabilities.values()]
    return json_response({"capabilities": rows})


@router.get("/v1/capabilities/{name}", openapi_extra=openapi.READ)
async def capability(request: Request, name: str) -> Response:
    """One capability."""
    await actor_of(request)
    house = services_of(request).gateway.house
    if name not in house.capabilities:
        raise NotFound("no such capability")
    return json_response(described(house.capabilities[name], house.tools.values()))


@router.get("/v1/tools", openapi_extra=openapi.LIST)
async def tools(request: Request) -> Response:
    """The tools in use here."""
    await actor_of(request)
    gateway = services_of(request).gateway
    return json_response({"tools": [gateway.tool_row(name) for name in gateway.house.tools]})


@router.get("/v1/tools/{name}", openapi_extra=openapi.READ)
async def tool(request: Request, name: str) -> Response:
    """One tool."""
    actor, services = await actor_of(request), services_of(request)
    gateway = services.gateway
    if name not in gateway.house.tools:
        raise NotFound("no such tool")
    card = msgspec.to_builtins(await services.adjudication.desk.cards.of(name))
    feedback = await services.adjudication.reactions.of(name, site=actor.site)
    card["feedback"] = msgspec.to_builtins(feedback)
    return json_response(gateway.tool_row(name) | {"score_card": card})


@router.post("/v1/tools/{name}/release", openapi_extra=openapi.RELEASE)
async def release_tool(request: Request, name: str) -> Response:
    """Let a held tool be asked again; on the record, with a coded reason."""
    services, actor = services_of(request), await actor_of(request)
    gateway = services.gateway
    if name not in gateway.house.tools:
        raise NotFound("no such tool")
    reason = read_reason(await request.body())
    await release(gateway.guards, services.ledger, actor, name, reason)
    return json_response(gateway.tool_row(name))


@router.post("/v1/tools/{name}/results", openapi_extra=openapi.RESULTS)
async def results(request: Request, name: str) -> Response:
    """A vendor sends a result by itself; it is stored as late and compared."""
    services = services_of(request)
    actor = await actor_of(request) if "authorization" in request.headers else None
    push = Push(dict(request.headers), await request.body())
    reply = await services.pushes.take(name, push, actor)
    return Response(
        reply.body,
        status_code=reply.status,
        media_type=reply.content_type,
        headers=dict(reply.headers),
    )


@router.post("/v1/disclosures/preview", openapi_extra=openapi.PREVIEW)
async def preview(request: Request) -> Response:
    """What each tool would receive for this question; sends nothing."""
    services, actor = services_of(request), await actor_of(request)
    question = read_question(await request.body(), deadline_ms_default=services.deadline_ms_default)
    as_of = question.as_of or services.gateway.now()
    prepared = await services.gateway.preview(question, actor)
    return json_response(
        {"disclosures": [previewed(one, as_of=rfc3339(as_of)) for one in prepared]}
    )


@router.get("/v1/disclosures/{disclosure}", openapi_extra=openapi.READ)
async def disclosure(request: Request, disclosure: str) -> Response:
    """The field manifest of one disclosure, for auditors and for who caused it."""
    services, actor = services_of(request), await actor_of(request)
    query = Query(disclosure=disclosure, type="intent", limit=1, within=actor.site)
    found = [row async for row in services.trail.read(query)]
    mine = [row for row in found if _may_see(actor, row)]
    await services.ledger.read(actor, what="disclosure", found=len(mine))
    if not mine:
        raise NotFound("no such disclosure, or not for this reader")
    return json_response(mine[0].entry.body["manifest"])


def _may_see(actor: Actor, row: Stored) -> bool:
    """Who caused a disclosure may; so may a reader of the record, within the reader's site."""
    site = row.entry.body.get("site")
    reads = reads_record(actor) and actor.site in (None, site)
    return reads or row.entry.actor == actor.subject


@router.get("/v1/audit/records", openapi_extra=openapi.LIST)
async def records(request: Request, inference: str) -> Response:
    """Everything on the record about one inference, for auditors."""
    services, actor = services_of(request), await actor_of(request)
    check_reader(actor)
    query = Query(inference=inference, limit=1000, within=actor.site)
    found = [_record(row) async for row in services.trail.read(query)]
    await services.ledger.read(actor, what="inference", found=len(found))
    return json_response({"records": found})


@router.get("/v1/audit/checkpoint", openapi_extra=openapi.CHECKPOINT)
async def checkpoint(request: Request) -> Response:
    """The newest signed head over all entries (C2SP note): keep it outside to hold us to it."""
    services, actor = services_of(request), await actor_of(request)
    check_reader(actor)
    note = await services.trail.checkpoint()
    if note is None:
        raise NotFound("nothing is sealed yet")
    return Response(note, media_type="text/plain")


@router.get("/v1/audit/proof", openapi_extra=openapi.READ)
async def proof(request: Request, writer: str, seq: int) -> Response:
    """That the entry of a receipt stands in the tree of a signed checkpoint (RFC 6962)."""
    services, actor = services_of(request), await actor_of(request)
    check_reader(actor)
    found = await services.trail.proof(writer, seq)
    await services.ledger.read(actor, what="proof", found=int(found is not None))
    if found is None:
        raise NotFound("no such entry, or not sealed yet")
    return json_response(found._asdict())


@router.get("/v1/audit/consistency", openapi_extra=openapi.READ)
async def consistency(request: Request, first: int, second: int | None = None) -> Response:
    """That the tree of a checkpoint begins with that of an earlier one (RFC 6962)."""
    services, actor = services_of(request), await actor_of(request)
    check_reader(actor)
    found = await services.trail.extension(first, second)
    if found is None:
        raise NotFound("no two checkpoints of such sizes")
    return json_response(found._asdict())


def _record(row: Stored) -> dict[str, Any]:
    entry = row.entry
    return {
        "writer": row.receipt.writer, "seq": row.receipt.seq, "hash": row.receipt.hash,
        "recorded": row.recorded, "type": entry.type, "actor": entry.actor, "client": entry.client,
        "tool": entry.tool, "disclosure": entry.disclosure, "outcome": entry.outcome,
        "body": entry.body,
    }  # fmt: skip


@router.get("/healthz", openapi_extra=openapi.OPEN)
async def healthz() -> Response:
    """The process is alive."""
    return json_response({"status": "alive"})


@router.get("/metrics", openapi_extra=openapi.FIGURES)
async def metrics(request: Request) -> Response:
    """Figures for Prometheus; no label holds anything of a patient or a caller."""
    return Response(services_of(request).gateway.metrics.text(), media_type=EXPOSITION)


@router.get("/readyz", openapi_extra=openapi.READY)
async def readyz(request: Request) -> Response:
    """It can disclose and record. One vendor's outage does not make it unready."""
    try:
        async with asyncio.timeout(READY_S):
            ready = await services_of(request).trail.healthy()
    except TimeoutError:
        ready = False
    return json_response({"status": "ready" if ready else "not ready", "audit": ready},
                 status=200 if ready else 503)  # fmt: skip
