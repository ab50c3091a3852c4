"""The routes below ``/console``: each says who reads, records it, and only then shows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import orjson
from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from careweir.access import Actor
from careweir.access.readers import READERS, check_reader
from careweir.audit import Stored
from careweir.audit.report import PROBLEMS
from careweir.console.access_report import report_of
from careweir.console.download import TYPES, Download
from careweir.console.find import LOOKED_AT_MAX, find_about, find_page, find_sample, find_story
from careweir.console.pages import HEADERS, STATIC, STATIC_TYPES, names_of, page
from careweir.console.ports import console_of, read_checkpoint, services_of
from careweir.console.search import PATH, Search, read_search, with_patient
from careweir.console.session import (
    bearer,
    check_same_origin,
    drop_token,
    keep_token,
    onwards,
    read_form,
)
from careweir.console.story import story_of
from careweir.console.timeline import timeline_of
from careweir.console.words import OUTCOMES, is_override
from careweir.errors import AccessDenied, CallerError, IntegrityError, NotAuthenticated, NotFound

Handler = Callable[[Request], Awaitable[Response]]
VERIFY = f"{PATH}/verify"
TO_SIGN_IN = "Your session has ended, or this token is not accepted."


class Page(APIRoute):
    """A route whose refusals are pages, in careweir's own words."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        """The handler with refusals turned into pages."""
        inner: Handler = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await inner(request)
            except NotAuthenticated as error:
                return _sign_in(request, error)
            except (CallerError, IntegrityError) as error:
                return page(request, "refused.html", actor=None, status=error.status,
                            status_code=error.status, detail=error.detail)  # fmt: skip

        return handled


router = APIRouter(prefix="/console", route_class=Page, include_in_schema=False)


def to_page(address: str) -> Response:
    """On to another page, after a form."""
    return RedirectResponse(address, status_code=303, headers=HEADERS)


def _sign_in(request: Request, error: NotAuthenticated) -> Response:
    """The sign-in page; it says what is wrong only to somebody who has sent a token."""
    tried = request.method == "POST" or bool(request.cookies)
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    response = page(
        request, "sign_in.html", actor=None, status=401,
        detail=f"{TO_SIGN_IN} {error.detail.capitalize()}." if tried else "",
        onwards=onwards(here if request.method == "GET" else None),
    )  # fmt: skip
    response.headers["WWW-Authenticate"] = 'Bearer realm="careweir"'
    if request.cookies:
        drop_token(response)
    return response


async def _reader(request: Request) -> Actor:
    """Who reads, from the cookie; raises NotAuthenticated, or AccessDenied as ``_admit``."""
    actor = await services_of(request).verifier.actor(bearer(request))
    await _admit(request, actor)
    return actor


async def _admit_to_any(request: Request, actor: Actor) -> None:
    """Let in who settles conflicts, too."""
    queues = services_of(request).adjudication.desk.policy.queues
    if not any(actor.role in queue.roles for queue in queues):
        await _admit(request, actor)


async def _admit(request: Request, actor: Actor) -> None:
    """Let auditors in. That somebody else knocked goes on the record; raises AccessDenied."""
    try:
        check_reader(actor)
    except AccessDenied:
        await _recorded(request, actor, "refused to this role", 0)
        raise


async def _recorded(
    request: Request, actor: Actor, what: str, found: int, patient_key: str | None = None
) -> None:
    """Put a reading on the record, before what was read is shown; raises AuditUnavailable."""
    ledger = services_of(request).ledger
    await ledger.read(actor, what=f"console: {what}", found=found, patient_key=patient_key)


# --- who ---------------------------------------------------------------------------------------


@router.get("")
async def console(request: Request) -> Response:
    """The console has one page so far."""
    return to_page(PATH)


@router.post("/session")
async def sign_in(request: Request) -> Response:
    """Check a pasted token and keep it in a cookie."""
    check_same_origin(request)
    form = await read_form(request)
    token = form.get("token", "").strip()
    actor = await services_of(request).verifier.actor(f"Bearer {token}")
    await _admit_to_any(request, actor)
    response = to_page(onwards(form.get("onwards"), reader=actor.role in READERS))
    keep_token(request, response, token)
    return response


@router.post("/session/end")
async def sign_out(request: Request) -> Response:
    """Forget the token."""
    check_same_origin(request)
    response = to_page(PATH)
    drop_token(response)
    return response


# --- the record --------------------------------------------------------------------------------


@router.get("/audit")
async def search_page(request: Request) -> Response:
    """The search and what it found."""
    actor = await _reader(request)
    search, wrong = read_search(request.query_params)
    return await _search_page(request, actor, search, wrong)


@router.post("/audit/search")
async def search(request: Request) -> Response:
    """A filled-in form becomes an address, in which a patient is a keyed hash."""
    check_same_origin(request)
    actor = await _reader(request)
    form = await read_form(request)
    found, wrong = read_search(form)
    if reference := form.get("patient_reference", ""):
        try:
            found = with_patient(found, reference, console_of(request).patient_key)
        except ValueError as error:
            wrong["patient_reference"] = str(error)
    if wrong:
        return await _search_page(request, actor, found, wrong)
    return to_page(found.url())


async def _search_page(
    request: Request, actor: Actor, search: Search, wrong: dict[str, str]
) -> Response:
    trail = services_of(request).trail
    found, timeline = None, None
    search = replace(search, site=actor.site)
    if not wrong:
        found = await find_page(trail, search)
        sample, cut = await find_sample(trail, search)
        timeline = timeline_of(sample, cut=cut)
        await _recorded(
            request, actor, f"search, {search.named()}", len(found.rows), search.patient
        )
    return page(
        request, "search.html", actor=actor, status=422 if wrong else 200, search=search,
        wrong=wrong, found=found, looked=LOOKED_AT_MAX, presets=_presets(request, search),
        outcomes=[(code, code.replace("_", " ")) for code in sorted(OUTCOMES)],
        tools=sorted(services_of(request).gateway.house.tools),
        timeline=timeline,
    )  # fmt: skip


def _presets(request: Request, search: Search) -> list[tuple[str, str]]:
    """Addresses of the same search for usual stretches of time."""
    now = console_of(request).clock()
    spans = {"hour": 1, "24 hours": 24, "7 days": 7 * 24, "30 days": 30 * 24}
    return [
        (label, search.url(since=now - timedelta(hours=hours), until=None))
        for label, hours in spans.items()
    ]


@router.get("/audit/break-glass")
async def break_glass(request: Request) -> Response:
    """Every question asked under an emergency override, newest first."""
    actor = await _reader(request)
    given, _ = read_search(request.query_params)
    search = Search(after=given.after, before=given.before, site=actor.site)
    found = await find_page(services_of(request).trail, search, _is_override)
    await _recorded(request, actor, "break-glass list", len(found.rows))
    return page(request, "break_glass.html", actor=actor, search=search, found=found,
                looked=LOOKED_AT_MAX)  # fmt: skip


def _is_override(row: Stored) -> bool:
    return row.entry.type in ("decision", "refusal") and is_override(row.entry)


@router.get("/audit/download")
async def download(request: Request) -> Response:
    """The whole search as a file."""
    actor = await _reader(request)
    kind = request.query_params.get("format", "")
    search, wrong = read_search(request.query_params)
    if wrong or kind not in TYPES:
        raise NotFound("there is no such download")
    services = services_of(request)
    search = replace(search, site=actor.site)
    rows = Download(services.trail, search, names_of(services.gateway.house))
    what = f"download as {kind}, {search.named()}"
    await _recorded(request, actor, f"{what}: begun", 0, search.patient)

    async def lines() -> AsyncIterator[bytes]:
        try:
            async for line in rows.lines(kind):
                yield line
        finally:  # also when the reader went away: what has left is on the record
            await asyncio.shield(
                _recorded(request, actor, f"{what}: ended", rows.rows, search.patient)
            )

    name = f"careweir-audit-{console_of(request).clock():%Y%m%dT%H%M%SZ}.{kind}"
    return StreamingResponse(
        lines(), media_type=TYPES[kind],
        headers=HEADERS | {"Content-Disposition": f'attachment; filename="{name}"'},
    )  # fmt: skip


@router.get("/audit/report")
async def access_report(request: Request) -> Response:
    """A patient's own report: who saw what of mine, for what purpose."""
    actor = await _reader(request)
    search, wrong = read_search({"patient": request.query_params.get("patient", "")})
    kind = request.query_params.get("format", "html")
    if wrong or search.patient is None or kind not in ("html", "json", "csv"):
        raise NotFound("there is no such report")
    search = replace(search, site=actor.site)
    rows, cut = await find_about(services_of(request).trail, search)
    await _recorded(request, actor, f"access report as {kind}", len(rows), search.patient)
    names = names_of(services_of(request).gateway.house)
    report = report_of(rows, names, made=console_of(request).clock(), cut=cut)
    if kind == "html":
        return page(request, "access_report.html", actor=actor, report=report,
                    patient=search.patient)  # fmt: skip
    body = orjson.dumps(report.as_json()) if kind == "json" else report.as_csv().encode()
    media = "application/json" if kind == "json" else TYPES["csv"]
    attached = {"Content-Disposition": f'attachment; filename="careweir-access.{kind}"'}
    return Response(body, media_type=media, headers=HEADERS | attached)


# --- its integrity -----------------------------------------------------------------------------


@router.get("/audit/verify")
async def integrity(request: Request) -> Response:
    """The last verification, and a button for the next."""
    actor = await _reader(request)
    checkpoint = read_checkpoint(await console_of(request).last_checkpoint())
    await _recorded(request, actor, "integrity", 0)
    return page(request, "verify.html", actor=actor, checkpoint=checkpoint, problems=PROBLEMS)


@router.post("/audit/verify")
async def verify_now(request: Request) -> Response:
    """Verify the whole trail."""
    check_same_origin(request)
    actor = await _reader(request)
    await _recorded(request, actor, "verification asked for", 0)
    await console_of(request).verification.press()
    return to_page(VERIFY)


# --- one question ------------------------------------------------------------------------------


@router.get("/audit/{inference}")
async def story(request: Request, inference: str) -> Response:
    """One question: decision, what left, what stayed, outcomes, answer, receipts."""
    actor = await _reader(request)
    _, wrong = read_search({"inference": inference})
    asked = Search(inference=inference, site=actor.site)
    rows = [] if wrong else await find_story(services_of(request).trail, asked)
    known, patient_key = "an unknown question", None
    if rows:
        known, patient_key = inference, rows[0].entry.patient_key
    await _recorded(request, actor, f"story of {known}", len(rows), patient_key)
    if not rows:
        raise NotFound("no such question is on the record")
    patient = Search(patient=patient_key)
    return page(request, "story.html", actor=actor, story=story_of(rows),
                patient_url=patient.url())  # fmt: skip


@router.get("/static/{name}")
async def static(request: Request, name: str) -> Response:
    """The style sheet and the mark; the address changes with the content."""
    if name not in STATIC:
        raise NotFound("no such file")
    kept = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(STATIC[name], media_type=STATIC_TYPES[name], headers=HEADERS | kept)
