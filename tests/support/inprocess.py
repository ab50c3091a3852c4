"""A gateway and simulated vendors in the test's own process and event loop, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from careweir.api.auth import TokenRules
from careweir.app import build_app
from careweir.settings import Settings
from careweir.wiring.house import load_house
from careweir.wiring.overrides import Overrides
from careweir_kit.simulation.faults import State
from careweir_kit.simulation.model import SimResponse
from careweir_kit.simulation.server import SimulatorServer, Vendor

KEY = ECKey.generate_key("P-256", parameters={"kid": "k1"}, private=True)
RULES = TokenRules(
    "urn:issuer", "careweir", KeySet([ECKey.import_key(KEY.as_dict(private=False))]), 3600
)
SCOPE = "capability/*.infer system/AuditEvent.rs"
CLOSED = "http://127.0.0.1:9"  # discard: nothing listens


def bearer(
    role: str = "ed-physician", purpose: str = "TREAT", scope: str = SCOPE, *, client: str = "ehr"
) -> dict[str, str]:
    """The header of somebody in this role, through an application."""
    now = int(datetime.now(UTC).timestamp())
    claims = {
        "iss": "urn:issuer", "aud": "careweir", "sub": f"Practitioner/{role}", "client_id": client,
        "iat": now, "exp": now + 300, "scope": scope, "role": role,
        "purposes": [purpose],
    }  # fmt: skip
    token = jwt.encode({"alg": "ES256", "kid": "k1"}, claims, KEY, algorithms=["ES256"])
    return {"Authorization": f"Bearer {token}"}


@dataclass(frozen=True)
class Simulated:
    """A vendor's base URL and its switchboard."""

    url: str
    state: State


@asynccontextmanager
async def simulated(
    name: str, *, changed: Callable[[SimResponse], SimResponse] = lambda answer: answer
) -> AsyncIterator[Simulated]:
    """The simulator of one shipped tool, listening on loopback; ``changed`` spoils its answers."""
    tool = load_house(None).tools[name]
    assert tool.simulator is not None
    module: Any = import_module(f"careweir_adapters.{tool.adapter}.simulator")
    answer: Callable[..., Any] = partial(
        module.answer, tool.model_dump(mode="json"), tool.simulator.brain
    )
    vendor = Vendor(
        answer=lambda request: changed(answer(request)),
        seed=1,
        bytes_cap=tool.answer_bytes_max,
        bearer=None,
    )
    server = SimulatorServer(vendor, latency_ms=0)
    listening, port = await server.listen(0)
    try:
        yield Simulated(f"http://127.0.0.1:{port}", server.state)
    finally:
        listening.close()


@dataclass(frozen=True)
class InProcess:
    """A gateway without a socket of its own."""

    app: FastAPI
    client: httpx.AsyncClient

    async def ask(self, question: dict[str, Any], role: str = "ed-physician") -> httpx.Response:
        """``POST /v1/inferences`` as a role."""
        return await self.client.post("/v1/inferences", json=question, headers=bearer(role))

    async def tool(self, name: str) -> Any:
        """The row of one tool."""
        return (await self.client.get(f"/v1/tools/{name}", headers=bearer())).json()


@asynccontextmanager
async def gateway(
    data: Path, endpoints: Mapping[str, str], **settings: Any
) -> AsyncIterator[InProcess]:
    """A gateway as in production, its tools at ``endpoints`` or at a closed port."""
    house = load_house(settings.get("config"))
    overrides = Overrides(
        endpoints={name: endpoints.get(name, CLOSED) for name in house.tools},
        secrets={name: "s" for tool in house.tools.values() for name in tool.auth.secrets},
        token_rules=RULES,
        seed=1,
    )
    app = build_app(Settings(data=data, **settings), overrides)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://127.0.0.1", timeout=60
        ) as client,
    ):
        yield InProcess(app, client)


def run(work: Any, *, seconds: float = 30) -> Any:
    """Run on a real event loop, but not for ever."""
    return asyncio.run(asyncio.wait_for(work, seconds))
