"""From one OBX to one finding: what kind it is, its value, and what all kinds have in common."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from careweir_adapters.hl7v2_oru.attachment import text_of
from careweir_adapters.hl7v2_oru.er7 import Segment
from careweir_adapters.hl7v2_oru.mapping import Answer
from careweir_adapters.hl7v2_oru.times import moment_of
from careweir_adapters.hl7v2_oru.vocabulary import (
    ANSWERS,
    CRITICAL,
    FLAGS,
    STATUS,
    coding_of,
    pair,
)
from careweir_fhir.model import Coding, Finding, Laterality, Polarity
from careweir_kit.codes import verified
from careweir_kit.tool import Tool

_NUMBER: Final = re.compile(r"[+-]?(\d{1,15}(\.\d*)?|\.\d+)", re.ASCII)


class NotRead(Exception):
    """One result that is held back; the message is in our words."""


@dataclass(frozen=True, slots=True)
class Row:
    """One OBX with the OBR that it stands under."""

    obx: Segment
    obr: Segment | None
    code: Coding

    @property
    def group(self) -> tuple[int, str]:
        """What the rows of one lesion share: their OBR and OBX-4."""
        return id(self.obr), self.obx.part(4)


@dataclass(frozen=True, slots=True)
class Reader:
    """What the rows of one message share."""

    tool: Tool
    mapping: Answer
    sender: str
    control: str  # MSH-10
    offset: str | None  # of times that do not say theirs
    sides: Mapping[tuple[int, str], Laterality]
    sites: Mapping[tuple[int, str], Coding]


def base_of(reader: Reader, row: Row, at: int) -> Finding:
    """What every kind of result has: code, status, time, place, who made it, how sure."""
    obx, obr = row.obx, row.obr
    standing = STATUS[obx.part(11)]
    names = [reader.sender, obr.part(3) if obr else "", *pair(row.code), obx.part(4), str(at)]
    own = _hashed(names)
    renewed = standing in ("corrected", "withdrawn")
    flags = {obx.text(flag).strip().upper() for flag in obx.repetitions(8)}
    _, version = model_of(obx)
    probability = _probability(obx)
    times = [obx.part(14), obr.part(7) if obr else "", obr.part(22) if obr else ""]
    critical = ("the sender marks this result as critical",) if flags & CRITICAL else ()
    status = {"corrected": "corrected", "preliminary": "preliminary"}.get(standing)
    return Finding(
        tool=reader.tool.tool,
        tool_version=version or reader.tool.version,
        kind="document",
        code=row.code,
        laterality=reader.sides.get(row.group),
        body_site=reader.sites.get(row.group) or _site(obx),
        confidence=probability,
        confidence_kind="none" if probability is None else reader.mapping.probability_kind,
        effective=next(filter(None, (moment_of(t, reader.offset) for t in times)), None),
        explanation=critical,
        status="entered-in-error" if standing == "withdrawn" else status,
        id=_hashed([*names, reader.control]) if renewed else own,
        replaces=own if renewed else None,
        verified=verified(row.code, reader.mapping.known),
    )


def _hashed(names: Sequence[str]) -> str:
    return hashlib.sha256("\x00".join(names).encode()).hexdigest()[:20]


def model_of(obx: Segment) -> tuple[str | None, str | None]:
    """Name and version of the equipment in OBX-18; an identifier with a type is no version."""
    name, version, kind = obx.part(18, 1), obx.part(18, 3), obx.part(18, 4)
    return name or None, version if version and not kind else None


def _probability(obx: Segment) -> float | None:
    raw = obx.part(9)
    if not raw:
        return None
    value = number_of(raw)
    if not 0 <= value <= 1:
        raise NotRead("a probability lies outside 0 to 1")
    return value


def _site(obx: Segment) -> Coding | None:
    return coding_of(obx.parts(obx.raw(20)), local="") if obx.raw(20) else None


def number_of(text: str) -> float:
    """A number as HL7 writes it. Raises NotRead."""
    if not _NUMBER.fullmatch(text.strip()):
        raise NotRead("a value that should be a number is none")
    return float(text)


def _flagged(obx: Segment) -> Polarity | None:
    """The polarity that the flags say, None when they say none; two that differ say neither."""
    words = (obx.text(flag).strip().upper() for flag in obx.repetitions(8))
    said: set[Polarity] = {FLAGS[word] for word in words if word in FLAGS}
    if len(said) > 1:
        return "indeterminate"
    return said.pop() if said else None


def coded(reader: Reader, row: Row, base: Finding, value: Coding | None) -> Finding:
    """A coded value is the finding itself, or says of the coded question whether it is there."""
    if value is None:
        raise NotRead("a coded result without a code")
    polarity = ANSWERS.get(pair(value))
    code = row.code if polarity else value
    flagged = _flagged(row.obx)
    if polarity and flagged and polarity != flagged:
        polarity = "indeterminate"
    return base.model_copy(
        update={
            "kind": "assertion",
            "code": code,
            "polarity": polarity or flagged or "present",
            "verified": verified(code, reader.mapping.known),
        }
    )


def worded(row: Row, base: Finding, text: str) -> Finding:
    if not text.strip():
        raise NotRead("a result without a value")
    flagged = _flagged(row.obx)
    if row.obx.part(2) == "ST" and flagged in ("present", "absent"):
        return base.model_copy(update={"kind": "assertion", "polarity": flagged})
    return base.model_copy(update={"value": text})


def attached(parts: list[str]) -> str:
    found = text_of(parts)
    if found is None:
        raise NotRead("an attached document was not read")
    return found
