"""``careweir bench``: ratios against baselines of the same run, beside their budgets."""

from __future__ import annotations

import logging
import os
import platform
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from careweir.bench import audit, conflicts, faults, fhir, gateway, minimise
from careweir.bench.figure import Figure
from careweir.bench.process import CannotMeasure
from careweir.bench.size import FULL, QUICK, SEED, Size
from careweir.cli.out import Refused, emit, say
from careweir.log import configure

NOTE = (
    "Ratios against baselines of the same run; budgets are of an idle machine. A machine that "
    "others share is noisy: compare ratios of one run, never lone absolutes of two."
)
BENCHMARKS: Mapping[str, Callable[[Size], Iterable[Figure]]] = {
    "minimise": minimise.measure,
    "audit": audit.measure,
    "conflicts": conflicts.measure,
    "fhir": fhir.measure,
    "gateway": gateway.measure,
    "faults": faults.measure,
}


class Which(StrEnum):
    """The benchmarks by name."""

    minimise = "minimise"
    audit = "audit"
    conflicts = "conflicts"
    fhir = "fhir"
    gateway = "gateway"
    faults = "faults"
    all = "all"


def bench(
    which: Annotated[Which, typer.Argument(help="Which benchmark.")] = Which.all,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
    quick: Annotated[bool, typer.Option(help="Tiny sizes: see that it runs, not figures.")] = False,
    rows: Annotated[
        int | None, typer.Option(min=40, help="Entries of the record that audit measures.")
    ] = None,
    scratch: Annotated[
        Path | None, typer.Option(help="Folder on the disk to measure; else the temporary one.")
    ] = None,
) -> None:
    """Measure the hot parts and the whole gateway, each beside a baseline of the same run.

    Prints value, baseline, ratio, budget, and whether it is within or over. The exit code is 0
    either way: a busy machine is no defect. Takes some minutes on two idle cores, most of
    them for writing a record of a million entries (2.5 GB); --rows makes it smaller or larger.

    Example: careweir bench --json minimise
    """
    configure(level=logging.CRITICAL)  # the faults are meant, and stdout is the table's
    if scratch is not None and not scratch.is_dir():
        raise Refused(f"no such folder: {scratch}")
    size = replace(QUICK if quick else FULL, scratch=scratch)
    size = size if rows is None else replace(size, verify_events=rows)
    figures = list(_measured(list(BENCHMARKS) if which is Which.all else [which.value], size))
    if json:
        emit(_document(figures, quick))
    else:
        _show(figures)


def _measured(names: Iterable[str], size: Size) -> Iterable[Figure]:
    for name in names:
        say(f"measuring {name} ...")
        try:
            yield from BENCHMARKS[name](size)
        except CannotMeasure as reason:
            say(f"{name}: not measured: {reason}")


def _document(figures: Iterable[Figure], quick: bool) -> dict[str, Any]:
    return {
        "note": NOTE,
        "seed": SEED,
        "quick": quick,
        "machine": {"python": platform.python_version(), "cpus": os.cpu_count()},
        "figures": [figure.as_json() for figure in figures],
    }


def _show(figures: Iterable[Figure]) -> None:
    table = Table(title="careweir bench", title_justify="left")
    for name in ("benchmark", "what"):
        table.add_column(name)
    for name in ("value", "baseline", "ratio", "budget", ""):
        table.add_column(name, justify="right")
    for figure in figures:
        row = figure.as_json()
        ratio = "-" if figure.ratio is None else f"{figure.ratio:.3g} ×"
        table.add_row(
            figure.benchmark,
            figure.what,
            f"{_number(figure.value)} {figure.unit}",
            f"{_number(figure.baseline)} {figure.unit}\n({figure.baseline_what})",
            ratio,
            row["budget"] or "-",
            {"within": "within", "over": "[bold]over[/]", "no budget": ""}[figure.verdict],
        )
    width = None if sys.stdout.isatty() else 150
    console = Console(width=width, highlight=False)
    console.print(table)
    console.print(NOTE)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
