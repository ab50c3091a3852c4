"""``python -m careweir_kit.simulation --tool FILE``: simulated vendors, one port each.

Prints one JSON line ``{"tool", "url", "control"}`` for each tool file when it listens on 127.0.0.1,
and ends at once on SIGTERM. Bearer tokens, if any, come in the environment variable that
``--bearers-env`` names, a JSON object by tool, so that they stand in no process list.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, cast

from careweir_kit.simulation.model import VendorSimulator
from careweir_kit.simulation.server import CONTROL, SimulatorServer, Vendor
from careweir_kit.strict_yaml import YamlRefused, load_mapping

_BYTES_CAP = 1_048_576


def main(argv: Sequence[str] | None = None) -> int:
    """Read the arguments and serve until SIGTERM. Exit 2: a tool file cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m careweir_kit.simulation")
    parser.add_argument("--tool", type=Path, required=True, action="append",
                        help="a tool file; once for each vendor")  # fmt: skip
    parser.add_argument("--port", type=int, default=0, help="of the only tool; 0 takes a free one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bearers-env", help="environment variable: refuse calls without these")
    parser.add_argument("--end-with-stdin", action="store_true", help="end when stdin is closed")
    options = parser.parse_args(argv)
    if options.port and len(options.tool) > 1:
        parser.error("--port is for one tool")
    bearers = json.loads(os.environ[options.bearers_env]) if options.bearers_env else {}
    servers: dict[str, SimulatorServer] = {}
    for file in options.tool:
        try:
            tool = load_mapping(file.read_text(encoding="utf-8"))
            name = str(tool["tool"])
            servers[name] = _server(tool, options.seed, bearers.get(name))
        except (OSError, YamlRefused, KeyError, TypeError, ModuleNotFoundError) as error:
            sys.stderr.write(f"{file.name}: cannot be simulated ({type(error).__name__})\n")
            return 2
    asyncio.run(_run(servers, options.port, options.end_with_stdin))
    return 0


def _server(tool: Mapping[str, Any], seed: int, bearer: str | None) -> SimulatorServer:
    simulator = tool["simulator"]
    vendor = cast(VendorSimulator, import_module(f"{_package(str(tool['adapter']))}.simulator"))
    return SimulatorServer(
        Vendor(
            answer=partial(vendor.answer, tool, simulator["brain"]),
            seed=seed,
            bytes_cap=int(tool.get("answer_bytes_max", _BYTES_CAP)),
            bearer=bearer,
            auth=tool.get("auth") or {},
        ),
        latency_ms=int(simulator.get("latency_ms", 20)),
    )


def _package(adapter: str) -> str:
    for entry_point in entry_points(group="careweir.adapters"):
        if entry_point.value.rpartition(".")[2] == adapter:
            return entry_point.value
    return f"careweir_adapters.{adapter}"


async def _run(servers: Mapping[str, SimulatorServer], port: int, end_with_stdin: bool) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, os._exit, 0)
    if end_with_stdin:  # so that no simulator outlives a launcher that was killed
        loop.add_reader(sys.stdin.fileno(), _end_at_eof)
    async with AsyncExitStack() as listening:
        for tool, server in servers.items():
            socket, bound = await server.listen(port)
            await listening.enter_async_context(socket)
            url = f"http://127.0.0.1:{bound}"
            line = {"tool": tool, "url": url, "control": url + CONTROL}
            sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def _end_at_eof() -> None:
    if not os.read(sys.stdin.fileno(), 1024):
        os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
