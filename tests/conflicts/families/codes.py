"""Sides, stages and encounters inside ICD-10-CM codes, hierarchy, words, exclusions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from careweir_fhir.model import ICD10CM, RADLEX, Coding
from conflicts.families.case import Expected, Made, coded, said

LATERAL: Expected = ("laterality_mismatch", "high")
# stem, then the characters for right and left, and what follows (ICD-10-CM tabular list 2025)
SIDED = (
    ("S72.00", "1", "2", "A"), ("S72.14", "1", "2", "A"), ("S82.20", "1", "2", "A"),
    ("S42.20", "1", "2", "A"), ("S52.50", "1", "2", "A"), ("S62.00", "1", "2", "A"),
    ("I63.51", "1", "2", ""), ("I63.41", "1", "2", ""), ("C34.1", "1", "2", ""),
    ("C50.41", "1", "2", ""), ("N63.1", "1", "2", None), ("M17.1", "1", "2", None),
    ("H33.00", "1", "2", ""), ("I82.41", "1", "2", ""), ("S83.51", "1", "2", "A"),
)  # fmt: skip


def sides_in_codes() -> Iterator[Made]:
    """The side is one character of the code; silence and another encounter are no mismatch."""
    for stem, right, left, last in SIDED:
        if last is None:
            continue
        one, two = said(1, f"{stem}{right}{last}"), said(2, f"{stem}{left}{last}")
        yield Made(f"{stem}-opposite", "right against left in the code", (one, two), LATERAL)
        same = said(2, f"{stem}{right}{last}")
        yield Made(f"{stem}-same", "one code twice", (one, same), None)
        field = said(2, f"{stem}{right}{last}", laterality="right")
        yield Made(f"{stem}-field", "the field says what the code says", (one, field), None)
        if last == "A":
            later = said(2, f"{stem}{right}D")
            yield Made(f"{stem}-later", "a subsequent encounter", (one, later), None)


PAIRED = (
    "pleural effusion",
    "pneumothorax",
    "hip fracture",
    "hydronephrosis",
    "retinal detachment",
)


def sides_in_words() -> Iterator[Made]:
    """Word, field, code: wherever the side stands it counts, and silence does not."""
    for words in PAIRED:
        right = said(1, words, laterality="right")
        yield Made(f"{words}-fields", "two fields", (right, said(2, words, laterality="left")),
                   LATERAL)  # fmt: skip
        yield Made(f"{words}-word", "field and word", (right, said(2, f"left {words}")), LATERAL)
        yield Made(f"{words}-words", "two words", (said(1, f"right {words}"),
                   said(2, f"left {words}")), LATERAL)  # fmt: skip
        yield Made(f"{words}-silent", "no side said", (right, said(2, words)), None)
        both = said(2, words, laterality="bilateral")
        yield Made(f"{words}-both", "both sides hold the right", (right, both), None)
        absent = said(2, words, "absent", laterality="left")
        yield Made(f"{words}-absent-left", "both can be true", (right, absent), None)
        unknown = said(2, words, laterality="unknown")
        yield Made(f"{words}-unknown", "unknown is silence", (right, unknown), None)
        other = said(2, words, laterality="left", study="ImagingStudy/s2")
        yield Made(f"{words}-study", "another examination", (right, other), None)


# code stem per level, and the step from which what is done changes (sources in scales.yaml)
STAGED = (
    ("N18", ("N18.1", "N18.2", "N18.31", "N18.32", "N18.4", "N18.5")),
    ("L89", ("L89.151", "L89.152", "L89.153", "L89.154")),
    ("J45", ("J45.20", "J45.30", "J45.40", "J45.50")),
    ("F32", ("F32.0", "F32.1", "F32.2")),
    ("F33", ("F33.0", "F33.1", "F33.2")),
)


def stages_in_codes() -> Iterator[Made]:
    """Two stages of one chronic disease cannot both be coded; one stage twice is agreement."""
    for name, codes in STAGED:
        for one, two in combinations(codes, 2):
            yield Made(f"{one}-{two}", f"one stage of {name}", (coded(1, one), coded(2, two)),
                       ("coding_discrepancy", "low"))  # fmt: skip
        for code in codes:
            yield Made(f"{code}-same", "one stage", (coded(1, code), coded(2, code)), None)


# narrower code, broader code above it
ABOVE = (
    ("J13", "J18.9"), ("J15.9", "J18.9"), ("I61.9", "I62.9"), ("I60.9", "I62.9"),
    ("I62.00", "I62.9"), ("S06.5X0A", "I62.9"), ("E11.65", "E11"), ("I50.22", "I50"),
    ("N17.0", "N17"), ("I26.02", "I26"), ("K26.4", "K26"), ("S22.41XA", "S22.4"),
)  # fmt: skip


def hierarchy() -> Iterator[Made]:
    """No child beside the parent is no conflict; no parent excludes every child."""
    for narrow, broad in ABOVE:
        one, two = said(1, narrow), said(2, broad)
        yield Made(f"{narrow}-{broad}-both", "a deeper code", (one, two), None)
        none = said(2, narrow, "absent")
        parent = said(1, broad)
        yield Made(f"{narrow}-no-child", "no child says nothing", (parent, none), None)
        coders = (coded(1, narrow), coded(2, broad))
        yield Made(f"{narrow}-{broad}-coders", "specificity is no discrepancy", coders, None)
        unsure = said(2, broad, "indeterminate")
        yield Made(f"{narrow}-unsure", "indeterminate is no denial", (one, unsure), None)


# a code, and words that are another thing (public code labels RID5352 "Thickening", and worse)
CLASHES = (
    (RADLEX, "RID5352", "Thickening"), (RADLEX, "RID5352", "Pneumonia"),
    (ICD10CM, "J93.9", "Pleural effusion"), (ICD10CM, "J90", "Pneumothorax"),
    (ICD10CM, "I26.99", "Pneumonia"), (ICD10CM, "J18.9", "Pulmonary embolism"),
    (ICD10CM, "S72.001A", "fracture of left femur neck"),
)  # fmt: skip


def code_against_words() -> Iterator[Made]:
    """A code whose words say another thing is not trusted, whoever it would contradict."""
    for system, code, display in CLASHES:
        odd = Coding(system=system, code=code, display=display)
        for number, words in enumerate(("pneumothorax", "pneumonia", "pleural effusion")):
            for polarity in ("present", "absent"):
                one = said(1, words, polarity).model_copy(update={"code": odd})
                other = "absent" if polarity == "present" else "present"
                findings = (one, said(2, words, other))
                yield Made(f"{code}-{display}-{number}-{polarity}", "code and words disagree",
                           findings, None)  # fmt: skip


EXCLUDED = (
    ("E10.9", "E11.9", "moderate"), ("E10.65", "E11.65", "moderate"),
    ("I50.22", "I50.32", "moderate"), ("I50.21", "I50.31", "moderate"),
    ("I61.9", "I63.9", "moderate"), ("I60.9", "I63.9", "moderate"),
    ("I21.4", "I21.09", "moderate"), ("I21.4", "I21.3", "moderate"),
    ("R65.20", "R65.21", "moderate"), ("O80", "O82", "moderate"),
    ("I10", "I11.9", "low"), ("I10", "I15.9", "low"), ("Z87.891", "F17.210", "low"),
)  # fmt: skip


def exclusive_codes() -> Iterator[Made]:
    """Codes that exclude each other, and each of them beside itself, its stem and history."""
    for one, two, severity in EXCLUDED:
        pair = (coded(1, one), coded(2, two))
        yield Made(f"{one}-{two}", "cannot both be right", pair, ("coding_discrepancy", severity))
        yield Made(f"{one}-{two}-one-coder", "one coder lists both",
                   (coded(1, one), coded(1, two)), None)  # fmt: skip
        elsewhere = coded(2, two, encounter="Encounter/e2")
        yield Made(f"{one}-{two}-elsewhere", "another encounter", (coded(1, one), elsewhere), None)
        past = coded(2, two, subject_context="history")
        yield Made(f"{one}-{two}-past", "history", (coded(1, one), past), None)


FAMILIES = (
    sides_in_codes, sides_in_words, stages_in_codes, hierarchy, code_against_words,
    exclusive_codes,
)  # fmt: skip
