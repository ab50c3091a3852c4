"""How a query becomes a search of the trail in SQLite that need not walk past all of it."""

from __future__ import annotations

import sqlite3

from careweir.audit.entry import Query, timestamp
from careweir.audit.where import Bound, Terms

FEW = 2_000  # disclosures
WIDE = 1_000_000  # entries


def where_of(db: sqlite3.Connection, query: Query) -> tuple[str, Bound]:
    few = query.ended is None or _are_few(db, query.ended)
    terms = Terms("audit_entry", "audit_entry", lambda _: "?", hint=True, few_ends=few)
    where = terms.all_of(query)
    if terms.weak and (query.since is not None or query.until is not None):
        where += f" AND {_between(db, query)}"
    return where, terms.values


def _between(db: sqlite3.Connection, query: Query) -> str:
    """Where in the record a span of time lies: so that a search need not walk past it.

    Exact, by the index of times alone; where the span is most of the record it is left out.
    """
    since = timestamp(query.since) if query.since else ""
    until = timestamp(query.until) if query.until else "~"  # after every time
    limit = -1 if query.until else WIDE + 1
    count, low, high = db.execute(
        "SELECT count(*), min(position), max(position) FROM (SELECT position FROM audit_entry"
        " INDEXED BY audit_recorded WHERE recorded >= ? AND recorded < ? LIMIT ?)",
        (since, until, limit),
    ).fetchone()
    if count == 0:
        return "1 = 0"
    return "1 = 1" if count > WIDE and not query.until else f"position BETWEEN {low} AND {high}"


def _are_few(db: sqlite3.Connection, outcomes: tuple[str, ...]) -> bool:
    """Are there so few of these outcomes that a search had better begin with them?"""
    marks = ", ".join("?" * len(outcomes))
    found = db.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM audit_entry WHERE outcome IN ({marks}) LIMIT ?)",  # noqa: S608
        (*outcomes, FEW + 1),
    )
    return bool(found.fetchone()[0] <= FEW)
