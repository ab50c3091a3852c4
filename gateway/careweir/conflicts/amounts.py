"""Measured amounts: which quantity, in which unit, and what it is in the quantity's own unit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from careweir.conflicts.concepts import read_words
from careweir.conflicts.memo import Memo
from careweir.conflicts.units import Unit, UnitTable, convert, flavour
from careweir.conflicts.words import number_from_text, plain
from careweir_fhir.model import Coding, Finding

_STRICT = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
Severity = Literal["high", "moderate", "low"]


class Limit(BaseModel):
    """A value at which a decision changes, and how much it matters to stand on the wrong side."""

    model_config = _STRICT

    at: float
    severity: Severity


class QuantityRow(BaseModel):
    """One row of ``quantities.yaml``; the file says what each field means."""

    model_config = _STRICT

    names: tuple[str, ...] = ()
    loinc: tuple[str, ...] = ()
    radlex: tuple[str, ...] = ()
    unit: str = ""
    molar_mass: float | None = None
    charge: int = 1
    noise_abs: float = 0.0
    noise_rel: float = 0.0
    limits: tuple[Limit, ...] = ()
    ratio_high: float | None = None
    within: Severity = "low"
    units: tuple[str, ...] = ()
    conversions: dict[str, tuple[float, float]] = {}
    slips: tuple[float, ...] = ()
    window_min: float = 30
    many: bool = False
    unitless: bool = False
    source: str | None = None
    verified: bool = False


class Quantity(NamedTuple):
    """A quantity and its row; ``unit`` is None for one outside the table."""

    id: str
    row: QuantityRow
    unit: Unit | None
    label: str


class Amount(NamedTuple):
    """``value`` is in the quantity's own unit, or None where it cannot be said without a guess.

    Outside the table ``value`` is in the base of the unit's own dimension.
    """

    quantity: Quantity
    number: float
    written_unit: str | None
    unit: Unit | None
    value: float | None


class QuantityTable:
    """Quantities by LOINC or RadLex code, or by words where there is no known code."""

    def __init__(
        self, rows: Mapping[str, QuantityRow], default: QuantityRow, units: UnitTable
    ) -> None:
        self._default = default
        self._quantities = {
            name: Quantity(name, row, units.read(row.unit), name.replace("-", " "))
            for name, row in rows.items()
        }
        self._by_code: dict[str, str] = {}
        self._by_words: dict[str, str] = {}
        for name, row in rows.items():
            for code in (*row.loinc, *row.radlex):
                self._by_code[code] = name
            for words in (name.replace("-", " "), *row.names):
                self._by_words.setdefault(read_words(words).key, name)
        self._memo: Memo[Quantity | None] = Memo()

    def __getitem__(self, name: str) -> Quantity:
        return self._quantities[name]

    def __contains__(self, name: object) -> bool:
        return name in self._quantities

    def resolve(self, coding: Coding) -> Quantity | None:
        """The quantity of a coding; None when code and words name two known quantities."""
        key = (coding.system, coding.code, coding.display)
        return self._memo.get(key, lambda: self._resolve(coding))

    def _resolve(self, coding: Coding) -> Quantity | None:
        words = _measured_words(coding.display) if coding.display else None
        by_words = self._by_words.get(words) if words else None
        by_code = self._by_code.get(coding.code or "")
        if by_code is None and by_words is None:
            name = f"code:{coding.code}" if coding.code else f"words:{words}"
            label = (coding.display or coding.code or "?").strip().casefold()[:60]
            return Quantity(name, self._default, None, label)
        if by_code is not None and by_words not in (None, by_code):
            said = self._quantities[by_words or by_code]
            if not _same_analyte(self._quantities[by_code], said):
                return None
        return self._quantities[by_code or by_words or ""]


_BLOOD = frozenset({"blood", "serum", "plasma", "body", "arterial", "capillary", "venous"})


def _measured_words(display: str) -> str:
    """LOINC names carry property, system and method: ``Glucose [Mass/volume] in Blood``.

    Of blood, serum and plasma the name alone is left; sodium in urine is another quantity.
    """
    head, _, tail = display.partition(" [")
    _, _, specimen = tail.partition("] in ")
    if specimen and _BLOOD.isdisjoint(plain(specimen).split()):
        return read_words(f"{head} {specimen}").key
    return read_words(head.partition(" in Serum")[0]).key


def _same_analyte(a: Quantity, b: Quantity) -> bool:
    """Words are coarser than codes: 'glucose' may be said of a capillary sample."""
    return bool(set(a.id.split("-")) & set(b.id.split("-")))


def amount_of(finding: Finding, quantities: QuantityTable, units: UnitTable) -> Amount | None:
    """The amount in a finding, or None when there is no number that can be read."""
    number, written = _number(finding.value), finding.unit
    if number is None and isinstance(finding.value, str):
        number, written = _number_and_unit(finding.value, written, units)
    quantity = quantities.resolve(finding.code) if number is not None else None
    if number is None or quantity is None:
        return None
    kind = flavour(written or "")
    if kind is not None and f"d-dimer-{kind}" in quantities:
        quantity = quantities[f"d-dimer-{kind}"]
    if written is None and isinstance(finding.value, str) and finding.value.strip().endswith("%"):
        written = "%"
    unit = units.read(written)
    return Amount(quantity, number, written, unit, _in_own_unit(number, written, unit, quantity))


def _number(value: float | int | str | None) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        return number_from_text(value)
    return float(value)


_WITH_UNIT = re.compile(r"([+-]?\d[\d.,]*)\s*(\D.*)$")


def _number_and_unit(
    text: str, said: str | None, units: UnitTable
) -> tuple[float | None, str | None]:
    """``6.8 mmol/L``; nothing where the unit is not known, or another one stands beside it."""
    match = _WITH_UNIT.match(text.strip())
    unit = units.read(match[2]) if match else None
    if match is None or unit is None or (said is not None and units.read(said) != unit):
        return None, said
    return number_from_text(match[1]), match[2]


def _in_own_unit(
    number: float, written: str | None, unit: Unit | None, quantity: Quantity
) -> float | None:
    row = quantity.row
    if written is not None and written in row.conversions:
        factor, offset = row.conversions[written]
        return number * factor + offset
    if unit is not None and quantity.unit is not None:
        if unit.dimension in ("score", "fraction") and row.unitless:
            return number * (unit.factor / quantity.unit.factor)
        return convert(number, unit, quantity.unit, molar_mass=row.molar_mass, charge=row.charge)
    if unit is not None and not row.unit:
        return number * unit.factor + unit.offset  # outside the table: base of its own dimension
    return number if row.unitless and unit is None and _no_unit(written, quantity) else None


_UNIT_OF_COUNT = frozenset({"score", "point", "points", "unit", "units", "ratio", "index"})


def _no_unit(written: str | None, quantity: Quantity) -> bool:
    """Is what stands for a unit none? An annotation alone is unity; others repeat the name (INR).

    Source: UCUM 2.1, section 2.2.2 (annotations).
    """
    text = (written or "").strip()
    if not text or (text.startswith("{") and text.endswith("}")):
        return True
    names = " ".join((quantity.label, *quantity.row.names, quantity.row.unit or ""))
    return set(plain(text).split()) <= _UNIT_OF_COUNT.union(plain(names).split())
