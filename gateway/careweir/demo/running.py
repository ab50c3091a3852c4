"""A whole careweir on loopback: simulators as processes, the gateway on a real socket."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import uvicorn
from fastapi import FastAPI

from careweir.api.rates import PER_S_MAX, Rate
from careweir.app import build_app
from careweir.demo.issuer import DemoIssuer
from careweir.demo.token_endpoint import PATH as TOKEN_PATH
from careweir.demo.token_endpoint import TokenEndpoint
from careweir.errors import ConfigInvalid
from careweir.paths import policies_dir
from careweir.settings import Settings
from careweir.wiring.house import load_house
from careweir.wiring.overrides import Overrides, utc_now
from careweir.wiring.serving import REQUESTS_DRAIN_S
from careweir_kit.simulation.launcher import SimulatorHandle, simulators

SEED = 20260302
HOLD_S = 3.0  # a real gateway holds until a person lets go
FAILURES_MIN = 60  # every fault can be shown one after the other before a breaker opens


@dataclass(frozen=True, slots=True)
class Running:
    """What a demonstration is reached by; ``as_json`` is ``demo.json`` (CONTRACT §2)."""

    base_url: str
    tokens: dict[str, str]
    simulators: dict[str, SimulatorHandle]
    data: Path
    database_url: str
    client: dict[str, Any]  # an application that gets tokens by itself: ``demo-client.json``

    def as_json(self) -> dict[str, Any]:
        """The content of ``demo.json``."""
        return {
            "base_url": self.base_url,
            "tokens": self.tokens,
            "simulators": {
                name: {"url": one.url, "control": one.control}
                for name, one in self.simulators.items()
            },
            "database_url": self.database_url,
        }


@asynccontextmanager
async def running(settings: Settings, *, host: str, port: int) -> AsyncIterator[Running]:
    """Start simulators and gateway, yield when both listen, stop both at the end."""
    issuer = DemoIssuer(audience=settings.token_audience)
    house = load_house(settings.config)
    simulated = [tool for tool in house.tools.values() if tool.simulator is not None]
    folder = policies_dir(settings.config) / "tools"
    bearers = {name: secrets.token_urlsafe(16) for tool in simulated for name in tool.auth.secrets}
    async with simulators(
        [folder / f"{tool.tool}.yaml" for tool in simulated], seed=SEED, bearers=bearers
    ) as vendors:
        overrides = Overrides(
            endpoints={name: one.url for name, one in vendors.items()},
            secrets=bearers,
            token_rules=issuer.rules(),
            seed=SEED,
            rate=Rate(per_s=PER_S_MAX, burst=1_000_000),  # a benchmark must not meet it
            hold_s=HOLD_S,
            failures_min=FAILURES_MIN,
        )
        app, endpoint = build_app(settings, overrides), TokenEndpoint(issuer, utc_now)
        app.add_route(TOKEN_PATH, endpoint.answer, methods=["POST"], include_in_schema=False)
        async with _listening(app, host, port) as base_url:
            yield Running(
                base_url=base_url,
                client=endpoint.client(base_url),
                tokens=issuer.tokens(utc_now()),
                simulators=dict(vendors),
                data=settings.data,
                database_url=_database_url(settings),
            )


class _Server(uvicorn.Server):
    """Leaves the signals to the command that runs it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


@asynccontextmanager
async def _listening(app: FastAPI, host: str, port: int) -> AsyncIterator[str]:
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=REQUESTS_DRAIN_S,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            if task.done():
                raise ConfigInvalid(f"the gateway cannot listen on {host}:{port}")
            await asyncio.sleep(0.02)
        bound = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://{host}:{bound}"
    finally:
        server.should_exit = True
        await asyncio.gather(task, return_exceptions=True)


def write_demo_json(demo: Running) -> Path:
    """Write ``demo.json`` whole or not at all; it holds tokens, so only its owner may read it."""
    _write(demo.data / "demo-client.json", demo.client)
    return _write(demo.data / "demo.json", demo.as_json())


def _write(file: Path, value: dict[str, Any]) -> Path:
    fresh = file.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(orjson.dumps(value, option=orjson.OPT_INDENT_2))
    fresh.replace(file)
    return file


def _database_url(settings: Settings) -> str:
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return f"sqlite:///{(settings.data / 'audit.db').resolve()}"
