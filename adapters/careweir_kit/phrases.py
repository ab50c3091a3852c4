"""Phrases that language services cut out of a text: sides and doses, read strictly."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from careweir_fhir.model import Dose, Laterality

_SIDES: Final[Mapping[str, Laterality]] = {
    "left": "left",
    "right": "right",
    "bilateral": "bilateral",
    "bilaterally": "bilateral",
    "both": "bilateral",
    "left-sided": "left",
    "right-sided": "right",
}
_DOSE: Final = re.compile(r"(\d{1,6}(?:\.\d{1,4})?)\s*([A-Za-z]{1,5})", re.ASCII)
# Spelling to UCUM; only units of mass, volume and substance make a dose.
_UNITS: Final[Mapping[str, str]] = {
    "mg": "mg",
    "g": "g",
    "mcg": "ug",
    "ug": "ug",
    "ml": "mL",
    "l": "L",
    "mmol": "mmol",
    "meq": "meq",
}


def side_of(phrases: Iterable[str]) -> Laterality | None:
    """The side that these phrases name; two sides are both, no side is None."""
    words = (phrase.strip().lower() for phrase in phrases)
    sides: set[Laterality] = {_SIDES[word] for word in words if word in _SIDES}
    if not sides:
        return None
    return sides.pop() if len(sides) == 1 else "bilateral"


def dose_of(phrase: str) -> Dose | None:
    """A plain amount such as ``25 mg``; None for a range, a rate or a unit that is not known."""
    found = _DOSE.fullmatch(phrase.strip())
    unit = _UNITS.get(found[2].lower()) if found else None
    return Dose(value=float(found[1]), unit=unit) if found and unit else None
