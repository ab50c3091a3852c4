"""``careweir demo``: the main job, end to end, on this machine."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from careweir.audit import AuditKeys, verify
from careweir.cli.audit import verdict
from careweir.cli.options import Config
from careweir.cli.out import Refused, read_input
from careweir.demo.running import Running, running
from careweir.demo.show import show
from careweir.demo.tour import Stop, ask_about, tour
from careweir.errors import QuestionInvalid
from careweir.log import configure
from careweir.question import parse_moment
from careweir.settings import Settings, load_settings
from careweir.wiring.overrides import utc_now
from careweir_kit.strict_json import JsonRefused, decode


def demo(
    bundle: Annotated[
        str | None, typer.Option(help="Your own patient: a FHIR R4 Bundle, or -.")
    ] = None,
    config: Config = None,
) -> None:
    """Show the main job: simulators and gateway on loopback, several patients, things going wrong.

    With --bundle it asks about your patient instead. Exit 0 when everything went as promised.

    Example: careweir demo --bundle chart.json
    """
    configure(json=True, level=40)
    chart = _read(bundle) if bundle is not None else None
    folder = Path(tempfile.mkdtemp(prefix="careweir-demo-"))
    try:
        settings = load_settings(data=folder, config=config)
        good = asyncio.run(_demo(settings, chart))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    raise typer.Exit(0 if good else 1)


@dataclass(frozen=True, slots=True)
class Chart:
    """The caller's own chart: as it was given, and what can be read of it."""

    given: bytes
    resources: list[dict[str, Any]]


def _read(file: str) -> Chart:
    """Read it before anything is started; raises Refused."""
    given = read_input(file)
    try:
        bundle = decode(given)
    except JsonRefused as error:
        raise Refused(f"the bundle cannot be read: {error}") from None
    return Chart(given, _resources(bundle))


async def _demo(settings: Settings, chart: Chart | None) -> bool:
    console = Console(width=118, highlight=False)
    good = True
    async with running(settings, host="127.0.0.1", port=0) as up:
        console.print(f"gateway on {up.base_url}, {len(up.simulators)} vendor simulators: "
                      f"{', '.join(up.simulators)}")  # fmt: skip
        stops = tour(up, utc_now()) if chart is None else _about(up, chart)
        number = 0
        async for stop in stops:
            number += 1
            show(console, number, stop)
            if not stop.as_promised:
                console.print("[bold red]this is not what was promised[/]")
                good = False
    console.rule("[bold]The record")
    return _verified(console, settings) and good


def _about(up: Running, chart: Chart) -> AsyncIterator[Stop]:
    people = [one for one in chart.resources if one.get("resourceType") == "Patient"]
    subject = str(people[0].get("id", "unknown")) if people else "unknown"
    as_of = newest(chart.resources)
    return ask_about(up, chart.given, subject=f"Patient/{subject}", as_of=as_of)


def _resources(bundle: Any) -> list[dict[str, Any]]:
    """What can be read of a chart, however odd; the gateway is the one that judges it."""
    entries = bundle.get("entry") if isinstance(bundle, dict) else None
    resources = [entry.get("resource") for entry in entries or [] if isinstance(entry, dict)]
    return [resource for resource in resources if isinstance(resource, dict)]


def newest(resources: list[dict[str, Any]]) -> datetime | None:
    """When the newest measurement was made: a historic chart's windows count back from there."""
    moments = []
    for resource in resources:
        if resource.get("resourceType") in ("Observation", "DiagnosticReport"):
            try:
                moments.append(parse_moment(str(resource.get("effectiveDateTime")), path=""))
            except QuestionInvalid:
                continue
    past = [moment for moment in moments if moment <= utc_now()]
    return max(past) if past else None


def _verified(console: Console, settings: Settings) -> bool:
    """A clean verify; then one byte of a copy is changed and verify must name the record."""
    keys = AuditKeys.load(settings.data / "keys")
    clean = verify(data_dir=settings.data, keys=keys)
    console.print(f"careweir audit verify → exit {clean.exit_code}: {verdict(clean)}")
    copy = settings.data.with_name(settings.data.name + "-copy")
    shutil.copytree(settings.data, copy)
    try:
        where = _change_one_byte(copy / "audit.db")
        tampered = verify(data_dir=copy, keys=keys)
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    console.print(f"one byte changed in a copy of the database (offset {where})")
    console.print(f"careweir audit verify → exit {tampered.exit_code}: {verdict(tampered)}")
    return clean.exit_code == 0 and tampered.exit_code == 1 and tampered.first_bad is not None


def _change_one_byte(database: Path) -> int:
    """Change the purpose of an entry from TREAT to TREAY, as somebody covering tracks might."""
    content = bytearray(database.read_bytes())
    where = content.index(b'"purpose":"TREAT"') + len(b'"purpose":"TREA')
    content[where] ^= 0x0D
    database.write_bytes(bytes(content))
    return where
