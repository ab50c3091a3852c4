"""LACE, as a pure function of its four parts, with the comorbidity weights of its own paper.

Source: van Walraven C et al. Derivation and validation of an index to predict early death or
unplanned readmission after discharge from hospital to the community. CMAJ 2010;182:551-557, table
of the index. The ICD-10 families of each comorbidity follow Quan H et al., Med Care 2005;43:1130;
families and weights were not checked against the papers themselves (verified: false).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from careweir_adapters.published_score.score import Scored
from careweir_fhir.model import ICD10CM, SNOMED

CITATION: Final = "van Walraven C et al., CMAJ 2010;182:551 (LACE index)"
_DAYS: Final = ((1, 0), (2, 1), (3, 2), (4, 3), (7, 4), (14, 5))  # below this many days: points
_DAYS_MOST: Final = 7

# name -> (weight, beginnings of ICD-10-CM codes, SNOMED CT concepts)
Row = tuple[int, tuple[str, ...], frozenset[str]]
COMORBIDITIES: Final[Mapping[str, Row]] = {
    "myocardial infarction": (1, ("I21", "I22", "I25.2"), frozenset({"22298006", "399211009"})),
    "cerebrovascular disease": (
        1, ("G45", "G46", "I60", "I61", "I62", "I63", "I64", "I67", "I69"),
        frozenset({"230690007"}),
    ),
    "peripheral vascular disease": (1, ("I70", "I71", "I73.9"), frozenset({"399957001"})),
    "diabetes without complications": (
        1, ("E10.9", "E10.6", "E11.9", "E11.6", "E13.9"), frozenset({"44054006", "46635009"}),
    ),
    "heart failure": (
        2, ("I09.81", "I11.0", "I13.0", "I13.2", "I42", "I43", "I50"),
        frozenset({"42343007", "88805009", "84114007"}),
    ),
    "diabetes with organ damage": (
        2, ("E10.2", "E10.3", "E10.4", "E10.5", "E11.2", "E11.3", "E11.4", "E11.5", "E13.2",
            "E13.3", "E13.4", "E13.5"),
        frozenset({"127013003", "422034002", "368581000119106"}),
    ),
    "chronic pulmonary disease": (
        2, ("J40", "J41", "J42", "J43", "J44", "J45", "J47", "J60", "J61", "J62", "J63", "J64",
            "J65", "J66", "J67"),
        frozenset({"13645005", "195967001", "185086009", "87433001"}),
    ),
    "mild liver or renal disease": (
        2, ("B18", "K70.0", "K70.1", "K70.3", "K73", "K74", "N18.1", "N18.2", "N18.3"),
        frozenset({"431855005", "431856006", "433144002"}),
    ),
    "tumour": (
        2, ("C0", "C1", "C2", "C3", "C40", "C41", "C43", "C45", "C46", "C47", "C48", "C49", "C5",
            "C6", "C70", "C71", "C72", "C73", "C74", "C75", "C76", "C81", "C82", "C83", "C84",
            "C85", "C88", "C9"),
        frozenset(),
    ),
    "dementia": (
        3, ("F00", "F01", "F02", "F03", "G30", "G31.1"), frozenset({"26929004", "52448006"}),
    ),
    "connective tissue disease": (
        3, ("M05", "M06", "M31.5", "M32", "M33", "M34", "M35.1", "M35.3"), frozenset({"69896004"}),
    ),
    "moderate or severe liver or renal disease": (
        4, ("I85", "K70.4", "K71.1", "K72.1", "K72.9", "K76.6", "K76.7", "N18.4", "N18.5", "N18.6",
            "Z49", "Z99.2"),
        frozenset({"431857002", "433146000", "46177005"}),
    ),
    "AIDS": (4, ("B20",), frozenset({"62479008"})),
    "metastatic tumour": (6, ("C77", "C78", "C79", "C80"), frozenset()),
}  # fmt: skip
# The graver of a pair takes the place of the milder one.
_GRAVER: Final[Mapping[str, str]] = {
    "diabetes without complications": "diabetes with organ damage",
    "mild liver or renal disease": "moderate or severe liver or renal disease",
    "tumour": "metastatic tumour",
}


def comorbidities(codes: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """The comorbidities that (system, code) pairs show, in the order of the table."""
    held = set(codes)
    icd = [code for system, code in held if system == ICD10CM]
    concepts = {code for system, code in held if system == SNOMED}
    found = [
        name
        for name, (_, families, snomed) in COMORBIDITIES.items()
        if concepts & snomed or any(code.startswith(families) for code in icd)
    ]
    return tuple(name for name in found if _GRAVER.get(name) not in found)


def lace(*, days: int, acute: bool, comorbid: tuple[str, ...], visits: int) -> Scored:
    """Whole days of the stay, visits to an emergency department in the six months before it.

    0 to 19 points; 0-4 low, 5-9 moderate, 10 or more high.
    """
    weight = sum(COMORBIDITIES[name][0] for name in comorbid)
    points = {
        "length of stay": next((p for below, p in _DAYS if days < below), _DAYS_MOST),
        "acute admission": 3 if acute else 0,
        "comorbidity": weight if weight <= 3 else 5,
        "emergency visits": min(visits, 4),
    }
    total = sum(points.values())
    band = "high" if total >= 10 else "moderate" if total >= 5 else "low"
    remarks = (
        f"comorbidities counted: {', '.join(comorbid) or 'none'}",
        "visits and problems that this chart does not show are not counted",
    )
    return Scored("LACE", "LACE index", points, band, CITATION, "P30D", remarks)
