"""From the segments of one ORU^R01 to findings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from careweir_adapters.hl7v2_oru.er7 import Message, Segment
from careweir_adapters.hl7v2_oru.mapping import Answer
from careweir_adapters.hl7v2_oru.numbers import numeric, structured
from careweir_adapters.hl7v2_oru.values import (
    NotRead,
    Reader,
    Row,
    attached,
    base_of,
    coded,
    worded,
)
from careweir_adapters.hl7v2_oru.vocabulary import (
    SIDE_RESULTS,
    SIDES,
    SITE_RESULTS,
    STATUS,
    coding_of,
    pair,
)
from careweir_fhir.model import Coding, Finding, Laterality
from careweir_kit.errors import VendorProtocolBroken
from careweir_kit.tool import Tool

_CODED: Final = frozenset({"CE", "CWE", "CNE", "CF"})
_WORDS: Final = frozenset({"ST", "TX", "FT"})


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of a message, and what was not, in our words."""

    findings: tuple[Finding, ...]
    held: tuple[str, ...]


def read_results(tool: Tool, mapping: Answer, message: Message) -> Read:
    """Every result of a message. Raises VendorProtocolBroken when none can be read."""
    local = f"urn:careweir:local:{tool.tool}"
    rows = list(_rows(message, local))
    reader = _reader(tool, mapping, message, rows, local)
    findings: list[Finding] = []
    held: list[str] = []
    for row in _joined(rows):
        try:
            findings += _of_row(reader, row, local)
        except NotRead as reason:
            held.append(str(reason))
    if not rows or (held and not findings and not any(map(_is_waiting, rows))):
        raise VendorProtocolBroken(held[0] if held else "a message without results")
    return Read(tuple(findings), tuple(dict.fromkeys(held)))


def _rows(message: Message, local: str) -> Iterator[Row]:
    obr: Segment | None = None
    for segment in message.segments:
        if segment.name == "OBR":
            obr = segment
        if segment.name != "OBX":
            continue
        code = coding_of(segment.parts(segment.raw(3)), local=local)
        if code is None or segment.part(11) not in STATUS:
            raise VendorProtocolBroken("a result without its code or its status")
        yield Row(segment, obr, code)


def _is_waiting(row: Row) -> bool:
    return STATUS[row.obx.part(11)] in ("pending", "unknown")


def _reader(
    tool: Tool, mapping: Answer, message: Message, rows: Sequence[Row], local: str
) -> Reader:
    sides: dict[tuple[int, str], Laterality] = {}
    sites: dict[tuple[int, str], Coding] = {}
    for row in rows:
        said = coding_of(row.obx.parts(row.obx.raw(5)), local=local)
        if pair(row.code) in SIDE_RESULTS and pair(said) in SIDES:
            sides[row.group] = SIDES[pair(said)]
        if pair(row.code) in SITE_RESULTS and said is not None:
            sites[row.group] = said
    stamp = re.search(r"[+-]\d{4}$", message.header.part(7))
    offset = f"{stamp[0][:3]}:{stamp[0][3:]}" if stamp else mapping.utc_offset
    header = message.header
    return Reader(tool, mapping, header.part(3), header.part(10), offset, sides=sides, sites=sites)


def _joined(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Rows that make one result: lines of text under one code and group belong together."""
    gathered: list[Row] = []
    for row in rows:
        same = (
            bool(gathered)
            and row.obx.part(2) == gathered[-1].obx.part(2) == "TX"
            and (row.group, row.code) == (gathered[-1].group, gathered[-1].code)
            and row.obx.part(11) == gathered[-1].obx.part(11)
        )
        if gathered and not same:
            yield gathered
            gathered = []
        gathered.append(row)
    if gathered:
        yield gathered


def _of_row(reader: Reader, rows: list[Row], local: str) -> Iterator[Finding]:
    row = rows[0]
    standing = STATUS[row.obx.part(11)]
    if standing == "pending":
        raise NotRead("a result is not there yet")
    if standing == "unknown":
        raise NotRead("a result could not be obtained")
    if pair(row.code) in SIDE_RESULTS | SITE_RESULTS:
        return
    kind = row.obx.part(2)
    for at, repetition in enumerate(_values(rows, kind)):
        base = base_of(reader, row, at)
        if kind in _CODED:
            yield coded(reader, row, base, coding_of(row.obx.parts(repetition), local=local))
        elif kind in _WORDS:
            yield worded(row, base, repetition)
        elif kind == "ED":
            yield worded(row, base, attached(row.obx.parts(repetition)))
        elif kind == "NM":
            yield numeric(reader, row, base, repetition)
        elif kind == "SN":
            yield structured(row, base, row.obx.parts(repetition))
        else:
            raise NotRead("a result is of a type that is not read")


def _values(rows: list[Row], kind: str) -> list[str]:
    """The repetitions of OBX-5; for text one decoded value, its lines joined."""
    obx = rows[0].obx
    if kind in _WORDS:
        lines = [row.obx.text(part) for row in rows for part in row.obx.repetitions(5) or [""]]
        return ["\n".join(lines)]
    return obx.repetitions(5) or [""]
