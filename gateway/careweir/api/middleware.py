"""Pure ASGI middleware: no BaseHTTPMiddleware, which costs 200 µs a layer."""

from __future__ import annotations

import asyncio
import re

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from careweir.api.problems import on_crash, on_shutdown, on_too_large, on_too_slow
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
    """Refuse a body above the limit, by its declared length and by counting what arrives.

    A body that does not arrive whole within ``seconds_max`` is refused too: who sends a byte a
    minute would otherwise hold a connection and its memory for as long as it likes.
    """

    def __init__(self, app: ASGIApp, *, bytes_max: int, seconds_max: float) -> None:
        self._app = app
        self._bytes_max = bytes_max
        self._seconds_max = seconds_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._bytes_max:
            await _refuse(on_too_large(path, self._bytes_max), scope, receive, send)
            return
        counter = _Counter(receive, self._bytes_max, self._seconds_max)
        try:
            await self._app(scope, counter, send)
        except _TooLarge:
            await _refuse(on_too_large(path, self._bytes_max), scope, receive, send)
        except _TooSlow:
            await _refuse(on_too_slow(path, self._seconds_max), scope, receive, send)


async def _refuse(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    response.headers["Connection"] = "close"
    await response(scope, receive, send)


class _TooLarge(Exception):
    """The body went over the cap while it was being read."""


class _TooSlow(Exception):
    """The body did not arrive whole in time."""


class _Counter:
    """Counts bytes and time until the body is whole; what comes after it is no body."""

    def __init__(self, receive: Receive, bytes_max: int, seconds_max: float) -> None:
        self._receive = receive
        self._left = bytes_max
        self._seconds_max = seconds_max
        self._until: float | None = None
        self._whole = False

    async def __call__(self) -> Message:
        if self._whole:
            return await self._receive()
        if self._until is None:
            self._until = asyncio.get_running_loop().time() + self._seconds_max
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            raise _TooSlow from None
        self._whole = not message.get("more_body", False)
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
        except asyncio.CancelledError:  # the server ends and waits no longer
            if scope["type"] == "http" and not started:
                await on_shutdown(scope["path"])(scope, receive, send)
            raise
        except Exception as error:
            if scope["type"] != "http" or started:
                raise
            response = await on_crash(scope["path"], error)
            await response(scope, receive, send)
