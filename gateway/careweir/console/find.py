"""Read the trail page by page: newest first, with an end to how much is looked through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from careweir.audit import AuditTrail, Stored
from careweir.console.access_report import ENTRIES_MAX
from careweir.console.search import Search

ROWS_A_PAGE = 25
LOOKED_AT_MAX = 5_000
TIMELINE_MAX = 1_000
STORY_MAX = 1_000

Wanted = Callable[[Stored], bool]


@dataclass(frozen=True, slots=True)
class Page:
    """Entries, newest first. ``older`` and ``newer`` are places to go on from, if there is more.

    ``cut`` says that the page ended because enough was looked through, not because it is full.
    """

    rows: tuple[Stored, ...]
    older: int | None
    newer: int | None
    cut: bool = False


async def find_page(trail: AuditTrail, search: Search, wanted: Wanted | None = None) -> Page:
    """One page of a search."""
    wanted = wanted or (lambda row: not search.hides(row.entry.type))
    if search.before is not None:
        return await _page_before(trail, search, wanted)
    query = replace(search.query(), after=search.after, limit=LOOKED_AT_MAX)
    rows, last, looked = list[Stored](), search.after, 0
    async for row in trail.read(query):
        looked += 1
        if wanted(row):
            rows.append(row)
        if len(rows) > ROWS_A_PAGE:
            break
        last = row.position
    full = len(rows) > ROWS_A_PAGE
    cut = not full and looked == LOOKED_AT_MAX
    shown = tuple(rows[:ROWS_A_PAGE])
    older = shown[-1].position if full else last if cut else None
    newer = None if search.after is None else shown[0].position if shown else search.after
    return Page(shown, older, newer, cut)


async def _page_before(trail: AuditTrail, search: Search, wanted: Wanted) -> Page:
    """The page that ends where a later one began."""
    query = replace(
        search.query(), after=search.before, limit=LOOKED_AT_MAX, newest_first=False
    )  # fmt: skip
    rows: list[Stored] = []
    async for row in trail.read(query):
        if wanted(row):
            rows.append(row)
        if len(rows) > ROWS_A_PAGE:
            break
    if len(rows) < ROWS_A_PAGE:  # the beginning: show it as such, filled up
        return await find_page(trail, replace(search, before=None, after=None), wanted)
    shown = tuple(reversed(rows[:ROWS_A_PAGE]))
    newer = shown[0].position if len(rows) > ROWS_A_PAGE else None
    return Page(shown, shown[-1].position, newer)


async def find_sample(trail: AuditTrail, search: Search) -> tuple[list[Stored], bool]:
    """The newest entries of a search, for its timeline; and whether there may be older ones."""
    query = replace(search.query(), limit=TIMELINE_MAX)
    rows = [row async for row in trail.read(query)]
    return [row for row in rows if not search.hides(row.entry.type)], len(rows) == TIMELINE_MAX


async def find_about(trail: AuditTrail, search: Search) -> tuple[list[Stored], bool]:
    """The newest entries about a patient for their report; and whether there are older ones."""
    query = replace(search.query(), limit=ENTRIES_MAX + 1)
    rows = [row async for row in trail.read(query)]
    return rows[:ENTRIES_MAX], len(rows) > ENTRIES_MAX


async def find_story(trail: AuditTrail, asked: Search) -> list[Stored]:
    """Everything about one question, oldest first."""
    query = replace(asked.query(), newest_first=False, limit=STORY_MAX)
    return [row async for row in trail.read(query)]
