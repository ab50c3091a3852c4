"""``careweir serve``: the gateway."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from careweir.app import build_app
from careweir.cli.options import Config
from careweir.cli.out import say
from careweir.demo.running import running, write_demo_json
from careweir.log import configure
from careweir.settings import Settings, load_settings
from careweir.wiring.serving import REQUESTS_DRAIN_S

Data = Annotated[Path | None, typer.Option("--data", help="Folder of the embedded SQLite.")]
Url = Annotated[str | None, typer.Option("--database-url", help="PostgreSQL instead of SQLite.")]


def serve(
    demo: Annotated[
        bool, typer.Option("--demo", help="Also simulators and a demo token issuer.")
    ] = False,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 8080,
    data: Data = None,
    database_url: Url = None,
    config: Config = None,
) -> None:
    """Run the gateway.

    With --demo it starts the vendor simulators too and, when ready, writes DATA/demo.json: the
    base URL, a token for each role, and each simulator's control URL. Without --demo there is no
    token issuer at all: set CAREWEIR_TOKEN_ISSUER and CAREWEIR_TOKEN_JWKS.

    Example: careweir serve --demo --port 8080 --data ./careweir-data
    """
    settings = load_settings(data=data, database_url=database_url, config=config)
    configure(json=settings.log_json)
    if demo:
        asyncio.run(_serve_demo(settings, host, port))
        return
    uvicorn.run(
        build_app(settings),
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=REQUESTS_DRAIN_S,
    )


async def _serve_demo(settings: Settings, host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    async with running(settings, host=host, port=port) as up:
        file = write_demo_json(up)
        say(f"careweir demo gateway on {up.base_url}; tokens and simulators in {file}")
        await stop.wait()
    file.unlink(missing_ok=True)
