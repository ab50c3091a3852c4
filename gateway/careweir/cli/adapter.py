"""``careweir adapter``: the wire formats, the tools on each, and recordings run through them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from careweir.app import load_house
from careweir.cli.out import Refused, emit, read_input, say
from careweir.cli.serve import Config
from careweir_kit.adapter import VendorAnswer
from careweir_kit.conformance import check_adapter
from careweir_kit.registry import LoadedAdapter, discover_adapters, load_tool
from careweir_kit.registry import replay as replay_answer
from careweir_kit.tool import Tool

app = typer.Typer(no_args_is_help=True, help="Vendor adapters and the tools on them.")


@app.command("list")
def list_adapters(config: Config = None) -> None:
    """Adapters with their tier, and the tools on each (JSON).

    Example: careweir adapter list
    """
    house = load_house(config)
    emit(
        {
            "adapters": [
                {
                    "adapter": name,
                    "title": loaded.manifest.title,
                    "protocol": loaded.manifest.protocol,
                    "tier": loaded.manifest.quality,
                    "transport": loaded.manifest.transport,
                    "tools": [t.tool for t in house.tools.values() if t.adapter == name],
                    "limits": list(loaded.manifest.limits),
                }
                for name, loaded in house.adapters.items()
            ]
        }
    )


@app.command()
def check(name: Annotated[str, typer.Argument(help="An adapter's folder name.")]) -> None:
    """Run the conformance checks that every adapter must pass. Exit 1 when one fails.

    Example: careweir adapter check oip_v2
    """
    adapters = discover_adapters()
    if name not in adapters:
        raise Refused(f"no such adapter: known are {', '.join(adapters)}")
    checks = check_adapter(adapters[name])
    for one in checks:
        say(f"{'pass' if one.passed else 'FAIL'}  {one.name}  {one.detail}")
    emit({"adapter": name, "passed": all(one.passed for one in checks),
          "checks": [{"name": c.name, "passed": c.passed, "detail": c.detail} for c in checks]},
         )  # fmt: skip
    raise typer.Exit(0 if all(one.passed for one in checks) else 1)


@app.command()
def replay(
    name: Annotated[str, typer.Argument(help="An adapter (with its example tool), or a tool.")],
    file: Annotated[str, typer.Argument(help="A recorded vendor answer: its body, or -.")],
    status: Annotated[int, typer.Option(min=100, max=599, help="HTTP status.")] = 200,
    header: Annotated[list[str] | None, typer.Option(help="K:V, repeatable.")] = None,
    tool_file: Annotated[Path | None, typer.Option(help="Another tool file.")] = None,
    config: Config = None,
) -> None:
    """Run a recorded answer through an adapter: outcome, completeness, findings, model, error.

    Example: careweir adapter replay oip_v2 answer.json --status 200
    """
    adapter, tool = _resolve(name, tool_file, config)
    headers = {"content-type": adapter.manifest.content_type} | _headers(header or [])
    answer = VendorAnswer(status, headers, read_input(file))
    emit(replay_answer(adapter, tool, answer))


def _resolve(name: str, tool_file: Path | None, config: Path | None) -> tuple[LoadedAdapter, Tool]:
    house = load_house(config)
    if tool_file is not None:
        tool = load_tool(tool_file, house.adapters)
        return house.adapters[tool.adapter], tool
    if name in house.tools:
        return house.adapters[house.tools[name].adapter], house.tools[name]
    if name in house.adapters:
        example = house.adapters[name].example_tool
        if example is None:
            raise Refused("this adapter ships no example tool; name a tool or give --tool-file")
        return house.adapters[name], example
    raise Refused("no adapter and no tool of this name; see careweir adapter list")


def _headers(pairs: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for pair in pairs:
        key, colon, value = pair.partition(":")
        if not colon:
            raise Refused("--header takes K:V")
        headers[key.strip().lower()] = value.strip()
    return headers
