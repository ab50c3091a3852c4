"""Entries for other systems: CSV for a spreadsheet, OCSF for a SIEM. One entry, one line.

These are for reading; what can be verified is the NDJSON export (export.py).
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import datetime

import orjson

from careweir.audit.entry import JSON, Stored

CSV_COLUMNS = (
    "position", "recorded", "type", "outcome", "actor", "client", "tool", "patient_key",
    "inference", "disclosure", "writer", "seq", "hash", "body",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_ACTIVITY = {"decision": 1, "intent": 1, "answer": 2, "outcome": 2, "read": 2}
_OTHER = 99
_FAILED = {"denied", "deny", "refused", "timed_out", "unavailable", "wrong_patient", "unknown"}


async def csv_lines(entries: AsyncIterator[Stored]) -> AsyncIterator[bytes]:
    """A header and a line an entry; a cell that a spreadsheet would run begins with ``'``."""
    yield _csv_line(CSV_COLUMNS)
    async for stored in entries:
        entry = stored.entry
        yield _csv_line(
            (
                str(stored.position), stored.recorded, entry.type, entry.outcome, entry.actor,
                entry.client, entry.tool, entry.patient_key, entry.inference, entry.disclosure,
                stored.receipt.writer, str(stored.receipt.seq), stored.receipt.hash,
                orjson.dumps(entry.body).decode(),
            )
        )  # fmt: skip


def _csv_line(cells: tuple[str | None, ...]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow([harmless(cell) for cell in cells])
    return line.getvalue().encode()


def harmless(cell: str | None) -> str:
    """A cell that no spreadsheet takes for a formula."""
    shown = cell or ""
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


async def ocsf_lines(entries: AsyncIterator[Stored], *, product: str) -> AsyncIterator[bytes]:
    """A line of JSON an entry."""
    async for stored in entries:
        yield orjson.dumps(ocsf_event(stored, product=product)) + b"\n"


def ocsf_event(stored: Stored, *, product: str) -> dict[str, JSON]:
    """One entry as an API Activity event.

    Source: OCSF schema 1.3.0, class 6003 (api_activity), category 6 (application).
    """
    entry = stored.entry
    activity = _ACTIVITY.get(entry.type, _OTHER)
    moment = datetime.fromisoformat(stored.recorded)
    failed = entry.type == "refusal" or entry.outcome in _FAILED
    return {
        "activity_id": activity,
        "category_uid": 6,
        "class_uid": 6003,
        "type_uid": 600300 + activity,
        "time": int(moment.timestamp() * 1000),
        "severity_id": 2 if failed else 1,
        "status_id": 2 if failed else 1,
        "status_detail": entry.outcome,
        "metadata": {
            "version": "1.3.0",
            "uid": f"{stored.receipt.writer}/{stored.receipt.seq}",
            "correlation_uid": entry.inference,
            "product": {"name": product, "vendor_name": product},
        },
        "actor": {"user": {"uid": entry.actor}, "app_name": entry.client},
        "api": {"operation": entry.type, "service": {"name": entry.tool or product}},
        "src_endpoint": {"name": entry.client or product},
        "unmapped": {
            "patient_key": entry.patient_key,
            "disclosure": entry.disclosure,
            "hash": stored.receipt.hash,
            "what": entry.body,
        },
    }
