"""Units: the small exact table by which a chart's number becomes the number that a tool wants.

A unit that is not in the table is not converted and not guessed: the value then counts as missing.
Quantities in the UCUM system are read by their exact code; free unit text has a few spellings of
its own (``mmHg``, ``bpm``), which are read only where no UCUM code says otherwise.

Source: UCUM (https://ucum.org); molar masses of creatinine, lactate and glucose as in
standard clinical chemistry conversion tables (creatinine 1 mg/dL = 88.4 µmol/L, urea
nitrogen 1 mg/dL = 0.357 mmol/L of urea).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

UCUM: Final = "http://unitsofmeasure.org"

# unit -> (dimension, factor, offset); base value = value * factor + offset
_UNITS: Final[Mapping[str, tuple[str, float, float]]] = {
    "Cel": ("temperature", 1.0, 0.0),
    "[degF]": ("temperature", 5 / 9, -160 / 9),
    "K": ("temperature", 1.0, -273.15),
    "mm[Hg]": ("pressure", 1.0, 0.0),
    "kPa": ("pressure", 7.50062, 0.0),
    "/min": ("rate", 1.0, 0.0),
    "/s": ("rate", 60.0, 0.0),
    "Hz": ("rate", 60.0, 0.0),
    "%": ("fraction", 1.0, 0.0),
    "1": ("fraction", 100.0, 0.0),
    "10*3/uL": ("count", 1.0, 0.0),
    "10*9/L": ("count", 1.0, 0.0),
    "10*3/mm3": ("count", 1.0, 0.0),
    "10*6/L": ("count", 1e-3, 0.0),
    "/uL": ("count", 1e-3, 0.0),
    "L/min": ("flow", 1.0, 0.0),
    "mL/min": ("flow", 1e-3, 0.0),
    "g/L": ("mass", 1.0, 0.0),
    "g/dL": ("mass", 10.0, 0.0),
    "mg/dL": ("mass", 1e-2, 0.0),
    "mg/L": ("mass", 1e-3, 0.0),
    "mol/L": ("amount", 1.0, 0.0),
    "mmol/L": ("amount", 1e-3, 0.0),
    "umol/L": ("amount", 1e-6, 0.0),
    "mm": ("length", 1e-3, 0.0),
    "cm": ("length", 1e-2, 0.0),
    "m": ("length", 1.0, 0.0),
    "[in_i]": ("length", 0.0254, 0.0),
    "g": ("weight", 1e-3, 0.0),
    "kg": ("weight", 1.0, 0.0),
    "[lb_av]": ("weight", 0.45359237, 0.0),
    "a": ("age", 1.0, 0.0),
    "{score}": ("score", 1.0, 0.0),
    "meq/L": ("charge", 1.0, 0.0),
}

_SPELLINGS: Final[Mapping[str, str]] = {
    "mmhg": "mm[Hg]",
    "mm hg": "mm[Hg]",
    "bpm": "/min",
    "beats/min": "/min",
    "beats/minute": "/min",
    "breaths/min": "/min",
    "breaths/minute": "/min",
    "per minute": "/min",
    "1/min": "/min",
    "c": "Cel",
    "°c": "Cel",
    "degc": "Cel",
    "f": "[degF]",
    "°f": "[degF]",
    "degf": "[degF]",
    "percent": "%",
    "k/ul": "10*3/uL",
    "x10^3/ul": "10*3/uL",
    "10^3/ul": "10*3/uL",
    "10^9/l": "10*9/L",
    "x10^9/l": "10*9/L",
    "µmol/l": "umol/L",
    "μmol/l": "umol/L",
    "l/min": "L/min",
    "lpm": "L/min",
    "years": "a",
}

# g/mol by the LOINC code of the observation
_MOLAR_MASS: Final[Mapping[str, float]] = {
    "2160-0": 113.12,  # creatinine, mass
    "14682-9": 113.12,  # creatinine, molar
    "38483-4": 113.12,  # creatinine in blood
    "2524-7": 90.08,  # lactate
    "32693-4": 90.08,  # lactate in blood
    "2345-7": 180.156,  # glucose, mass
    "14749-6": 180.156,  # glucose, molar
    "3094-0": 28.014,  # urea nitrogen, mass: two atoms of nitrogen in one urea
    "6299-2": 28.014,  # urea nitrogen in blood, mass
    "14937-7": 28.014,  # urea nitrogen, molar
    "3091-6": 60.056,  # urea, mass
    "22664-7": 60.056,  # urea, molar
}

_INSPIRED_OXYGEN: Final = frozenset({"3150-6", "19994-3"})

_NOTE = re.compile(r"\{[^{}]*\}")


def unit_of(quantity: Mapping[str, Any]) -> str | None:
    """The unit of a FHIR Quantity as a code of the table, or None when it is not known."""
    code, text, system = (quantity.get(key) for key in ("code", "unit", "system"))
    if isinstance(code, str) and system == UCUM:
        return _known(code)
    for words in (code, text):
        if isinstance(words, str) and words.strip():
            return _known(words.strip()) or _SPELLINGS.get(words.strip().lower())
    return None


def _known(code: str) -> str | None:
    if code in _UNITS:
        return code
    bare = _NOTE.sub("", code)
    return bare if bare in _UNITS else None


def convert(value: float, source: str, target: str, *, loinc: str = "") -> float | None:
    """Convert ``value`` exactly, or None where the table knows no way.

    ``loinc`` is the code of the observation: mass and amount meet through its molar mass, and an
    inspired oxygen fraction of at most 1 that is labelled per cent is a fraction (0.21 is 21 %).
    """
    if source not in _UNITS or target not in _UNITS:
        return None
    if loinc in _INSPIRED_OXYGEN and source == "%" and 0 < value <= 1:
        source = "1"
    if source == target:
        return value
    dimension, factor, offset = _UNITS[source]
    wanted, target_factor, target_offset = _UNITS[target]
    base = value * factor + offset
    if dimension != wanted:
        molar_mass = _MOLAR_MASS.get(loinc)
        if molar_mass is None or {dimension, wanted} != {"mass", "amount"}:
            return None
        base = base / molar_mass if dimension == "mass" else base * molar_mass
    return round((base - target_offset) / target_factor, 9)
