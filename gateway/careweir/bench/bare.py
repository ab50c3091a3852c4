"""The baseline of the gateway benchmark: a FastAPI route that passes vendor calls on, no more.

``python -m careweir.bench.bare PLAN PORT``. PLAN is a JSON file: for each load the calls that the
gateway would make, ``{"load": [{"url", "body", "headers"}]}``. The route reads the caller's body
as the gateway must, makes the calls side by side over httpx with the same aiohttp transport, and
answers with the vendors' bytes. Same server, same event loop, same number of bytes in and out.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import orjson
import uvicorn
from fastapi import FastAPI, Request, Response
from httpx_aiohttp import AiohttpTransport


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a vendor."""

    url: str
    body: str
    headers: Mapping[str, str]


def bare_app(plan: Mapping[str, list[Call]]) -> FastAPI:
    """The application; its one client lives as long as it does."""
    client = httpx.AsyncClient(transport=AiohttpTransport(), trust_env=False)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with client:
            yield

    async def pass_on(call: Call) -> bytes:
        response = await client.post(call.url, content=call.body, headers=call.headers)
        response.raise_for_status()
        return response.content

    app = FastAPI(lifespan=lifespan, openapi_url=None)

    @app.post("/bare/{load}")
    async def bare(load: str, request: Request) -> Response:
        await request.body()
        bodies = await asyncio.gather(*(pass_on(call) for call in plan[load]))
        return Response(b"[" + b",".join(bodies) + b"]", media_type="application/json")

    @app.get("/readyz")
    async def ready() -> Response:
        return Response(b"{}", media_type="application/json")

    return app


def main(plan_file: str, port: str) -> None:
    """Serve until SIGTERM."""
    raw = orjson.loads(Path(plan_file).read_bytes())
    plan = {load: [Call(**call) for call in calls] for load, calls in raw.items()}
    uvicorn.run(bare_app(plan), host="127.0.0.1", port=int(port), log_config=None,
                access_log=False, server_header=False)  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
