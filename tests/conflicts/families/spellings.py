"""One meaning in many spellings: units, numbers, sides, experiencers, horizons.

Each family pairs a spelling with a plain finding that it agrees with, and with one that it cannot
stand beside: a spelling that is not understood would be silent in both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from careweir.conflicts.reader import read_finding
from conflicts.families.case import Expected, Made, measured, said

CELLS = (
    (220, ("10*9/L", "x10^9/L", "×10⁹/L", "10E9/L", "x 10^9/L", "10**9/L", "G/L", "giga/L",
           "bil/L", "K/uL", "K/µL", "K/μL", "k/ul", "K/mcL", "K/mm3", "10*3/mm3", "x10E3/uL",
           "thou/uL", "Thousand/uL", "thousand/mcL", "/nL")),
    (220_000, ("/uL", "/mcL", "/mm3", "/mm^3", "cells/uL", "cells/mm³")),
    (0.22, ("10*6/uL", "M/uL")),
)  # fmt: skip
CREATININE = ("mg/dL", "MG/DL", "mg/dl", "mg%", "mg per dL", "mg/100mL", "mg/100 mL")
POTASSIUM = ("mmol/L", "MMOL/L", "mmol / L", "mmol.L-1", "mmol·L⁻¹", "mmol/litre", "mmol/Liter",
             "mEq/L", "mval/L", "mM")  # fmt: skip
BARE = (("6301-6", 1.1, 5.6, ("1", "{INR}", "INR", "ratio", "{ratio}", None, "")),
        ("2744-1", 7.08, 7.40, ("[pH]", "pH", "{pH}", "pH units", "1", None)))  # fmt: skip
PLATELETS: Expected = ("measurement_discrepancy", "high")


def spelt_units() -> Iterator[Made]:
    """Units as hospitals write them. Source: UCUM 2.1; Joint Commission on ``mc`` for micro."""
    for value, units in CELLS:
        for unit in units:
            one = measured(1, "777-3", value, unit)
            same, other = (measured(2, "777-3", n, "10*9/L") for n in (225, 18))
            yield Made(f"cells-{unit}", f"{value} {unit} is 220 giga per litre", (one, same), None)
            yield Made(f"cells-{unit}-far", "18 decides on platelets", (one, other), PLATELETS)
    for unit in CREATININE:
        pair = (measured(1, "2160-0", 1.1, unit), measured(2, "14682-9", 97, "mcmol/L"))
        yield Made(f"creatinine-{unit}", "1.1 mg/dL is 97 umol/L", pair, None)
    for unit in POTASSIUM:
        pair = (measured(1, "2823-3", 6.8, unit), measured(2, "2823-3", 4.1, "mmol/L"))
        yield Made(f"potassium-{unit}", "6.8 stops a heart", pair, PLATELETS)
    for loinc, value, far, units_of in BARE:
        for spelt in units_of:
            one = measured(1, loinc, value, spelt)
            yield Made(f"{loinc}-{spelt}", "no unit at all", (one, measured(2, loinc, value, "1")),
                       None)  # fmt: skip
            yield Made(f"{loinc}-{spelt}-far", "no unit at all",
                       (one, measured(2, loinc, far, None)), PLATELETS)  # fmt: skip


NUMBERS = ("6.8", "6,8", " 6.8 ", "+6.8", "6.80", "68e-1", "6.8 H", "6.8*", "H 6.8", "HH 6.8",
           "6.8 (H)", "6.8 (high)", "6.8 critical")  # fmt: skip
WITH_UNIT = ("6.8 mmol/L", "6.8mmol/L", "6,8 mmol/L", "6.8 mEq/L")
NO_NUMBERS = ("<6.8", ">6.8", "~6.8", "6.8-7.0", "hemolyzed", "", "n/a", "1,234", "NaN", "inf",
              "1e400", "6.8 of 10", "120/80", "6.8 L/min")  # fmt: skip


def spelt_numbers() -> Iterator[Made]:
    """Numbers with flags and units in the text; what may be two numbers is not compared."""
    for text in (*NUMBERS, *WITH_UNIT):
        unit = None if text in WITH_UNIT else "mmol/L"
        one = measured(1, "2823-3", text, unit)
        near, far = (measured(2, "2823-3", value, "mmol/L") for value in (6.7, 4.1))
        yield Made(f"number-{text}", "6.8 beside 6.7", (one, near), None)
        yield Made(f"number-{text}-far", "6.8 beside 4.1", (one, far), PLATELETS)
    for text in NO_NUMBERS:
        one = measured(1, "2823-3", text, "mmol/L")
        yield Made(f"none-{text}", "no one number", (one, measured(2, "2823-3", 4.1, "mmol/L")),
                   None)  # fmt: skip


LEFT: tuple[Any, ...] = (
    "left", "L", "LEFT", "lt", "lt.", "Left side", "left-sided", "left lung", "OS", "7771000",
    "Left (qualifier value)", {"code": "7771000"}, {"display": "Left"},
    {"coding": [{"system": "http://snomed.info/sct", "code": "7771000", "display": "Left"}]},
)  # fmt: skip
BOTH = ("bilateral", "both", "B", "BILAT", "both sides", "OU", "51440002", "left and right")
NO_SIDE = ("unknown", "none", "n/a", "unspecified", "midline", "", None, "U", "?", 3)


def spelt_sides() -> Iterator[Made]:
    """Sides in words, eye abbreviations and SNOMED CT codes."""
    for spelt in LEFT:
        one = read_side(1, spelt)
        mismatch: Expected = ("laterality_mismatch", "high")
        yield Made(f"left-{spelt}", "left against right", (one, read_side(2, "right")), mismatch)
        yield Made(f"left-{spelt}-same", "left beside left", (one, read_side(2, "left")), None)
    for nothing in (*BOTH, *NO_SIDE):
        pair = (read_side(1, nothing), read_side(2, "right"))
        yield Made(f"open-{nothing}", "right may be one of both, or the one not named", pair, None)


def read_side(number: int, laterality: Any) -> Any:
    """An effusion as a tool writes it, read as the command reads it."""
    written = said(number, "J90").model_dump(exclude_none=True)
    return read_finding({**written, "laterality": laterality})


SELF = ("patient", "Patient", "self", "subject", "the patient", "proband", "Patient/p1", "", "now",
        "current", "present", "confirmed",
        "http://ehr.example/fhir/Patient/p1/_history/3")  # fmt: skip
OTHERS = ("family", "FAMILY", "family history", "mother", "father (paternal)", "sister", "aunt",
          "maternal grandmother", "son", "family-member", "donor", "fetus", "contact", "spouse",
          "history", "past medical history", "historical", "resolved", "hypothetical", "planned",
          "conditional", "rule out", "suspected", "possible", "screening", "FAMMEMB",
          "http://terminology.hl7.org/CodeSystem/v3-RoleCode|MTH")  # fmt: skip
UNCERTAIN = ("possible pneumothorax", "suspected pneumothorax", "rule out pneumothorax",
             "r/o pneumothorax", "? pneumothorax", "?pneumothorax", "risk of pneumothorax",
             "at risk for pneumothorax", "history of pneumothorax", "h/o pneumothorax",
             "family history of pneumothorax", "pneumothorax cannot be excluded")  # fmt: skip


def spelt_experiencers() -> Iterator[Made]:
    """Whose state it is, and whether it is one: family, history, doubt."""
    absent = said(2, "J93.9", "absent")
    for spelt in SELF:
        one = said(1, "J93.9", subject_context=spelt)
        yield Made(f"self-{spelt}", "the patient, now", (one, absent),
                   ("assertion_contradiction", "high"))  # fmt: skip
    for spelt in OTHERS:
        one = said(1, "J93.9", subject_context=spelt)
        yield Made(f"other-{spelt}", "not the patient now", (one, absent), None)
    for words in UNCERTAIN:
        yield Made(words, "not said to be there", (said(1, words), absent), None)


SIX_HOURS = ("PT6H", "6h", "6 h", "6 hours", "6 hrs", "6hr", "6-hour", "6 Hours", "next 6 hours",
             "within 6 hours", "in 6 hours", "within the next 6 hours", "PT360M", "360 min",
             "P0DT6H", "21600s", "PT6H0M", "0.25d")  # fmt: skip
ELSE = ("PT12H", "48h", "30d", "now", "soon", "", "6", "6mo", "6 shifts")


def spelt_horizons() -> Iterator[Made]:
    """Horizons in ISO 8601 and in words."""
    for text in SIX_HOURS:
        high: Expected = ("risk_divergence", "high")
        yield Made(f"six-{text}", "one horizon", (risk(1, 0.05, text), risk(2, 0.8, "6h")), high)
        yield Made(f"six-{text}-near", "one horizon", (risk(1, 0.6, text), risk(2, 0.8, "6h")),
                   None)  # fmt: skip
    for text in ELSE:
        pair = (risk(1, 0.05, text), risk(2, 0.8, "6h"))
        yield Made(f"else-{text}", "another horizon, or none that can be read", pair, None)


def risk(number: int, value: float, horizon: str) -> Any:
    """A risk of sepsis."""
    return said(number, "A41.9", "present").model_copy(
        update={"kind": "risk", "polarity": None, "value": value, "horizon": horizon}
    )


EQUAL = ("Pneumothorax (finding)", "Pneumothorax (disorder)", "PNEUMOTHORAX", "Pneumothorax NOS",
         "Acute pneumothorax", "Pneumothorax, unspecified", "collapsed lung", "PTX")  # fmt: skip
NARROWER = ("small apical pneumothorax", "Moderate pneumothorax", "large pneumothorax",
            "tension pneumothorax", "basal pneumothorax")  # fmt: skip
SAME = (("PleuralEffusion", "pleural effusion"), ("pleural-effusion", "Pleural Effusion"),
        ("lung_opacity", "LungOpacity"), ("Failure, heart, congestive", "congestive heart failure"),
        ("Pulmonary oedema", "pulmonary edema"), ("Œdème pulmonaire", "œdème pulmonaire"),
        ("BI-RADS finding", "BiRads finding"))  # fmt: skip


def spelt_concepts() -> Iterator[Made]:
    """Names of one finding, and names of kinds of it. Source: SNOMED CT editorial guide (tags)."""
    high: Expected = ("assertion_contradiction", "high")
    absent = said(2, "J93.9", "absent")
    for words in (*EQUAL, *NARROWER):
        yield Made(f"{words}-denied", "none excludes this one", (said(1, words), absent), high)
        yield Made(f"{words}-agreed", "there is one", (said(1, words), said(2, "J93.9")), None)
    for words in NARROWER:
        denied = said(1, words, "absent")
        yield Made(f"no-{words}", "another kind may be there", (denied, said(2, "J93.9")), None)
    for one, two in SAME:
        yield Made(f"{one}-{two}", "one name", (said(1, one), said(2, two)), None)
        yield Made(f"{one}-{two}-denied", "one name", (said(1, one), said(2, two, "absent")),
                   ("assertion_contradiction", "moderate"))  # fmt: skip


FAMILIES = (
    spelt_units,
    spelt_numbers,
    spelt_sides,
    spelt_experiencers,
    spelt_horizons,
    spelt_concepts,
)
