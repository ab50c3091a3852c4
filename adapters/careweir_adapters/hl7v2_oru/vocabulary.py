"""The tables of HL7 v2 that results are read by.

Source: HL7 v2.5.1 tables 0078 (abnormal flags), 0085 (result status), 0396 (coding systems);
HL7/v2-to-fhir mappings OBX[Observation] and table 0085. The SNOMED CT and LOINC answer codes for
present and absent are from general knowledge of those systems: their check digits hold, they were
not looked up in a release.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from careweir_fhir.model import ICD10CM, LOINC, RADLEX, RXNORM, SNOMED, Coding, Laterality, Polarity
from careweir_kit.codes import UMLS, well_formed

DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"

SYSTEMS: Final[Mapping[str, str]] = {
    "LN": LOINC,
    "SCT": SNOMED,
    "SNM": SNOMED,
    "I10C": ICD10CM,
    "I10CM": ICD10CM,
    "RXNORM": RXNORM,
    "RADLEX": RADLEX,
    "DCM": DCM,
    "UML": UMLS,
    "UMLS": UMLS,
}

Standing = Literal["final", "preliminary", "corrected", "withdrawn", "unknown", "pending"]

STATUS: Final[Mapping[str, Standing]] = {
    "F": "final",
    "U": "final",
    "V": "final",
    "P": "preliminary",
    "R": "preliminary",
    "S": "preliminary",
    "C": "corrected",
    "A": "corrected",
    "B": "corrected",
    "D": "withdrawn",
    "W": "withdrawn",
    "X": "unknown",
    "I": "pending",
    "N": "pending",
    "O": "pending",
}

FLAGS: Final[Mapping[str, Polarity]] = {
    "POS": "present",
    "DET": "present",
    "NEG": "absent",
    "ND": "absent",
    "IND": "indeterminate",
    "N": "indeterminate",  # a finding that is called normal is neither there nor not
}
CRITICAL: Final = frozenset({"HH", "LL", "AA"})

ANSWERS: Final[Mapping[tuple[str, str], Polarity]] = {
    (SNOMED, "52101004"): "present",
    (SNOMED, "10828004"): "present",  # positive
    (SNOMED, "260373001"): "present",  # detected
    (SNOMED, "2667000"): "absent",
    (SNOMED, "260385009"): "absent",  # negative
    (SNOMED, "260415000"): "absent",  # not detected
    (SNOMED, "82334004"): "indeterminate",
    (SNOMED, "42425007"): "indeterminate",  # equivocal
    (LOINC, "LA9633-4"): "present",
    (LOINC, "LA6576-8"): "present",
    (LOINC, "LA9634-2"): "absent",
    (LOINC, "LA6577-6"): "absent",
}

# Results that say where another result of the same group (OBX-4) is.
SIDE_RESULTS: Final = frozenset({(SNOMED, "272741003"), (LOINC, "20228-3")})
SITE_RESULTS: Final = frozenset({(SNOMED, "363698007")})
SIDES: Final[Mapping[tuple[str, str], Laterality]] = {
    (SNOMED, "7771000"): "left",
    (SNOMED, "24028007"): "right",
    (SNOMED, "51440002"): "bilateral",
}


def coding_of(parts: list[str], *, local: str) -> Coding | None:
    """The coding of a CWE: of its two, the one in a system that is known and holds; None if empty.

    A code of a system that is not known gets the system ``local``, so that nobody takes it for a
    code of a standard.
    """
    found = []
    for at in (0, 3):
        code, display, system = [*parts[at : at + 3], "", "", ""][:3]
        if code.strip() or display.strip():
            name = SYSTEMS.get(system.strip().upper(), local) if code.strip() else None
            found.append(Coding(system=name, code=code.strip() or None, display=display or None))
    for coding in found:
        if coding.code is not None and well_formed(coding.system, coding.code):
            return coding
    return found[0] if found else None


def pair(coding: Coding | None) -> tuple[str, str]:
    """System and code, for look-ups."""
    return (coding.system or "", coding.code or "") if coding else ("", "")
