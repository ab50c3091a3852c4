"""The SQL that both backends share, with ``?`` for each value."""

from __future__ import annotations

from careweir.state.record import Find

ROW_SQL = "r.kind, r.key, r.version, r.site, r.created_us, r.expires_us, r.sealed"

SQLValue = str | int | bytes | None


def find_sql(find: Find, *, record: str, tag: str) -> tuple[str, list[SQLValue]]:
    """One page by keyset: the first tag's index leads, the others are joined to it."""
    values: list[SQLValue] = []
    joins = ""
    for n, (name, value) in enumerate(find.tags):
        joins += (
            f" JOIN {tag} AS t{n} ON t{n}.kind = r.kind AND t{n}.key = r.key"
            f" AND t{n}.name = ? AND t{n}.value = ?"
        )
        values += [name, value]
    terms = ["r.kind = ?", "(r.expires_us IS NULL OR r.expires_us > ?)"]
    values += [find.kind, find.now_us]
    if find.site is not None:
        terms.append("r.site = ?")
        values.append(find.site)
    lead = "t0" if find.tags else "r"
    if find.after is not None:
        than = "<" if find.newest_first else ">"
        terms.append(f"({lead}.created_us, {lead}.key) {than} (?, ?)")
        values += find.after
    order = "DESC" if find.newest_first else "ASC"
    sql = (
        f"SELECT {ROW_SQL} FROM {record} AS r{joins} WHERE {' AND '.join(terms)}"  # noqa: S608
        f" ORDER BY {lead}.created_us {order}, {lead}.key {order} LIMIT ?"
    )
    return sql, [*values, find.limit]


def numbered(sql: str) -> str:
    """The same with PostgreSQL's ``$1``, ``$2`` …"""
    first, *rest = sql.split("?")
    return first + "".join(f"${n}{part}" for n, part in enumerate(rest, start=1))
