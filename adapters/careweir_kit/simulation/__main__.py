"""``python -m careweir_kit.simulation --tool FILE``: one simulated vendor, one process.

Prints one JSON line ``{"tool", "url", "control"}`` when it listens on 127.0.0.1, and ends at once
on SIGTERM. A bearer token, if any, comes in the environment variable that ``--bearer-env`` names,
so that it stands in no process list.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
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
    """Read the arguments and serve until SIGTERM. Exit 2: the tool file cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m careweir_kit.simulation")
    parser.add_argument("--tool", type=Path, required=True, help="a tool file")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bearer", help="refuse calls without this token")
    parser.add_argument("--bearer-env", help="the same, from an environment variable")
    parser.add_argument("--end-with-stdin", action="store_true", help="end when stdin is closed")
    options = parser.parse_args(argv)
    bearer = os.environ.get(options.bearer_env) if options.bearer_env else options.bearer
    try:
        tool = load_mapping(options.tool.read_text(encoding="utf-8"))
        server = _server(tool, options.seed, bearer)
    except (OSError, YamlRefused, KeyError, TypeError, ModuleNotFoundError) as error:
        sys.stderr.write(f"{options.tool.name}: cannot be simulated ({type(error).__name__})\n")
        return 2
    asyncio.run(_run(server, str(tool["tool"]), options.port, options.end_with_stdin))
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


async def _run(server: SimulatorServer, tool: str, port: int, end_with_stdin: bool) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, os._exit, 0)
    if end_with_stdin:  # so that no simulator outlives a launcher that was killed
        loop.add_reader(sys.stdin.fileno(), _end_at_eof)
    listening, bound = await server.listen(port)
    url = f"http://127.0.0.1:{bound}"
    line = {"tool": tool, "url": url, "control": url + CONTROL}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
    async with listening:
        await listening.serve_forever()


def _end_at_eof() -> None:
    if not os.read(sys.stdin.fileno(), 1024):
        os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
