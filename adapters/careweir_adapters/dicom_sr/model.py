"""The DICOM JSON model, as far as a structured report needs it.

Source: DICOM PS3.18 annex F (JSON model), PS3.3 C.17 (SR document), PS3.16 (coding schemes).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from careweir_fhir.model import LOINC, RADLEX, SNOMED, UCUM, Coding
from careweir_kit.adapter import VendorAnswer
from careweir_kit.errors import VendorProtocolBroken
from careweir_kit.strict_json import JsonRefused, decode

DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
SYSTEMS: Final[Mapping[str, str]] = {
    "DCM": DCM,
    "SCT": SNOMED,
    "LN": LOINC,
    "UCUM": UCUM,
    "RADLEX": RADLEX,
    "NCIT": "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl#",
    "UMLS": "http://www.nlm.nih.gov/research/umls",
}
UID: Final = re.compile(r"[0-9]+(\.[0-9]+)*", re.ASCII)
ITEMS_MAX: Final = 20_000
Dataset = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Item:
    """One content item of the tree."""

    value_type: str
    name: Coding | None = None
    code: Coding | None = None
    number: float | None = None
    unit: str | None = None
    text: str | None = None
    children: tuple[Item, ...] = field(default=())

    def called(self, *codes: str) -> Iterator[Item]:
        """The children with one of these concept names."""
        return (item for item in self.children if item.name and item.name.code in codes)

    def walk(self) -> Iterator[Item]:
        """This item and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


def datasets(answer: VendorAnswer) -> list[Dataset]:
    """The datasets of a body: an array, or one object. Raises VendorProtocolBroken."""
    try:
        value = decode(answer.body)
    except JsonRefused as refusal:
        raise VendorProtocolBroken(str(refusal)) from None
    listed = value if isinstance(value, list) else [value]
    if not all(isinstance(one, dict) for one in listed) or not all(listed):
        raise VendorProtocolBroken("not the DICOM JSON model")
    return listed


def values(dataset: Dataset, tag: str) -> list[Any]:
    """The values of an attribute; none when it is absent or empty."""
    attribute = dataset.get(tag)
    found = attribute.get("Value") if isinstance(attribute, Mapping) else None
    return found if isinstance(found, list) else []


def text_of(dataset: Dataset, tag: str) -> str:
    """The first value of an attribute as text; empty when there is none."""
    first = next(iter(values(dataset, tag)), None)
    if isinstance(first, bool) or not isinstance(first, str | int | float):
        return ""
    return str(first).strip()


def _first_item(dataset: Dataset, tag: str) -> Dataset | None:
    first = next(iter(values(dataset, tag)), None)
    return first if isinstance(first, Mapping) else None


def coding_of(dataset: Dataset, tag: str, *, local: str) -> Coding | None:
    """A code triple. A private scheme gets the system ``local``; SRT is kept as what it is."""
    item = _first_item(dataset, tag)
    if item is None:
        return None
    code = next(filter(None, (text_of(item, t) for t in ("00080100", "00080119", "00080120"))), "")
    scheme, words = text_of(item, "00080102").upper(), text_of(item, "00080104")
    if not code:
        return Coding(display=words) if words else None
    retired = "http://snomed.info/srt" if scheme in ("SRT", "SNM3", "99SDM") else None
    return Coding(system=SYSTEMS.get(scheme) or retired or local, code=code, display=words or None)


def tree(dataset: Dataset, *, local: str) -> Item:
    """The content tree of a report or of a part of one. Raises VendorProtocolBroken."""
    count = [0]
    root = _item(dataset, local, count)
    if root.value_type != "CONTAINER":
        raise VendorProtocolBroken("not a structured report")
    return root


def _item(dataset: Dataset, local: str, count: list[int]) -> Item:
    count[0] += 1
    if count[0] > ITEMS_MAX:
        raise VendorProtocolBroken("more content items than are read")
    listed = values(dataset, "0040A730")
    if not all(isinstance(child, Mapping) for child in listed):
        raise VendorProtocolBroken("a content sequence holds something else than items")
    number, unit = _measured(dataset, local)
    return Item(
        value_type=text_of(dataset, "0040A040"),
        name=coding_of(dataset, "0040A043", local=local),
        code=coding_of(dataset, "0040A168", local=local),
        number=number,
        unit=unit,
        text=text_of(dataset, "0040A160") or text_of(dataset, "0040A124") or None,
        children=tuple(_item(child, local, count) for child in listed),
    )


def _measured(dataset: Dataset, local: str) -> tuple[float | None, str | None]:
    item = _first_item(dataset, "0040A300")
    if item is None:
        return None, None
    raw = text_of(item, "0040A30A")
    unit = coding_of(item, "004008EA", local=local)
    if not re.fullmatch(r"[+-]?\d{1,15}(\.\d{1,16})?([eE][+-]?\d{1,2})?", raw, re.ASCII):
        return None, None
    return float(raw), unit.code if unit and unit.system == UCUM else None


def time_of(root: Dataset) -> str | None:
    """Content date and time with the offset of the dataset; the date alone without one."""
    date, time = text_of(root, "00080023"), text_of(root, "00080033")
    zone = text_of(root, "00080201")
    if not re.fullmatch(r"\d{4}(0[1-9]|1[0-2])([0-2]\d|3[01])", date, re.ASCII):
        return None
    day = f"{date[:4]}-{date[4:6]}-{date[6:]}"
    placed = re.fullmatch(r"([01]\d|2[0-3])([0-5]\d)([0-5]\d)(\.\d+)?", time, re.ASCII)
    if placed is None or not re.fullmatch(r"[+-]\d{4}", zone, re.ASCII):
        return day
    return f"{day}T{placed[1]}:{placed[2]}:{placed[3]}{zone[:3]}:{zone[3:]}"
