"""What every route of the FHIR base shares: media types, errors, who reads, addresses."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from fastapi import Request, Response
from fastapi.routing import APIRoute

from careweir.access import Actor
from careweir.access.readers import check_role
from careweir.access.scopes import openings
from careweir.api.outcomes import FHIR_JSON
from careweir.api.problems import on_gateway_error
from careweir.api.services import actor_of, services_of
from careweir.audit.audit_event import Names
from careweir.errors import AccessDenied, CallerError, GatewayError, ScopeMissing

Handler = Callable[[Request], Awaitable[Response]]
_JSON = frozenset({"json", "application/json", "text/json", FHIR_JSON})
_ANY = frozenset({"*/*", "application/*"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_R4 = frozenset({"4.0", "4.0.1"})


class NotAcceptable(CallerError):
    """Only JSON is spoken here."""

    status: ClassVar[int] = 406
    code: ClassVar[str] = "not_acceptable"
    title: ClassVar[str] = "Only application/fhir+json is served"


class ParameterInvalid(CallerError):
    """A search parameter whose value cannot be used; its name is said, never its value."""

    code: ClassVar[str] = "parameter_invalid"
    title: ClassVar[str] = "A search parameter cannot be used"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        if _NAME.fullmatch(detail):
            self.place = f"http.{detail}"


class ParameterUnsupported(CallerError):
    """A search parameter or modifier that is not known here."""

    code: ClassVar[str] = "parameter_unsupported"
    title: ClassVar[str] = "A search parameter is not supported"


class SearchTooCostly(CallerError):
    """A search with more alternatives than are followed."""

    code: ClassVar[str] = "search_too_costly"
    title: ClassVar[str] = "The search has too many alternatives"


class MediaTypeUnsupported(CallerError):
    """A body of another media type than the route reads."""

    status: ClassVar[int] = 415
    code: ClassVar[str] = "unsupported_media_type"
    title: ClassVar[str] = "The media type of the body is not supported"


@dataclass(frozen=True, slots=True)
class FhirBase:
    """What the start puts on ``app.state.fhir``.

    ``public_url`` is where callers find the gateway (None: where the request found it),
    ``patient_key`` is ``AuditKeys.patient_key``.
    """

    public_url: str | None
    patient_key: Callable[[str], str]
    clock: Callable[[], datetime]
    names: Names


class FhirRoute(APIRoute):
    """A route that speaks JSON only, and whose refusals are OperationOutcomes."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        """The handler between a look at the media type and the errors' translation."""
        inner: Handler = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                check_media(request.headers.get("accept"), request.query_params)
                return await inner(request)
            except GatewayError as error:
                return await on_gateway_error(request, error)

        return handled


def check_media(accept: str | None, query: Mapping[str, str]) -> None:
    """Raise NotAcceptable unless JSON of R4 is welcome; ``_format`` overrides the header.

    Source: FHIR R4 http, sections 3.1.0.1.11 and 3.1.0.1.9 (the parameter ``fhirVersion``).
    """
    wanted = query.get("_format")
    if wanted is not None:
        kind = _acceptable(wanted)
        # In an address a "+" stands for a space.
        kinds = {kind.replace(" ", "+")} if kind else set()
    else:
        kinds = {kind for part in (accept or "*/*").split(",") if (kind := _acceptable(part))}
    if not kinds & (_JSON | _ANY):
        raise NotAcceptable


def _acceptable(part: str) -> str | None:
    """One media type of an Accept header; None where it is refused (``q=0``), or not of R4."""
    kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
    refused = any(re.fullmatch(r"q=0(\.0*)?", parameter) for parameter in parameters)
    return None if refused or not is_r4(parameters) else kind


def is_r4(parameters: Iterable[str]) -> bool:
    """Whether the parameters of a media type name R4, or no version at all."""
    pairs = (one.strip().lower().partition("=") for one in parameters)
    return all(value.strip('" ') in _R4 for name, _, value in pairs if name == "fhirversion")


def fhir_base(request: Request) -> FhirBase:
    """The base's own facts."""
    found: FhirBase = request.app.state.fhir
    return found


def address(request: Request) -> str:
    """The absolute address of the base, without a slash at its end."""
    root = fhir_base(request).public_url or str(request.base_url).rstrip("/")
    return f"{root}/fhir"


async def reader(request: Request, kind: str, right: str) -> Actor:
    """Who reads records of a type: by role and by scope. A refusal goes on the record.

    Raises NotAuthenticated or AccessDenied. ``right`` is ``r`` (read) or ``s`` (search).
    """
    actor = await actor_of(request)
    try:
        check_role(actor)
        check_scope(actor, kind, right)
    except AccessDenied:
        await services_of(request).ledger.read(actor, what=f"fhir: {kind} refused", found=0)
        raise
    return actor


def check_scope(actor: Actor, kind: str, right: str) -> None:
    """Raise ScopeMissing unless some of the type is open to the actor."""
    if not openings(actor.scopes, kind, right):
        raise ScopeMissing(f"system/{kind}.rs")


Json = dict[str, Any]
