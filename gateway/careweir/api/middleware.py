"""Pure ASGI middleware: no BaseHTTPMiddleware, which costs 200 µs a layer."""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from careweir.api.problems import on_crash, on_too_large
from careweir.ids import new_id

_REQUEST_ID = re.compile(rb"^[A-Za-z0-9_.-]{1,64}$")
_CSP = b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_SECURITY = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", _CSP),
    (b"referrer-policy", b"no-referrer"),
]


class RequestId:
    """Echo an ``X-Request-Id`` that is harmless, or make one; add the security headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"")
        request_id = given if _REQUEST_ID.fullmatch(given) else new_id("req").encode()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in message["headers"]}
                more = [pair for pair in _SECURITY if pair[0] not in names]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id), *more]
            await send(message)

        await self._app(scope, receive, send_with_headers)


class BodyCap:
    """Refuse a body above the limit, by its declared length and by counting what arrives."""

    def __init__(self, app: ASGIApp, *, bytes_max: int) -> None:
        self._app = app
        self._bytes_max = bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._bytes_max:
            await self._refuse(scope, receive, send)
            return
        counter = _Counter(receive, self._bytes_max)
        try:
            await self._app(scope, counter, send)
        except _TooLarge:
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = on_too_large(scope["path"], self._bytes_max)
        response.headers["Connection"] = "close"
        await response(scope, receive, send)


class _TooLarge(Exception):
    """The body went over the cap while it was being read."""


class _Counter:
    def __init__(self, receive: Receive, bytes_max: int) -> None:
        self._receive = receive
        self._left = bytes_max

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise _TooLarge
        return message


class CrashToProblem:
    """The outermost net: an error that nothing caught becomes a 500 without any of its words."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:
            if scope["type"] != "http" or started:
                raise
            response = await on_crash(scope["path"], error)
            await response(scope, receive, send)
