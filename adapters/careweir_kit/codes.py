"""Are these codes what they say? Check digits and shapes, and the words that belong to a code.

``well_formed`` says whether a code can be one of its system at all; ``verified`` says whether it
passed every check that we have, its words among them where we know ours. A code that did not, or
that nobody here can check, is carried on and marked (``Finding.verified`` False), never mended and
never dropped.

Source: SNOMED CT Release File Specifications, 6 (SCTID: length, partition, Verhoeff check digit);
LOINC Users' Guide, appendix D (mod 10 check digit); ICD-10-CM from CMS/NCHS (public domain), as
the package ``simple-icd-10-cm`` carries it; RxNorm technical documentation (RXCUI is a number).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from careweir_fhir.model import ICD10CM, LOINC, RADLEX, RXNORM, SNOMED, Coding
from careweir_kit import icd10cm

Known = Mapping[tuple[str, str], str | None]

ICD10: Final = "http://hl7.org/fhir/sid/icd-10"
CPT: Final = "http://www.ama-assn.org/go/cpt"
HCPCS: Final = "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
CVX: Final = "http://hl7.org/fhir/sid/cvx"
UMLS: Final = "http://www.nlm.nih.gov/research/umls"
UMLS_HL7: Final = "http://terminology.hl7.org/CodeSystem/umls"
ATC: Final = "http://www.whocc.no/atc"
DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"

_VERHOEFF_D: Final = (
    "0123456789",
    "1234067895",
    "2340178956",
    "3401289567",
    "4012395678",
    "5987604321",
    "6598710432",
    "7659821043",
    "8765932104",
    "9876543210",
)
_VERHOEFF_P: Final = (
    "0123456789",
    "1576283094",
    "5803796142",
    "8916043527",
    "9453126870",
    "4286573901",
    "2793806415",
    "7046913258",
)
_SCTID: Final = re.compile(r"[1-9][0-9]{5,17}")
_LOINC_TERM: Final = re.compile(r"([1-9][0-9]{0,6})-([0-9])")
_LOINC_PART: Final = re.compile(r"L[APLG][1-9][0-9]*-[0-9]")
_ICD: Final = re.compile(r"[A-Z][0-9A][0-9A-Z](?:\.[0-9A-Z]{1,4})?")
_EXTENSION: Final = re.compile(r"\b(?:initial|subsequent|sequela|open|closed|encounter)\b", re.I)


def snomed_well_formed(code: str) -> bool:
    """A SNOMED CT concept identifier: 6 to 18 digits, a concept partition, its check digit."""
    if _SCTID.fullmatch(code) is None or code[-3:-1] not in ("00", "10"):
        return False
    check = 0
    for position, digit in enumerate(reversed(code)):
        permuted = int(_VERHOEFF_P[position % 8][int(digit)])
        check = int(_VERHOEFF_D[check][permuted])
    return check == 0


def loinc_well_formed(code: str) -> bool:
    """A LOINC term with its check digit; of parts, answers and groups the shape only."""
    found = _LOINC_TERM.fullmatch(code)
    if found is None:
        return _LOINC_PART.fullmatch(code) is not None
    total = 0
    for position, digit in enumerate(reversed(found[1])):
        value = int(digit) * (2 if position % 2 == 0 else 1)
        total += value // 10 + value % 10
    return (10 - total % 10) % 10 == int(found[2])


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda code: compiled.fullmatch(code) is not None


_SHAPES: Final[Mapping[str, Callable[[str], bool]]] = {
    SNOMED: snomed_well_formed,
    LOINC: loinc_well_formed,
    ICD10CM: _matches(_ICD.pattern),
    ICD10: _matches(r"[A-Z][0-9]{2}(?:\.[0-9A-Z]{1,2})?"),
    RXNORM: _matches(r"[1-9][0-9]{0,7}"),
    RADLEX: _matches(r"RID[1-9][0-9]*"),
    CPT: _matches(r"[0-9]{4}[0-9AFTUM]"),
    HCPCS: _matches(r"[A-V][0-9]{4}"),
    CVX: _matches(r"[0-9]{1,3}"),
    UMLS: _matches(r"C[0-9]{7}"),
    UMLS_HL7: _matches(r"C[0-9]{7}"),
    ATC: _matches(r"[A-Z](?:[0-9]{2}(?:[A-Z](?:[A-Z](?:[0-9]{2})?)?)?)?"),
    DCM: _matches(r"[0-9]{5,6}"),
}


def well_formed(system: str | None, code: str | None) -> bool | None:
    """Whether a code can be one of its system; None for a system whose rules we do not know."""
    shape = _SHAPES.get(system or "")
    return None if shape is None or code is None else shape(code)


def verified(coding: Coding, known: Known | None = None) -> bool:
    """Whether a code passed every check: its shape, its check digit, that it is, its words.

    ``known`` are the codes of a tool file with our words for them; ICD-10-CM we know whole. Of
    other systems no more is checked than the code itself. False without a code, and for a system
    whose rules we do not know.
    """
    if coding.code is None or coding.system is None:
        return False
    place = (coding.system, coding.code)
    if known is not None and place in known:
        return agree(coding.display, known[place])
    if not well_formed(coding.system, coding.code):
        return False
    if coding.system != ICD10CM:
        return True
    words = icd10cm_words(coding.code)
    # The words of a seventh character are not those of the code: they are let pass.
    given = _EXTENSION.sub(" ", coding.display) if coding.display else None
    return words is not None and agree(given, words)


# Words of which one against another, or against none, is another thing.
_TELLING: Final = frozenset(
    {"left", "right", "bilateral", "acute", "chronic", "without", "not", "no", "non", "primary",
     "secondary", "open", "closed", "benign", "malignant", "history", "family", "screening"}
)  # fmt: skip
_EMPTY: Final = frozenset(
    {"of", "the", "and", "or", "in", "with", "to", "for", "by", "on", "at", "a", "an", "as", "due",
     "unspecified", "nos", "other", "specified", "elsewhere", "classified", "site", "type"}
)  # fmt: skip
_ROMAN: Final = {"i": "1", "ii": "2", "iii": "3", "iv": "4"}


def agree(given: str | None, known: str | None) -> bool:
    """Whether the words with a code can mean what we know of it. No words agree with anything.

    At least half of the words that carry a meaning must be among ours; numbers, sides and words
    such as ``without`` or ``chronic`` may not be others than ours.
    """
    given = (given or "").strip().casefold()
    if not given or known is None or given == known.strip().casefold():
        return True
    said, ours = _words(given), _words(known)
    telling = {word for word in said if word.isdigit() or word in _TELLING}
    if not said or not telling <= ours:
        return False
    return 2 * len(said & ours) >= len(said)


def _words(text: str) -> frozenset[str]:
    found = (word.removesuffix("s") for word in re.findall(r"[^\W_]+", text.casefold()))
    return frozenset(str(_ROMAN.get(word, word)) for word in found if word not in _EMPTY)


def icd10cm_words(code: str) -> str | None:
    """The official words of an ICD-10-CM code, or None when there is no such code.

    A code with an extension (``S72.001A``) has the words of the code that it extends.
    """
    bare = code.replace(".", "")
    found = icd10cm.entry(bare if len(bare) <= 3 else f"{bare[:3]}.{bare[3:]}")
    return None if found is None else found.words
