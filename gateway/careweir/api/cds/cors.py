"""CORS for the CDS Hooks endpoints alone, and only for origins that the configuration names."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

PREFIX = "/cds-services"


class CdsCors:
    """Answers preflights before authentication; other paths never see it."""

    def __init__(self, app: ASGIApp, *, origins: Sequence[str]) -> None:
        self._app = app
        self._cors = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "Prefer"],
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        path = scope.get("path", "")
        mine = scope["type"] == "http" and (path == PREFIX or path.startswith(PREFIX + "/"))
        await (self._cors if mine else self._app)(scope, receive, send)
