"""Units: strings to exact factors, and amounts of substance by molar mass.

A unit is a factor to the base of its dimension. Mass and substance are two dimensions that only a
molar mass joins; international units, scores and cells are dimensions of their own. Strings are
normalised first, because ``K/uL`` is valid UCUM for kelvin per microlitre.
Source: UCUM 2.1 for the factors; conflicts table for the strings that hospitals write.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from careweir.conflicts.memo import Memo


@dataclass(frozen=True, slots=True)
class Unit:
    """``amount * factor + offset`` is the amount in the base of ``dimension``."""

    text: str
    dimension: str
    factor: float
    offset: float = 0.0


_MICRO = str.maketrans({"µ": "u", "μ": "u", "×": "x", "·": ".", "⁻": "-", "−": "-"})
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_POWER_RAISED = re.compile(r"10(?=[⁰¹²³⁴⁵⁶⁷⁸⁹])")
_PER_POWER = re.compile(r"\.([A-Za-z]+)\^?-1$")
# US hospitals write mc for micro, which the Joint Commission asks for instead of the sign.
_MC = re.compile(r"\bmc(?=(?:[gl]|mol)\b)", re.IGNORECASE)
_LITRE = re.compile(r"(?<=/)\s*lit(?:er|re)s?$", re.IGNORECASE)
_ANNOTATION = re.compile(r"\{[^}]*\}|\[(?=(?:feu|ddu)\])|(?<=feu)\]|(?<=ddu)\]", re.IGNORECASE)
_POWER = re.compile(r"^(?:x\s*)?10\s*(?:\*\*|\*|\^|e)?\s*([369]|12)\s*/\s*(.+)$")
_FLAVOUR = re.compile(r"\b(FEU|DDU)\b", re.IGNORECASE)


def flavour(text: str) -> str | None:
    """``feu`` or ``ddu`` when a D-dimer unit says which; they are different quantities."""
    match = _FLAVOUR.search(text)
    return match[1].lower() if match else None


def tidy(text: str) -> str:
    """One spelling for a unit string: ``µmol/l`` -> ``umol/l`` (lower case), ``x10^9/L`` -> ..."""
    plain = _POWER_RAISED.sub("10*", text).translate(_MICRO).translate(_RAISED)
    bare = _FLAVOUR.sub("", _ANNOTATION.sub("", plain))
    bare = " ".join(bare.split()).strip() or text.strip()
    bare = _PER_POWER.sub(r"/\1", _LITRE.sub("L", _MC.sub("u", bare.replace(" per ", "/"))))
    power = _POWER.match(bare.casefold())
    if power:
        return f"10*{power[1]}/{power[2].strip()}"
    return bare.replace(" /", "/").replace("/ ", "/")


@dataclass(frozen=True, slots=True)
class UnitTable:
    """Every unit that may be read, by its exact string and by its case-folded string."""

    exact: Mapping[str, Unit]
    folded: Mapping[str, Unit]
    memo: Memo[Unit | None] = field(default_factory=Memo, repr=False, compare=False)

    def read(self, text: str | None) -> Unit | None:
        """The unit that a string means, or None when it is missing or not known."""
        if text is None:
            return None
        return self.memo.get(text, lambda: self._read(tidy(text)))

    def _read(self, bare: str) -> Unit | None:
        return self.exact.get(bare) or self.folded.get(bare.casefold())


def build_table(rows: Mapping[str, tuple[str, float, float, tuple[str, ...]]]) -> UnitTable:
    """Build the table from ``unit -> (dimension, factor, offset, other spellings)``.

    A case-folded spelling that two different units share is left out: it would be a guess.
    """
    exact: dict[str, Unit] = {}
    folded: dict[str, Unit | None] = {}
    for name, (dimension, factor, offset, spellings) in rows.items():
        unit = Unit(name, dimension, factor, offset)
        for spelling in (name, *spellings):
            bare = tidy(spelling)
            exact[bare] = unit
            other = folded.setdefault(bare.casefold(), unit)
            if other is not None and _different(other, unit):
                folded[bare.casefold()] = None
    return UnitTable(exact, {key: unit for key, unit in folded.items() if unit is not None})


def _different(a: Unit, b: Unit) -> bool:
    return (a.dimension, a.factor, a.offset) != (b.dimension, b.factor, b.offset)


def convert(
    value: float, unit: Unit, to: Unit, *, molar_mass: float | None = None, charge: int = 1
) -> float | None:
    """``value`` in ``to``, or None when the two units cannot be compared.

    Args:
        molar_mass: grams per mole of the analyte, where it is known.
        charge: equivalents per mole, for units of charge (meq).
    """
    base = value * unit.factor + unit.offset
    if unit.dimension != to.dimension:
        bridged = _bridge(base, unit.dimension, to.dimension, molar_mass, charge)
        if bridged is None:
            return None
        base = bridged
    return (base - to.offset) / to.factor


_PER = ("/volume", "/mass", "/time", "")


def _bridge(
    base: float, dimension: str, to: str, molar_mass: float | None, charge: int
) -> float | None:
    head, _, per = dimension.partition("/")
    to_head, _, to_per = to.partition("/")
    if per != to_per:
        return None
    moles = _moles(base, head, molar_mass, charge)
    if moles is None:
        return None
    match to_head:
        case "substance":
            return moles
        case "charge":
            return moles * charge
        case "mass" if molar_mass is not None:
            return moles * molar_mass
        case _:
            return None


def _moles(base: float, head: str, molar_mass: float | None, charge: int) -> float | None:
    match head:
        case "substance":
            return base
        case "charge":
            return base / charge
        case "mass" if molar_mass is not None:
            return base / molar_mass
        case _:
            return None
