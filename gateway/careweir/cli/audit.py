"""``careweir audit``: verify the record, offline and while a gateway writes to it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from careweir.audit import AuditKeys, Report
from careweir.audit import verify as verify_trail
from careweir.cli.out import Refused, emit, say
from careweir.settings import load_settings

app = typer.Typer(
    no_args_is_help=True, help="The audit trail: who sent what about whom, and proof."
)
PROGRESS_EVERY = 250_000


@app.command()
def verify(
    data: Annotated[Path | None, typer.Option("--data", help="Folder of the SQLite.")] = None,
    database_url: Annotated[str | None, typer.Option("--database-url", help="PostgreSQL.")] = None,
    export: Annotated[
        Path | None, typer.Option("--export", help="An exported NDJSON file.")
    ] = None,
    keys: Annotated[Path | None, typer.Option("--keys", help="Folder of the keys.")] = None,
) -> None:
    """Check that the record was not altered. Exit 0 clean, 1 tampered, 2 incomplete.

    Names the first bad record. Example: careweir audit verify --data ./careweir-data
    """
    settings = load_settings(data=data, database_url=database_url)
    folder = keys or settings.keys_dir or settings.data / "keys"
    url = settings.database_url.get_secret_value() if settings.database_url else None
    if export is None and url is None and not settings.data.is_dir():
        raise Refused(f"no such folder: {settings.data}")
    report = verify_trail(
        data_dir=settings.data if export is None and url is None else None,
        database_url=url if export is None else None,
        export=export,
        keys=AuditKeys.load(folder),
        progress=_progress,
    )
    emit(report.as_dict())
    say(verdict(report))
    raise typer.Exit(report.exit_code)


def verdict(report: Report) -> str:
    """The result as one line for people."""
    line = f"audit: {report.status}, {report.entries} entries of {report.writers} writers"
    bad = report.first_bad
    if bad is None:
        return line
    where = f"writer {bad.writer}, seq {bad.seq}" if bad.writer else "the file"
    return f"{line}; first bad record: {where}: {bad.problem}"


def _progress(done: int, total: int | None) -> None:
    if done and done % PROGRESS_EVERY == 0:
        say(f"checked {done}" + (f" of {total}" if total else ""))
