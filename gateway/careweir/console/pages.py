"""Draw pages: templates with autoescape on, one style sheet, and headers that allow no more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from importlib.resources import files
from itertools import groupby

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from careweir.access import Actor
from careweir.audit import Stored
from careweir.console import words
from careweir.console.access_report import AccessReport
from careweir.console.body import mapping, mappings, number, text, texts
from careweir.console.ports import House, console_of, services_of
from careweir.console.words import Names

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self';"
        " frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "same-origin",  # with none at all, a form's Origin would be "null"
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
STATIC_TYPES = {"console.css": "text/css; charset=utf-8", "mark.svg": "image/svg+xml"}
STATIC = {
    name: files("careweir.console").joinpath("static", name).read_bytes() for name in STATIC_TYPES
}


def _address(name: str) -> str:
    return f"/console/static/{name}?v={sha256(STATIC[name]).hexdigest()[:12]}"


def _moment(value: str | datetime) -> datetime:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _day(value: str | datetime) -> str:
    return _moment(value).strftime("%-d %b %Y")


def _clock(value: str | datetime) -> str:
    return _moment(value).strftime("%H:%M:%S")


def _iso(value: str | datetime) -> str:
    return _moment(value).isoformat()


def ago(then: datetime, now: datetime) -> str:
    """``3 minutes ago``."""
    seconds = max(int((now - then).total_seconds()), 0)
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            return f"{words.counted(seconds // size, unit)} ago"
    return "just now"


def by_question(rows: Sequence[Stored]) -> list[list[Stored]]:
    """Neighbouring entries of one question and asker together; all others on their own."""
    return [list(group) for _, group in groupby(rows, key=_question)]


def _question(row: Stored) -> tuple[str | int | None, ...]:
    entry = row.entry
    if entry.inference is None:
        return (row.position,)
    return entry.inference, entry.actor, entry.client, entry.patient_key


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("careweir.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        day=_day, clock=_clock, iso=_iso, purpose=words.purpose, outcome=words.outcome,
        tone=words.tone, counted=words.counted, flags=words.flags, label=words.label,
        by_question=by_question,
    )  # fmt: skip
    environment.globals.update(
        text=text, texts=texts, mapping=mapping, mappings=mappings, number=number,
        style=_address("console.css"), mark=_address("mark.svg"), TYPES=words.TYPES,
    )  # fmt: skip
    return environment


_PAGES = _environment()


def names_of(house: House) -> Names:
    """What roles and capabilities are called in this house."""
    titles = {name: one.title for name, one in house.capabilities.items()}
    return Names(roles=house.policies.roles, capabilities=titles)


def printed(report: AccessReport) -> str:
    """A patient's report as a page of its own, with its style inside: to save, print or send."""
    style = STATIC["console.css"].decode()
    return _PAGES.get_template("access_print.html").render(report=report, css=style)


def page(
    request: Request, template: str, *, actor: Actor | None, status: int = 200, **facts: object
) -> HTMLResponse:
    """One whole page. ``facts`` are what the template names."""
    console = console_of(request)
    now = console.clock()
    names = names_of(services_of(request).gateway.house)

    def told(row: Stored) -> str:
        return words.sentence(row.entry, names)

    last = console.verification.last
    shared = {
        "actor": actor, "names": names, "told": told, "now": now, "here": request.url.path,
        "last": last, "verifying": console.verification.since,
        "age": ago(last.at, now) if last else "",
    }  # fmt: skip
    body = _PAGES.get_template(template).render(shared | facts)
    return HTMLResponse(body, status_code=status, headers=HEADERS)
