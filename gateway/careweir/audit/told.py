"""What an entry says of the record itself, read so that no damage can raise an error."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from careweir.audit.entry import COLUMNS, Row, agrees, columns_of


def wrong_columns(row: Row) -> list[str]:
    """Which columns are not those of the body."""
    columns = row[6:]
    try:
        if agrees(row.body, columns):
            return []
        said = columns_of(row.body)
        wrong = [n for n, old, new in zip(COLUMNS, said, columns, strict=True) if old != new]
        return wrong or ["not as they stand in the entry"]
    except (TypeError, ValueError, KeyError):
        return ["not text"]


def archived_to(body: bytes) -> int:
    """Up to which leaf an ``archive`` entry has put the record aside; 0 if it is none."""
    try:
        return int(orjson.loads(body)["what"]["to"])
    except (TypeError, ValueError, KeyError):
        return 0


def predecessors(body: bytes) -> Iterable[tuple[str, int, str]]:
    """The heads that an ``open`` entry names; nothing if its body is not one."""
    try:
        named = orjson.loads(body)["what"]["predecessors"]
        return [(str(head["writer"]), int(head["seq"]), str(head["hash"])) for head in named]
    except (TypeError, ValueError, KeyError):
        return []
