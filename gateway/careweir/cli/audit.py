"""``careweir audit``: verify the record, offline and while a gateway writes to it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import StrEnum
from getpass import getuser
from pathlib import Path
from typing import Annotated

import orjson
import typer

from careweir.audit import AuditKeys, AuditTrail, Entry, Query, Report, open_trail
from careweir.audit import verify as verify_trail
from careweir.audit.archive import ArchiveRefused, check_clean
from careweir.audit.archive import archive as put_aside
from careweir.audit.formats import csv_lines, ocsf_lines
from careweir.audit.receipts import receipts_in
from careweir.audit.rotation import rotate as rotate_key
from careweir.cli.out import Refused, as_moment, emit, say
from careweir.settings import Settings, load_settings

app = typer.Typer(
    no_args_is_help=True, help="The audit trail: who sent what about whom, and proof."
)
PROGRESS_EVERY = 250_000
_SHOWN = ("type", "outcome", "actor", "client", "tool", "inference", "disclosure", "patient_key")


@app.command()
def verify(
    data: Annotated[Path | None, typer.Option("--data", help="Folder of the SQLite.")] = None,
    database_url: Annotated[str | None, typer.Option("--database-url", help="PostgreSQL.")] = None,
    export: Annotated[
        Path | None, typer.Option("--export", help="An exported NDJSON file.")
    ] = None,
    keys: Annotated[Path | None, typer.Option("--keys", help="Folder of the keys.")] = None,
    witness: Annotated[
        Path | None, typer.Option("--witness", help="A witness's file of checkpoints.")
    ] = None,
    receipt: Annotated[
        Path | None, typer.Option("--receipt", help="Answers that were kept, or their receipts.")
    ] = None,
) -> None:
    """Check that the record was not altered. Exit 0 clean, 1 tampered, 2 incomplete.

    Names the first bad record. Example: careweir audit verify --data ./careweir-data
    """
    settings = load_settings(data=data, database_url=database_url)
    folder = keys or settings.keys_dir or settings.data / "keys"
    url = settings.database_url.get_secret_value() if settings.database_url else None
    if export is None and url is None and not settings.data.is_dir():
        raise Refused(f"no such folder: {settings.data}")
    try:
        receipts = receipts_in(receipt) if receipt else []
    except (OSError, ValueError):
        raise Refused("the file of receipts cannot be read, or holds none") from None
    report = verify_trail(
        data_dir=settings.data if export is None and url is None else None,
        database_url=url if export is None else None,
        export=export,
        keys=AuditKeys.load(folder),
        progress=_progress("checked"),
        witness=witness,
        receipts=receipts,
    )
    emit(report.as_dict())
    say(verdict(report))
    raise typer.Exit(report.exit_code)


class Format(StrEnum):
    """What ``audit export`` writes."""

    ndjson = "ndjson"
    csv = "csv"
    ocsf = "ocsf"


@app.command()
def export(
    form: Annotated[Format, typer.Option("--format", help="Only ndjson can be verified.")],
    data: Annotated[Path | None, typer.Option("--data", help="Folder of the SQLite.")] = None,
    database_url: Annotated[str | None, typer.Option("--database-url", help="PostgreSQL.")] = None,
) -> None:
    """Write the whole record to stdout, a line an entry. The export is itself on the record.

    Example: careweir audit export --format ndjson --data ./careweir-data > audit.ndjson
    """
    asyncio.run(_export(load_settings(data=data, database_url=database_url), form))


@app.command()
def search(
    inference: Annotated[str | None, typer.Option(help="Of one inference.")] = None,
    patient: Annotated[str | None, typer.Option(help="About one patient: Patient/123.")] = None,
    actor: Annotated[str | None, typer.Option(help="By one person or engine.")] = None,
    tool: Annotated[str | None, typer.Option(help="About one tool.")] = None,
    kind: Annotated[str | None, typer.Option("--type", help="intent, outcome, refusal …")] = None,
    since: Annotated[str | None, typer.Option(help="From this moment on (RFC 3339).")] = None,
    until: Annotated[str | None, typer.Option(help="Before this moment.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most.")] = 100,
    data: Annotated[Path | None, typer.Option("--data", help="Folder of the SQLite.")] = None,
    database_url: Annotated[str | None, typer.Option("--database-url", help="PostgreSQL.")] = None,
) -> None:
    """Entries of the record, newest first, as JSON Lines. The search is itself on the record.

    Example: careweir audit search --patient Patient/123 --type intent
    """
    settings = load_settings(data=data, database_url=database_url)
    keys = _keys(settings)
    query = Query(
        inference=inference,
        patient_key=keys.patient_key(patient) if patient else None,
        actor=actor,
        tool=tool,
        type=kind,
        since=as_moment(since),
        until=as_moment(until),
        limit=limit,
        newest_first=True,
    )
    asyncio.run(_search(settings, keys, query))


@app.command()
def archive(
    before: Annotated[str, typer.Option(help="What was recorded before this moment (RFC 3339).")],
    to: Annotated[Path, typer.Option(help="Folder for the archive, best on other storage.")],
    data: Annotated[Path | None, typer.Option("--data", help="Folder of the SQLite.")] = None,
    database_url: Annotated[str | None, typer.Option("--database-url", help="PostgreSQL.")] = None,
) -> None:
    """Put old, sealed entries into a file that can be verified by itself, and drop them here.

    The hash of each stays, so old checkpoints and receipts still verify. A record that does not
    verify is left alone (exit 1).
    Example: careweir audit archive --before 2026-01-01T00:00:00Z --to /mnt/archive
    """
    settings = load_settings(data=data, database_url=database_url)
    keys, moment = _keys(settings), as_moment(before)
    assert moment is not None
    url = settings.database_url.get_secret_value() if settings.database_url else None
    try:
        check_clean(settings.data, url, keys)
        put = asyncio.run(
            put_aside(
                data_dir=settings.data, database_url=url, keys=keys, before=moment, to=to,
                actor=f"os-user:{getuser()}", clock=lambda: datetime.now(UTC),
            )
        )  # fmt: skip
    except ArchiveRefused as refused:
        say(f"refused: {refused}")
        raise typer.Exit(1) from None
    if put is None:
        say("nothing that old is sealed and still here")
        return
    emit({"file": str(put.file), "sha256": put.sha256, "from": put.start, "to": put.size})


class ReportFormat(StrEnum):
    """What ``audit report`` writes."""

    html = "html"
    json = "json"
    csv = "csv"


@app.command()
def report(
    patient: Annotated[str, typer.Option(help="Whose: the reference, such as Patient/123.")],
    form: Annotated[ReportFormat, typer.Option("--format", help="A page, data, or a table.")] = (
        ReportFormat.html
    ),
    data: Annotated[Path | None, typer.Option("--data", help="Folder of the SQLite.")] = None,
    database_url: Annotated[str | None, typer.Option("--database-url", help="PostgreSQL.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Folder of policies.")] = None,
) -> None:
    """A patient's own report to stdout: who saw what of mine, for what purpose.

    Kinds of data, never values. The report is itself on the record, and on that patient's.
    Example: careweir audit report --patient Patient/123 > report.html
    """
    settings = load_settings(data=data, database_url=database_url, config=config)
    asyncio.run(_report(settings, _keys(settings), patient, form))


async def _report(settings: Settings, keys: AuditKeys, patient: str, form: ReportFormat) -> None:
    # Imported here: whoever verifies or searches needs no pages, policies and tools.
    from careweir.console.access_report import report_of
    from careweir.console.find import find_about
    from careweir.console.pages import names_of, printed
    from careweir.console.search import Search
    from careweir.wiring.house import load_house

    key = keys.patient_key(patient if "/" in patient else f"Patient/{patient}")
    what = f"access report as {form.value}"
    async with _reading(settings, keys, what=what, patient_key=key) as trail:
        rows, cut = await find_about(trail, Search(patient=key))
    names = names_of(load_house(settings.config))
    made = report_of(rows, names, made=datetime.now(UTC), cut=cut)
    written = {
        ReportFormat.json: lambda: orjson.dumps(made.as_json(), option=orjson.OPT_INDENT_2),
        ReportFormat.csv: lambda: made.as_csv().encode(),
        ReportFormat.html: lambda: printed(made).encode(),
    }[form]()
    sys.stdout.buffer.write(written.rstrip() + b"\n")


class Key(StrEnum):
    """What ``audit rotate`` replaces."""

    signing = "signing"
    mac = "mac"


@app.command()
def rotate(
    which: Annotated[Key, typer.Argument(help="Which key to replace.")],
    data: Annotated[Path | None, typer.Option("--data", help="Folder of the SQLite.")] = None,
    database_url: Annotated[str | None, typer.Option("--database-url", help="PostgreSQL.")] = None,
) -> None:
    """Replace the key that signs checkpoints, or the one that authenticates entries.

    The record announces the new key, signed by the old one; what was made under the old one still
    verifies. Restart the gateways afterwards. Example: careweir audit rotate signing
    """
    settings = load_settings(data=data, database_url=database_url)
    _keys(settings)
    url = settings.database_url
    asyncio.run(
        rotate_key(
            which.value,
            settings.keys_dir or settings.data / "keys",
            data_dir=settings.data,
            database_url=url.get_secret_value() if url else None,
            actor=f"os-user:{getuser()}",
            clock=lambda: datetime.now(UTC),
        )
    )
    say(f"a new {which.value} key is announced and in use; restart the gateways")


async def _export(settings: Settings, form: Format) -> None:
    async with _reading(settings, _keys(settings), what=f"export {form.value}") as trail:
        lines = {
            Format.ndjson: lambda: trail.export(),
            Format.csv: lambda: csv_lines(trail.read(Query())),
            Format.ocsf: lambda: ocsf_lines(trail.read(Query()), product="careweir"),
        }[form]()
        written, progress = 0, _progress("wrote")
        async for line in lines:
            sys.stdout.buffer.write(line)
            written += 1
            progress(written, None)
    say(f"wrote {written} lines")


async def _search(settings: Settings, keys: AuditKeys, query: Query) -> None:
    async with _reading(settings, keys, what="search") as trail:
        async for row in trail.read(query):
            emit(
                {
                    "writer": row.receipt.writer,
                    "seq": row.receipt.seq,
                    "recorded": row.recorded,
                    **{name: getattr(row.entry, name) for name in _SHOWN},
                    "body": row.entry.body,
                },
                indent=False,
            )


@asynccontextmanager
async def _reading(
    settings: Settings, keys: AuditKeys, *, what: str, patient_key: str | None = None
) -> AsyncIterator[AuditTrail]:
    """A trail to read from; who reads is recorded first, as the user of this machine."""
    url = settings.database_url
    trail = await open_trail(
        data_dir=settings.data,
        database_url=url.get_secret_value() if url else None,
        replica="command-line",
        keys=keys,
        clock=lambda: datetime.now(UTC),
    )
    try:
        actor = f"os-user:{getuser()}"
        await trail.append(
            Entry("read", {"what": what}, patient_key=patient_key, actor=actor,
                  client="careweir-cli")
        )  # fmt: skip
        yield trail
    finally:
        await trail.close()


def _keys(settings: Settings) -> AuditKeys:
    if settings.database_url is None and not settings.data.is_dir():
        raise Refused(f"no such folder: {settings.data}")
    keys = AuditKeys.load(settings.keys_dir or settings.data / "keys")
    if keys is None:
        raise Refused("the keys of this trail are not here (CAREWEIR_KEYS_DIR)")
    return keys


def verdict(report: Report) -> str:
    """The result as one line for people."""
    line = f"audit: {report.status}, {report.entries} entries of {report.writers} writers"
    bad = report.first_bad
    if bad is None:
        return line
    where = f"writer {bad.writer}, seq {bad.seq}" if bad.writer else "the file"
    return f"{line}; first bad record: {where}: {bad.problem}"


def _progress(verb: str) -> Callable[[int, int | None], None]:
    """Says each 250 000 entries how far it has come, and once that what is left takes a while."""
    told, before = 0, -1

    def progress(done: int, total: int | None) -> None:
        nonlocal told, before
        if done // PROGRESS_EVERY > told // PROGRESS_EVERY:
            say(f"{verb} {done}" + (f" of {total}" if total else ""))
            told = done
        elif total and total <= done == before and done > told:
            say(f"{verb} all {done} entries; the database's pages and indexes take a while longer")
            told = done
        before = done

    return progress
