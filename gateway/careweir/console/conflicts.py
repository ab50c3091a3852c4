"""``/console/conflicts``: the work list, one conflict side by side, and settling it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from careweir.access import Actor
from careweir.access.readers import READERS
from careweir.adjudication import Desk, Dispute, Filters, Ruling
from careweir.adjudication.desk import Place
from careweir.console.claims import (
    claim_of,
    concept_of,
    details_of,
    due_in,
    evidence_of,
    moment_of,
    severity_tone,
    system_of,
)
from careweir.console.pages import page
from careweir.console.ports import services_of
from careweir.console.routes import Page, to_page
from careweir.console.session import bearer, check_same_origin, read_form
from careweir.errors import AccessDenied, NotFound, QuestionInvalid
from careweir.state import Cursor

PATH = "/console/conflicts"
PAGE_ROWS = 25
STATES = {"unsettled": "To be settled", "settled": "Settled"}
SEVERITIES = ("high", "moderate", "low")
_AFTER = re.compile(r"([0-2])\.([0-9]{1,18})\.(cfl_[A-Z2-7]{26})")
_WORDS: dict[str, Any] = {
    "claim_of": claim_of, "concept_of": concept_of, "details_of": details_of, "due_in": due_in,
    "severity_tone": severity_tone, "moment_of": moment_of, "system_of": system_of,
    "evidence_of": evidence_of,
}  # fmt: skip

router = APIRouter(prefix="/console", route_class=Page, include_in_schema=False)


def _desk(request: Request) -> Desk:
    return services_of(request).adjudication.desk


async def _actor(request: Request) -> Actor:
    """Who is at the desk, from the cookie; raises NotAuthenticated, AccessDenied."""
    actor = await services_of(request).verifier.actor(bearer(request))
    if not works_here(_desk(request), actor):
        raise AccessDenied("conflicts are settled by the roles of adjudication.yaml")
    return actor


def works_here(desk: Desk, actor: Actor) -> bool:
    """Does any queue belong to this role, or may it read of all?"""
    return actor.role in READERS or any(actor.role in q.roles for q in desk.policy.queues)


async def _recorded(request: Request, actor: Actor, what: str, dispute: Dispute | None) -> None:
    await services_of(request).ledger.read(
        actor,
        what=f"console: {what}",
        found=1,
        patient_key=None if dispute is None else dispute.patient_key,
    )


@router.get("/conflicts")
async def work_list(request: Request) -> Response:
    """What is to be settled, gravest first, then what waits longest."""
    actor = await _actor(request)
    given = request.query_params
    state = given.get("state") if given.get("state") in STATES else "unsettled"
    severity = given.get("severity") if given.get("severity") in SEVERITIES else None
    found, place = await _desk(request).page(
        actor, Filters(state, severity), after=_place(given.get("after")), limit=PAGE_ROWS
    )
    await _recorded(request, actor, "conflicts", None)
    filters = {"state": state, "severity": severity}
    kept = {name: value for name, value in filters.items() if value}
    further = None if place is None else f"{PATH}?{urlencode(kept | {'after': _after(place)})}"
    return page(
        request, "conflicts.html", actor=actor, found=found, filters=filters, states=STATES,
        severities=SEVERITIES, further=further, policy=_desk(request).policy, **_WORDS,
    )  # fmt: skip


@router.get("/conflicts/{name}")
async def one(request: Request, name: str) -> Response:
    """One conflict: what each tool says and saw, what happened, and the form."""
    actor = await _actor(request)
    dispute = await _desk(request).get(actor, name)
    await _recorded(request, actor, f"conflict {dispute.id}", dispute)
    return await _drawn(request, actor, dispute)


@router.post("/conflicts/{name}/claim")
async def claim(request: Request, name: str) -> Response:
    """Take it."""
    check_same_origin(request)
    actor = await _actor(request)
    await _desk(request).claim(actor, name)
    return to_page(f"{PATH}/{_checked(name)}")


@router.post("/conflicts/{name}/settle")
async def settle(request: Request, name: str) -> Response:
    """Give a verdict; what cannot be used comes back with the form as it was filled in."""
    check_same_origin(request)
    actor = await _actor(request)
    form = await read_form(request)
    verdict, _, at = form.get("verdict", "").partition(":")
    preferred = int(at) if at.isascii() and at.isdigit() and len(at) < 4 else None
    ruling = Ruling(verdict, preferred, form.get("rationale", ""), seen=form.get("seen", ""))
    try:
        await _desk(request).settle(actor, name, ruling)
    except QuestionInvalid as error:
        dispute = await _desk(request).get(actor, name)
        await _recorded(request, actor, f"conflict {dispute.id}", dispute)
        return await _drawn(request, actor, dispute, form=form, wrong=error, status=422)
    return to_page(f"{PATH}/{_checked(name)}")


@router.post("/conflicts/{name}/reopen")
async def reopen(request: Request, name: str) -> Response:
    """Take the verdict back."""
    check_same_origin(request)
    actor = await _actor(request)
    form = await read_form(request)
    try:
        await _desk(request).reopen(actor, name, form.get("rationale", ""))
    except QuestionInvalid as error:
        dispute = await _desk(request).get(actor, name)
        await _recorded(request, actor, f"conflict {dispute.id}", dispute)
        return await _drawn(request, actor, dispute, form=form, wrong=error, status=422)
    return to_page(f"{PATH}/{_checked(name)}")


async def _drawn(
    request: Request,
    actor: Actor,
    dispute: Dispute,
    *,
    form: Mapping[str, str] | None = None,
    wrong: QuestionInvalid | None = None,
    status: int = 200,
) -> Response:
    desk = _desk(request)
    cards = {tool: await desk.cards.of(tool) for tool in dispute.tools}
    return page(
        request, "conflict.html", actor=actor, status=status, dispute=dispute, cards=cards,
        policy=desk.policy, may=desk.rights.settles(actor, dispute), hidden=actor.role in READERS,
        own=desk.rights.needs_another(actor, dispute), form=form or {}, wrong=wrong, **_WORDS,
    )  # fmt: skip


def _checked(name: str) -> str:
    if not re.fullmatch(r"cfl_[A-Z2-7]{26}", name):
        raise NotFound("no such conflict, or not for this reader")
    return name


def _after(place: Place) -> str:
    level, (created_us, key) = place
    return f"{level}.{created_us}.{key}"


def _place(text: str | None) -> Place | None:
    match = _AFTER.fullmatch(text or "")
    return (int(match[1]), Cursor(int(match[2]), match[3])) if match else None
