"""``careweir adapter``: the wire formats, the tools on each, and recordings run through them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from careweir.cli.new import new_adapter, new_tool
from careweir.cli.options import Config
from careweir.cli.out import Refused, emit, read_input, say
from careweir.log import configure
from careweir.rehearse import Rehearsal
from careweir.wiring.house import load_house
from careweir_kit.adapter import VendorAnswer
from careweir_kit.conformance import Report, check_adapter, check_tool_folder
from careweir_kit.conformance import accept as accept_golden
from careweir_kit.errors import ToolFileInvalid
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
def new(
    name: Annotated[str, typer.Argument(help="acme-risk for a tool, acme_risk with --code.")],
    code: Annotated[bool, typer.Option("--code", help="An adapter in code, as a package.")] = False,
    into: Annotated[Path, typer.Option(help="Where the new folder is made.")] = Path(),
) -> None:
    """Start a tool file on the declarative adapter, or with --code a package with an adapter.

    Example: careweir adapter new acme-risk

    Example: careweir adapter new acme_risk --code
    """
    for file in (new_adapter if code else new_tool)(name, into):
        typer.echo(file.as_posix())


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="An adapter, a tool, or a tool's own folder.")],
    url: Annotated[str | None, typer.Option(help="Base URL of a real server to ask too.")] = None,
    tool_file: Annotated[Path | None, typer.Option(help="Another tool file.")] = None,
    secrets_dir: Annotated[Path | None, typer.Option(help="Secrets by name, for --url.")] = None,
    accept: Annotated[bool, typer.Option(help="Write golden files from what comes out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
    config: Config = None,
) -> None:
    """Grade an adapter bronze, silver or gold, with evidence. Exit 1 when its claim does not hold.

    Example: careweir adapter check oip_v2

    Example: careweir adapter check oip_v2 --url https://models.example.org --json
    """
    configure(level=logging.ERROR)  # what a fault does is in the report
    own = Path(name) if tool_file is None and _file_in(Path(name)).is_file() else None
    found = _resolve(name, _file_in(own) if own else tool_file, config)
    adapter, tool = (replace(found[0], folder=own), found[1]) if own else found
    if accept:
        for changed in _accepted(adapter, tool):
            say(f"golden/{changed}.json written: read it before you keep it")
    secrets = {name: read_input(str(secrets_dir / name)).decode().strip()
               for name in tool.auth.secrets} if secrets_dir else None  # fmt: skip
    call = Rehearsal(secrets, real=url)
    if own is not None:
        report = check_tool_folder(own, discover_adapters(), call=call, url=url)
    else:
        report = check_adapter(adapter, tool=tool, call=call, url=url)
    if as_json:
        emit(report.as_json())
    else:
        for line in _lines(report):
            typer.echo(line)
    raise typer.Exit(0 if report.passed else 1)


def _file_in(folder: Path) -> Path:
    """The tool file of a tool's own folder."""
    return folder / f"{folder.resolve().name}.yaml"


def _accepted(adapter: LoadedAdapter, tool: Tool) -> list[str]:
    try:
        return accept_golden(adapter, tool)
    except ValueError as error:
        raise Refused(str(error)) from None


def _lines(report: Report) -> Iterator[str]:
    tier = report.tier or "none"
    kept = "kept" if report.passed else "NOT kept"
    yield f"{report.adapter}: {tier} (claims {report.claimed}: {kept})"
    for check in report.checks:
        reason = f"  [exempt: {check.exempt}]" if check.state == "exempt" else ""
        yield f"  {check.tier:6}  {check.state:6}  {check.name}: {check.detail}{reason}"


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
        try:
            tool = load_tool(tool_file, house.adapters)
        except ToolFileInvalid as invalid:
            raise Refused(str(invalid)) from None
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
