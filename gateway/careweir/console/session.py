"""Sign in by pasting an access token; it then lives in a cookie that no script can read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from careweir.errors import AccessDenied, NotAuthenticated, QuestionInvalid

COOKIE = "careweir_console"
COOKIE_PATH = "/console"
COOKIE_BYTES_MAX = 3_800  # browsers drop a cookie of more than 4 096 bytes, name and all
FORM_BYTES_MAX = 16_384
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_NEXT = re.compile(r"/console/(?:audit|conflicts)[A-Za-z0-9_./?=&%:+-]{0,2000}")


def bearer(request: Request) -> str | None:
    """The Authorization header that the browser's cookie stands for."""
    token = request.cookies.get(COOKIE)
    return f"Bearer {token}" if token else None


def check_same_origin(request: Request) -> None:
    """Refuse a POST that another site made the browser send; raises AccessDenied.

    ``Sec-Fetch-Site`` where the browser says it, else ``Origin`` against ``Host``; a request with
    neither is no browser's form, and is refused.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        same = site == "same-origin"
    else:
        origin = request.headers.get("origin", "")
        same = bool(origin) and urlsplit(origin).netloc == request.headers.get("host")
    if not same:
        raise AccessDenied("this form was not sent from careweir's own page")


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields of a urlencoded form of bounded size; the last of a repeated field counts."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES_MAX:
            raise QuestionInvalid("the form is too large")
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=40)
    except ValueError:
        raise QuestionInvalid("the form cannot be read") from None
    return dict(pairs)


def keep_token(request: Request, response: Response, token: str) -> None:
    """Give the browser the token: HttpOnly, same site only, and Secure beyond loopback."""
    if len(token) > COOKIE_BYTES_MAX:
        raise NotAuthenticated("the token is too large for a browser session")
    secure = request.url.scheme == "https" or request.url.hostname not in _LOOPBACK
    response.set_cookie(
        COOKIE, token, path=COOKIE_PATH, httponly=True, samesite="strict", secure=secure
    )


def drop_token(response: Response) -> None:
    """Take the token back."""
    response.delete_cookie(COOKIE, path=COOKIE_PATH, httponly=True, samesite="strict")


def onwards(given: str | None, *, reader: bool = True) -> str:
    """Where to go after signing in: a page of the console and nothing else.

    Who does not read the record goes to the conflicts.
    """
    if given and _NEXT.fullmatch(given) and (reader or given.startswith("/console/conflicts")):
        return given
    return "/console/audit" if reader else "/console/conflicts"
