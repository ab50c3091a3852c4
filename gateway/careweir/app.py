"""The web application: routes, limits and refusals around a gateway that serves."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse

from careweir import __version__
from careweir.api import docs, openapi
from careweir.api.cds import CdsCors
from careweir.api.cds import router as cds
from careweir.api.conflicts import router as conflicts
from careweir.api.fhir import router as fhir
from careweir.api.middleware import BodyCap, CrashToProblem, RequestId
from careweir.api.problems import on_bad_parameter, on_gateway_error, on_http_error
from careweir.api.routes import router
from careweir.api.smart import router as smart
from careweir.console import conflicts_router as console_conflicts
from careweir.console import router as console
from careweir.errors import GatewayError
from careweir.fanout import Watchdog
from careweir.settings import Settings
from careweir.wiring.house import load_house, watched
from careweir.wiring.overrides import Overrides
from careweir.wiring.serving import Serving, log_ready
from careweir.wiring.tokens import token_rules
from careweir_fhir import validate


def build_app(settings: Settings, overrides: Overrides | None = None) -> FastAPI:
    """The ASGI application; the record and the vendors' connections open with its lifespan."""
    given = overrides or Overrides()
    watchdog = Watchdog()
    house = watched(load_house(settings.config, endpoints=given.endpoints), watchdog)
    serving = Serving(settings, given, house, given.token_rules or token_rules(settings))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(validate.preload)  # so that no first answer waits for imports
        async with AsyncExitStack() as closing:
            await serving.start(app, watchdog, closing)
            log_ready(settings, house)
            gc.collect()
            gc.freeze()  # policies and rules live as long as the process: not searched again
            yield

    app = FastAPI(
        title="careweir",
        version=__version__,
        description="One gate between a health system and all of its AI tools.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        middleware=[
            Middleware(CrashToProblem),
            Middleware(RequestId),
            Middleware(CdsCors, origins=settings.cds_origins.split()),
            Middleware(BodyCap, bytes_max=settings.body_bytes_max, seconds_max=settings.body_s_max),
        ],
    )
    for part in (router, conflicts, fhir, cds, smart, console_conflicts, console):
        app.include_router(part)
    app.add_exception_handler(GatewayError, on_gateway_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_bad_parameter)
    document = openapi.complete(app.openapi())
    app.openapi = lambda: document  # type: ignore[method-assign]
    app.add_route("/docs", lambda _request: HTMLResponse(docs.page(document)))
    return app
