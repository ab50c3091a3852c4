"""``careweir conflicts``: detect and evaluate disagreements between tools."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from careweir.cli.options import Config
from careweir.cli.out import Refused, emit
from careweir.conflicts import detect_lines, load_rules
from careweir.conflicts import evaluate as evaluate_lines
from careweir.paths import policies_dir

app = typer.Typer(no_args_is_help=True, help="Find where tools contradict each other.")


@app.command()
def detect(
    file: Annotated[str, typer.Argument(help="JSON Lines of cases, or -.")] = "-",
    config: Config = None,
) -> None:
    """Read one case a line, write its conflicts as one line.

    In: {"id","patient","findings":[...]}. Out: {"id","conflicts":[{"type","between":[i,j],
    "severity","reason","rule"}]}; positions count in findings. A line that cannot be read gives
    {"id","error"} and the stream goes on; the exit code is then 2.

    Example: careweir conflicts detect cases.jsonl
    """
    rules, unreadable = load_rules(policies_dir(config) / "conflicts"), 0
    for row in detect_lines(_lines(file), rules):
        unreadable += "error" in row
        emit(row, indent=False)
    raise typer.Exit(2 if unreadable else 0)


@app.command()
def evaluate(
    file: Annotated[str, typer.Argument(help="JSON Lines of cases with their expected conflicts.")],
    config: Config = None,
) -> None:
    """Precision, recall and false alarms per 100 conflict-free cases, in total and per type.

    JSON on stdout; a table a type, for people, on stderr.

    Example: careweir conflicts evaluate labelled.jsonl
    """
    report = evaluate_lines(_lines(file), load_rules(policies_dir(config) / "conflicts"))
    emit(report)
    Console(stderr=True).print(_table(report))


def _table(report: dict[str, Any]) -> Table:
    """The report a type, and the whole below."""
    table = Table(title=f"{report['cases']} cases, {report['conflict_free']} of them conflict-free")
    for heading in ("type", "found", "false", "missed", "precision", "recall", "F1"):
        table.add_column(heading, justify="left" if heading == "type" else "right")
    rows = [*report["types"].items(), ("all", report)]
    for name, row in rows:
        table.add_row(
            name, *(str(row[key]) for key in ("tp", "fp", "fn")),
            *(f"{row[key]:.3f}" for key in ("precision", "recall", "f1")),
        )  # fmt: skip
    table.caption = (
        f"severe recall {report['severe_recall']:.3f}, "
        f"{report['false_alarms_per_100']:.1f} false alarms per 100 conflict-free cases, "
        f"severity within a step {report['severity_within_step']:.3f}"
    )
    return table


def _lines(file: str) -> Iterator[bytes]:
    if file == "-":
        yield from sys.stdin.buffer
        return
    try:
        with Path(file).open("rb") as lines:
            yield from lines
    except OSError as error:
        raise Refused(f"cannot read {file}: {error.strerror}") from None
