"""Units, molar mass, HbA1c, assays that are not one quantity, and readings within the noise.

Factors and limits are written down here from their sources, apart from the tables that the
detector reads, so that a slip in one of them shows.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from conflicts.families.case import Expected, Made, measured

SPELLINGS = (
    ("potassium", "2823-3", 4.0, ("mmol/L", "mmol/l", "mM", "meq/L", "mEq/L")),
    ("creatinine", "2160-0", 90.0, ("umol/L", "µmol/L", "μmol/L", "umol/l", "µmol/l")),
    ("leukocytes", "6690-2", 7.2, ("10*9/L", "10*3/uL", "K/uL", "x10^9/L", "x10^3/uL", "10^9/L")),
    ("systolic", "8480-6", 121.0, ("mm[Hg]", "mmHg", "mm Hg")),
    ("temperature", "8310-5", 37.2, ("Cel", "degC", "°C")),
    ("ferritin", "2276-4", 88.0, ("ug/L", "µg/L", "μg/L", "mcg/L", "ng/mL")),
    ("tsh", "3016-3", 2.1, ("m[IU]/L", "mIU/L", "uIU/mL", "u[IU]/mL", "µIU/mL")),
    ("alt", "1742-6", 31.0, ("[IU]/L", "IU/L", "U/L")),
)


def unit_spellings() -> Iterator[Made]:
    """The same number in two spellings of one unit: agreement, K/uL (a kelvin in UCUM) included."""
    for name, loinc, value, units in SPELLINGS:
        for at, one in enumerate(units):
            for two in units[at + 1 :]:
                findings = (measured(1, loinc, value, one), measured(2, loinc, value, two))
                yield Made(f"{name}-{one}-{two}", f"{one} is {two}", findings, None)


# analyte, LOINC, mass unit, substance unit, mass -> substance (SI conversion tables, AMA Manual of
# Style 11th ed. 17.5), low and high plausible mass value, noise (relative) that must be exceeded
MOLAR = (
    ("glucose", "2345-7", "mg/dL", "mmol/L", 0.05551, 60, 300),
    ("creatinine", "2160-0", "mg/dL", "umol/L", 88.4, 0.6, 6),
    ("bilirubin", "1975-2", "mg/dL", "umol/L", 17.104, 0.5, 15),
    ("cholesterol", "2093-3", "mg/dL", "mmol/L", 0.02586, 120, 300),
    ("triglycerides", "2571-8", "mg/dL", "mmol/L", 0.011294, 60, 900),
    ("urea nitrogen", "3094-0", "mg/dL", "mmol/L", 0.357, 8, 80),
    ("calcium", "17861-6", "mg/dL", "mmol/L", 0.2495, 7, 13),
    ("lactate", "2524-7", "mg/dL", "mmol/L", 0.111, 6, 60),
)


def molar_conversion() -> Iterator[Made]:
    """Mass against substance: exact conversion agrees, the bare number in the other unit slips."""
    rng = random.Random(1)
    for name, loinc, mass, substance, factor, low, high in MOLAR:
        for number in range(3):
            value = round(rng.uniform(low, high), 1)
            one = measured(1, loinc, value, mass)
            same = measured(2, loinc, round(value * factor, 3), substance)
            yield Made(f"{name}-agree-{number}", "one concentration", (one, same), None)
            slip = measured(2, loinc, value, substance)
            found: Expected = ("unit_error_suspected", "high")
            yield Made(f"{name}-slip-{number}", "one number, two units", (one, slip), found)


def hba1c() -> Iterator[Made]:
    """NGSP % and IFCC mmol/mol by the master equation, never by the units' own factor of ten."""
    for tenths in range(45, 125, 3):
        percent = tenths / 10
        ifcc = round(10.93 * percent - 23.5)
        one = measured(1, "4548-4", percent, "%")
        same = measured(2, "4548-4", ifcc, "mmol/mol")
        yield Made(f"agree-{percent}", "IFCC = 10.93 NGSP - 23.5", (one, same), None)
        wrong = measured(2, "4548-4", percent, "mmol/mol")
        found: Expected = ("unit_error_suspected", "high")
        yield Made(f"slip-{percent}", "a percentage read as mmol/mol", (one, wrong), found)


OTHER_QUANTITIES = (
    ("d-dimer FEU and DDU, about 2 to 1", ("48065-7", "ug/L"), ("48066-5", "ug/L"), 2.0),
    ("d-dimer by unit", ("D-dimer", "ug/L FEU"), ("D-dimer", "ug/L DDU"), 2.0),
    ("troponin T and I", ("6598-7", "ng/L"), ("10839-9", "ng/L"), 3.0),
    ("eGFR by two formulas", ("33914-3", "mL/min/{1.73_m2}"), ("98979-8", "mL/min/{1.73_m2}"), 1.3),
    ("eGFR and clearance", ("98979-8", "mL/min/{1.73_m2}"), ("35591-7", "mL/min"), 1.4),
    ("BNP and NT-proBNP", ("30934-4", "ng/L"), ("33762-6", "ng/L"), 6.0),
    ("total and ionised calcium", ("17861-6", "mg/dL"), ("1995-0", "mg/dL"), 0.5),
    ("LDL and total cholesterol", ("2093-3", "mg/dL"), ("2089-1", "mg/dL"), 0.6),
    ("venous and capillary glucose", ("2345-7", "mg/dL"), ("41653-7", "mg/dL"), 1.4),
)


def other_quantities() -> Iterator[Made]:
    """Two quantities that share a name or a specimen are not compared."""
    rng = random.Random(2)
    for why, (one, unit), (two, other_unit), ratio in OTHER_QUANTITIES:
        for number in range(5):
            value = round(rng.uniform(40, 400), 1)
            findings = (
                measured(1, one, value, unit),
                measured(2, two, round(value * ratio, 1), other_unit),
            )
            yield Made(f"{why}-{number}", f"{why} are different quantities", findings, None)


# quantity, LOINC, unit, start, difference within noise, difference beyond, severity beyond
NOISE = (
    ("potassium", "2823-3", "mmol/L", 5.4, 0.4, 0.9, "high"),  # 6.3: limit 6.0
    ("potassium mid", "2823-3", "mmol/L", 3.9, 0.5, 0.8, "low"),
    ("sodium", "2951-2", "mmol/L", 137, 4, 5, "moderate"),  # below 135 is left on one side
    ("creatinine", "2160-0", "mg/dL", 1.3, 0.3, 0.5, "moderate"),
    ("hemoglobin", "718-7", "g/dL", 7.9, 0.5, 1.0, "high"),  # limit 8 g/dL
    ("platelets", "777-3", "10*9/L", 48, 9, 20, "high"),  # limit 50
    ("lactate", "2524-7", "mmol/L", 3.8, 0.4, 0.9, "high"),  # limit 4
    ("cholesterol", "2093-3", "mg/dL", 210, 20, 30, "moderate"),  # limit 240
    ("calcium", "17861-6", "mg/dL", 9.9, 0.9, 1.2, "moderate"),  # limit 10.5
    ("heart rate", "8867-4", "/min", 104, 9, 15, "moderate"),  # limit 110
    ("spo2", "59408-5", "%", 89, 4, 6, "moderate"),  # limit 92
)


def noise() -> Iterator[Made]:
    """Within the allowable error two readings agree, whatever limit lies between; beyond not."""
    for name, loinc, unit, start, within, beyond, severity in NOISE:
        one = measured(1, loinc, start, unit)
        for number, share in enumerate((0.3, 0.6, 0.9)):
            close = measured(2, loinc, round(start + within * share, 3), unit)
            yield Made(f"{name}-within-{number}", "within the allowable error", (one, close), None)
        far = measured(2, loinc, round(start + beyond, 3), unit)
        if name != "sodium":
            found: Expected = ("measurement_discrepancy", severity)
            yield Made(f"{name}-beyond", "beyond it", (one, far), found)
    for tenths in range(35, 59, 3):
        one = measured(1, "10230-1", tenths, "%", specimen=None, study="ImagingStudy/echo")
        two = one.model_copy(update={"tool": "tool-2", "value": tenths + 9})
        yield Made(f"lvef-{tenths}", "under 10 points between two readers", (one, two), None)


def arbitrary_units() -> Iterator[Made]:
    """International units scale by prefix among themselves and never become grams."""
    rng = random.Random(3)
    for number in range(22):
        value = round(rng.uniform(0.5, 9), 2)
        one = measured(1, "3016-3", value, "m[IU]/L")
        same = measured(2, "3016-3", value, "u[IU]/mL")
        yield Made(f"prefix-{number}", "mIU/L is uIU/mL", (one, same), None)
        grams = measured(2, "3016-3", round(value * 7.3, 2), "ug/L")
        yield Made(f"grams-{number}", "no mass of an arbitrary unit", (one, grams), None)


def other_specimens() -> Iterator[Made]:
    """The same analyte of another specimen, or hours apart, is another reading."""
    rng = random.Random(4)
    for number in range(22):
        low, high = round(rng.uniform(2.6, 3.2), 1), round(rng.uniform(5.6, 6.8), 1)
        one = measured(1, "2823-3", low, "mmol/L")
        other = measured(2, "2823-3", high, "mmol/L", specimen="Specimen/2")
        yield Made(f"specimen-{number}", "treated between two samples", (one, other), None)
        hour = 6 + number % 12
        times = (f"2026-03-02T{hour:02d}:00:00Z", f"2026-03-02T{hour + 1 + number % 5:02d}:30:00Z")
        apart = tuple(
            f.model_copy(update={"specimen": None, "effective": at})
            for f, at in zip((one, other), times, strict=True)
        )
        yield Made(f"hours-{number}", "more than half an hour apart", apart, None)


FAMILIES = (
    unit_spellings, molar_conversion, hba1c, other_quantities, noise, arbitrary_units,
    other_specimens,
)  # fmt: skip
