"""``careweir drill``: rehearse the outages of a configuration."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import httpx
import orjson
import typer
from rich.console import Console
from rich.table import Table

from careweir.cli.options import Config
from careweir.cli.out import say
from careweir.demo.inpatient import ASKED_BY, inpatient
from careweir.demo.running import running
from careweir.demo.tour import SCENES
from careweir.drill.goals import Goal, goals
from careweir.drill.rehearse import Case, Plan, rehearse
from careweir.drill.report import as_html, told
from careweir.drill.scenes import Played
from careweir.drill.target import Link, Target, read_target
from careweir.log import configure
from careweir.question import rfc3339
from careweir.settings import load_settings
from careweir.wiring.overrides import utc_now


def drill(
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of a running `serve --demo`.")
    ] = None,
    target: Annotated[
        Path | None, typer.Option(help="Instead: a demo.json that describes a staging gateway.")
    ] = None,
    report: Annotated[Path, typer.Option(help="The report, one HTML file.")] = Path("drill.html"),
    flood: Annotated[int, typer.Option(min=2, help="Questions while all tools are down.")] = 40,
    only: Annotated[str | None, typer.Option(help="Rehearse this capability alone.")] = None,
    config: Config = None,
) -> None:
    """Rehearse outages: each vendor down, slow, wrong, all of them down, the record down.

    Needs simulated vendors: it works on a running demo or staging gateway, and starts a demo of
    its own where there is none. Prints what callers saw and the goals in figures, and writes a
    report with a picture. Exit 0 when every promise held, 1 otherwise.

    Example: careweir drill --data ./careweir-data --report drill.html
    """
    configure(json=True, level=50)
    plan = Plan(flood=flood, only=only)
    file = target or (load_settings(data=data).data / "demo.json")
    if file.is_file():
        held = asyncio.run(_drill(read_target(file.read_bytes()), plan, report))
    elif target is not None or data is not None:
        say(f"{file} is not there: is the gateway running?")
        raise typer.Exit(2)
    else:
        say("no gateway is running here: starting a demonstration of its own")
        held = asyncio.run(_own(plan, report, config))
    raise typer.Exit(0 if held else 1)


async def _own(plan: Plan, report: Path, config: Path | None) -> bool:
    folder = Path(tempfile.mkdtemp(prefix="careweir-drill-"))
    try:
        settings = load_settings(data=folder, config=config)
        async with running(settings, host="127.0.0.1", port=0) as up:
            return await _drill(read_target(orjson.dumps(up.as_json())), plan, report)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _drill(target: Target, plan: Plan, report: Path) -> bool:
    console = Console(width=118, highlight=False)
    cases = {name: Case(role, inpatient, purpose) for name, (role, purpose) in ASKED_BY.items()}
    cases |= {scene.capability: Case(scene.role, scene.chart) for scene in reversed(SCENES)}
    played: list[Played] = []
    async with httpx.AsyncClient(base_url=target.base_url, timeout=60, trust_env=False) as client:
        link = Link(target, client)
        async for one in rehearse(link, cases, plan, now=utc_now()):
            played.append(one)
            _show(console, one)
        spoken = {one.scene.capability for one in played}
        for capability in await link.capabilities():
            if capability["tools"] and capability["name"] not in spoken:
                console.print(f"not rehearsed: {capability['name']} (no patient for it, or no "
                              "simulator)")  # fmt: skip
        nameless = {tool for tool in await link.nameless() if tool in target.controls}
        for tool in sorted(nameless.intersection(t for one in played for t in one.scene.tools)):
            console.print(f"not rehearsed: {tool}: another patient (its format names nobody)")
    table = goals(played, deadline_s=plan.deadline_ms / 1000)
    _goals(console, table)
    text = as_html(played, table, when=rfc3339(utc_now()), base_url=target.base_url)
    await asyncio.to_thread(report.write_text, text, encoding="utf-8")
    say(f"report: {report}")
    return bool(played) and not any(one.broken for one in played)


def _show(console: Console, played: Played) -> None:
    scene = played.scene
    tools = dict.fromkeys(tool for seen in played.seen for tool in seen.statuses)
    words = "  ".join(
        f"{tool}: {' / '.join(f'{n} {status}' for status, n in told(played, tool).items())}"
        for tool in tools
    )
    slowest = max((seen.seconds for seen in played.seen), default=0.0)
    refusals = {str(seen.body["code"]) for seen in played.seen if "code" in seen.body}
    mark = "[bold red]✗[/]" if played.broken else "✓"
    console.print(f"{mark} [bold]{scene.capability} · {scene.title}[/]  "
                  f"{len(played.seen)} answers, slowest {slowest * 1000:.0f} ms, "
                  f"{played.calls} calls, {played.intents} intents")  # fmt: skip
    console.print(f"    {words or ', '.join(sorted(refusals))}")
    for promise in played.broken:
        console.print(f"    [bold red]{promise}[/]")


def _goals(console: Console, table: Sequence[Goal]) -> None:
    shown = Table("goal", "seen", "limit", "", title="Goals")
    for goal in table:
        shown.add_row(goal.what, f"{goal.value:.4g} {goal.unit}", f"≤ {goal.limit:g} {goal.unit}",
                      "met" if goal.met else "missed")  # fmt: skip
    console.print(shown)
