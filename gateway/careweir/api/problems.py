"""Errors as RFC 9457 problem details: careweir's own words, never the caller's values."""

from __future__ import annotations

import re
from typing import Any

import orjson
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import Response

from careweir.api import outcomes
from careweir.errors import (
    AccessDenied,
    CallerError,
    GatewayError,
    NotAuthenticated,
    QuestionInvalid,
    ScopeMissing,
    ShuttingDown,
)
from careweir.log import log

MEDIA_TYPE = "application/problem+json"


def on_too_large(path: str, bytes_max: int) -> Response:
    """A body above the limit."""
    detail = f"the limit is {bytes_max} bytes"
    return _refused(path, 413, "body_too_large", "The request body is too large", detail)


def on_too_slow(path: str, seconds_max: float) -> Response:
    """A body that did not arrive whole in time."""
    detail = f"send the whole body within {seconds_max:g} seconds"
    return _refused(path, 408, "body_too_slow", "The request body did not arrive in time", detail)


def problem(status: int, code: str, title: str, detail: str = "", **more: Any) -> Response:
    """One problem document. ``code`` is stable; ``type`` is a URN made from it."""
    body = {"type": f"urn:careweir:problem:{code}", "title": title, "status": status, "code": code}
    if detail:
        body["detail"] = detail
    return Response(orjson.dumps(body | more), status_code=status, media_type=MEDIA_TYPE)


def _refused(
    where: str, /, status: int, code: str, title: str, detail: str = "",
    *, place: str | None = None, **more: Any
) -> Response:  # fmt: skip
    """A problem document, or below the FHIR base an OperationOutcome."""
    if outcomes.is_below(where):
        return outcomes.refused(status, code, title, detail, place=place)
    return problem(status, code, title, detail, **more)


async def on_gateway_error(request: Request, error: Exception) -> Response:
    """A refusal that the gateway decided on."""
    assert isinstance(error, GatewayError)
    more: dict[str, Any] = {}
    if isinstance(error, QuestionInvalid) and error.path:
        more["path"] = error.path
    if isinstance(error, AccessDenied) and error.because:
        more["because"] = list(error.because)
    response = _told(request.url.path, error, **more)
    if isinstance(error, NotAuthenticated | ScopeMissing):
        response.headers["WWW-Authenticate"] = _challenge(request, error)
    return response


def _told(path: str, error: GatewayError, /, **more: Any) -> Response:
    """What an error says, and when it is worth coming back."""
    place = error.place if isinstance(error, CallerError) else None
    response = _refused(
        path, error.status, error.code, error.title, error.detail, place=place, **more
    )
    if error.retry_after_s is not None or error.status == 503:
        response.headers["Retry-After"] = str(error.retry_after_s or 5)
    return response


def _challenge(request: Request, error: NotAuthenticated | ScopeMissing) -> str:
    """What to come back with. Source: RFC 6750 section 3: no error where no token was sent."""
    said = 'Bearer realm="careweir"'
    if isinstance(error, ScopeMissing):
        return f'{said}, error="insufficient_scope", scope="{error.scope}"'
    return f'{said}, error="invalid_token"' if "authorization" in request.headers else said


async def on_bad_parameter(request: Request, error: Exception) -> Response:
    """A query parameter that is missing or of another type: its name, never its value."""
    assert isinstance(error, RequestValidationError)
    places = sorted({".".join(map(str, problem["loc"][1:])) for problem in error.errors()})
    return _refused(
        request.url.path, 422, "question_invalid", "The question cannot be used",
        "a parameter is missing or wrong", path=", ".join(places),
    )  # fmt: skip


async def on_http_error(request: Request, error: Exception) -> Response:
    """404 and 405 of the router itself."""
    status = getattr(error, "status_code", 500)
    titles = {404: ("not_found", "Not found"), 405: ("method_not_allowed", "Method not allowed")}
    code, title = titles.get(status, ("http_error", "The request cannot be served"))
    response = _refused(request.url.path, status, code, title)
    for name, value in (getattr(error, "headers", None) or {}).items():
        response.headers[name] = value
    if status == 405 and (methods := _methods_of(request)):
        response.headers["Allow"] = ", ".join(methods)
    return response


def on_shutdown(path: str) -> Response:
    """The process ends before the answer is there: worth asking another replica."""
    return _told(path, ShuttingDown("repeat it with the same Idempotency-Key", retry_after_s=1))


def _methods_of(request: Request) -> list[str]:
    """All methods of an address: the router tells only those of the first route that fits."""
    paths, here = request.app.openapi()["paths"], request.url.path
    if here in paths:
        return sorted(method.upper() for method in paths[here])
    return sorted(
        method.upper()
        for path, methods in paths.items()
        if re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)), here)
        for method in methods
    )


async def on_crash(path: str, error: Exception) -> Response:
    """Anything else: the place goes to the log, nothing of it to the caller."""
    log.error("request failed", exc_info=error)
    return _refused(path, 500, "internal_error", "The gateway failed")
