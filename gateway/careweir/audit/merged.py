"""Several queries as one: an entry that any of them finds, once, in the record's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from careweir.audit.entry import Query, Stored
from careweir.audit.port import AuditTrail

COUNTED_MAX = 100_000
MERGED_MAX = 10_000


async def read_any(
    trail: AuditTrail,
    queries: Sequence[Query],
    *,
    after: int | None,
    newest_first: bool,
    limit: int,
) -> list[Stored]:
    """At most ``limit`` entries past the position ``after``."""
    found: dict[int, Stored] = {}
    for query in queries:
        page = replace(query, after=after, newest_first=newest_first, limit=limit)
        async for row in trail.read(page):
            found[row.position] = row
    return [found[position] for position in sorted(found, reverse=newest_first)][:limit]


async def count_any(trail: AuditTrail, queries: Sequence[Query]) -> int | None:
    """How many entries there are; None above what is counted."""
    if not queries:
        return 0
    if len(queries) == 1:
        count = await trail.count(replace(queries[0], limit=COUNTED_MAX + 1))
        return count if count <= COUNTED_MAX else None
    rows = await read_any(trail, queries, after=None, newest_first=True, limit=MERGED_MAX + 1)
    return len(rows) if len(rows) <= MERGED_MAX else None
