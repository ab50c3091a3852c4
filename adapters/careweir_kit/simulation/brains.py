"""Small models behind the simulated vendors: answers are computed from what was received.

They are made up for demonstrations and tests. Their coefficients come from nowhere but the wish
that clear cases look clear and that two models differ where real ones do; they are not medicine.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

Numbers = Mapping[str, float]

# name -> (where it is normal, weight for each unit away from normal, both directions count)
_LOGISTIC: Final[Mapping[str, tuple[float, float, bool]]] = {
    "heart_rate": (80, 0.030, False),
    "respiratory_rate": (16, 0.110, False),
    "temperature": (37.0, 0.550, True),
    "systolic": (120, -0.028, False),
    "spo2": (97, -0.090, False),
    "leukocytes": (7.5, 0.120, True),
    "lactate": (1.2, 0.700, False),
    "creatinine": (0.9, 0.450, False),
    "age": (60, 0.012, False),
}
_BEDSIDE: Final[Mapping[str, tuple[float, float, bool]]] = {
    "heart_rate": (84, 0.042, False),
    "respiratory_rate": (17, 0.160, False),
    "temperature": (37.0, 0.700, True),
    "systolic": (118, -0.034, False),
    "lactate": (1.6, 0.280, False),
    "age": (65, 0.010, False),
}
_DECLINE: Final[Mapping[str, tuple[float, float, bool]]] = {
    "heart_rate": (82, 0.028, False),
    "respiratory_rate": (16, 0.150, False),
    "temperature": (37.0, 0.350, True),
    "systolic": (122, -0.030, False),
    "spo2": (97, -0.160, False),
    "age": (62, 0.014, False),
}
_READMISSION: Final[Mapping[str, tuple[float, float, bool]]] = {
    "age": (55, 0.018, False),
    "haemoglobin": (13.0, -0.200, False),
    "sodium": (139, 0.080, True),
    "creatinine": (1.0, 0.350, False),
}
_READMISSION_STAYS: Final[Mapping[str, tuple[float, float, bool]]] = {
    "age": (60, 0.020, False),
    "los_days": (4, 0.090, False),
    "prior_adm": (0, 0.550, False),
}
_DETERIORATION: Final[Mapping[str, tuple[float, float, bool]]] = {
    "respiratory_rate": (17, 0.180, False),
    "spo2": (96, -0.160, False),
    "systolic": (120, -0.030, False),
    "heart_rate": (82, 0.030, False),
    "temperature": (37.0, 0.350, True),
    "age": (65, 0.012, False),
}
_NO_SHOW: Final[Mapping[str, tuple[float, float, bool]]] = {
    "lead_days": (14, 0.020, False),
    "missed": (0, 0.700, False),
    "kept": (3, -0.080, False),
    "age_band": (50, -0.012, False),
}
_NO_SHOW_HABIT: Final[Mapping[str, tuple[float, float, bool]]] = {
    "missed": (0, 1.100, False),
    "kept": (2, -0.150, False),
    "lead_days": (20, 0.006, False),
}


def sepsis_logistic(values: Numbers) -> float:
    """Vital signs and laboratory values; lactate and creatinine weigh much."""
    return _logistic(values, _LOGISTIC, intercept=-3.1)


def sepsis_bedside(values: Numbers) -> float:
    """Bedside observations; the laboratory hardly counts, so it misses what hides there."""
    return _logistic(values, _BEDSIDE, intercept=-2.9)


def decline_logistic(values: Numbers) -> float:
    """Bedside observations, oxygen saturation before all."""
    return _logistic(values, _DECLINE, intercept=-2.6)


def readmission_logistic(values: Numbers) -> float:
    """Age and three laboratory values."""
    return _logistic(values, _READMISSION, intercept=-1.9)


def readmission_stays(values: Numbers) -> float:
    """Age, the length of the stay and the stays of the year before."""
    return _logistic(values, _READMISSION_STAYS, intercept=-1.6)


def readmission_fhir(values: Numbers) -> float:
    """Age, earlier stays and three laboratory values."""
    return _logistic(values, {**_READMISSION, "prior_adm": (1, 0.600, False)}, intercept=-1.7)


def deterioration_bedside(values: Numbers) -> float:
    """Vital signs, with breathing first."""
    return _logistic(values, _DETERIORATION, intercept=-2.6)


def no_show_logistic(values: Numbers) -> float:
    """How far ahead it was booked counts beside earlier appointments and the age band."""
    return _logistic(values, _NO_SHOW, intercept=-1.8)


def no_show_habit(values: Numbers) -> float:
    """Earlier appointments decide; how far ahead it was booked hardly counts."""
    return _logistic(values, _NO_SHOW_HABIT, intercept=-2.0)


def _logistic(
    values: Numbers, weights: Mapping[str, tuple[float, float, bool]], *, intercept: float
) -> float:
    """A logistic model over the values that are there; what is missing adds nothing."""
    total = intercept
    for name, (normal, weight, both) in weights.items():
        if name in values:
            away = values[name] - normal
            away = abs(away) if both else away
            total += weight * away
    return round(1 / (1 + math.exp(-max(-30.0, min(30.0, total)))), 4)


NUMBER_BRAINS: Final[Mapping[str, Callable[[Numbers], float]]] = {
    "sepsis_logistic": sepsis_logistic,
    "sepsis_bedside": sepsis_bedside,
    "readmission_logistic": readmission_logistic,
    "readmission_stays": readmission_stays,
    "readmission_fhir": readmission_fhir,
    "deterioration_bedside": deterioration_bedside,
    "decline_logistic": decline_logistic,
    "no_show_logistic": no_show_logistic,
    "no_show_habit": no_show_habit,
}


@dataclass(frozen=True, slots=True)
class Said:
    """What a text reader says: a label, how sure it is, the side, and the words."""

    label: str
    probability: float
    side: str  # left, right, both or none
    quote: str


_WORDS: Final[Mapping[str, str]] = {
    "pneumothorax": r"pneumothora(?:x|ces)",
    "pleural effusion": r"(?:pleural\s+)?effusions?",
    "pneumonia": r"pneumonia",
    "consolidation": r"consolidations?",
    "cardiomegaly": r"cardiomegaly|enlarged\s+(?:heart|cardiac\s+silhouette)",
    "rib fracture": r"rib\s+fractures?|fractured\s+ribs?|fractures?\s+of\s+the\s+\w+\s+rib",
    "pulmonary nodule": r"(?:pulmonary\s+|lung\s+)?nodules?",
}
_NEGATION: Final = re.compile(r"\b(no|not|without|absent|negative\s+for|free\s+of)\b", re.I)
_RULED_OUT: Final = re.compile(
    r"\b(resolved|cleared|(?:is|are)\s+not\s+(?:seen|identified)|not\s+(?:seen|identified)|ruled\s+out)\b",
    re.I,
)
_DOUBT: Final = re.compile(
    r"\b(possible|possibly|may\s+represent|cannot\s+exclude|suspicious)\b", re.I
)
_HISTORY: Final = re.compile(r"\b(history\s+of|previous|prior|known\s+old)\b", re.I)
_SIDE: Final = re.compile(r"\b(left|right|bilateral|both)\b", re.I)
_SENTENCE: Final = re.compile(r"[^.;\n]+")
_SCOPE_END: Final = re.compile(r"\b(but|however|except|although|with)\b|,\s*(?=there\s+is)", re.I)


def chest_words(text: str) -> tuple[Said, ...]:
    """A quick reader: a negation counts only right before the word, and the first side it meets.

    It therefore reads "no effusion or pneumothorax" as a pneumothorax, and takes the side of the
    sentence's first word for every finding in it.
    """
    found = []
    for label, words in _WORDS.items():
        said = None
        for sentence in _SENTENCE.finditer(text):
            match = re.search(rf"\b(?:{words})\b", sentence[0], re.I)
            if match is None:
                continue
            before = sentence[0][: match.start()].rstrip()
            negated = re.search(r"\b(no|without)(\s+\w+)?$", before, re.I) is not None
            side = _side(_SIDE.search(sentence[0]))
            doubt = _DOUBT.search(sentence[0]) is not None
            probability = 0.06 if negated else 0.55 if doubt else 0.91
            quote = sentence[0].strip()
            if said is None or probability > said.probability:
                said = Said(label, probability, side, quote)
        found.append(said or Said(label, 0.03, "none", ""))
    return tuple(found)


def chest_sentences(text: str) -> tuple[Said, ...]:
    """A careful reader: negation reaches to the end of its clause, the nearest side counts.

    History and doubt are not stated findings: it leaves them out, and says nothing about what the
    report does not mention.
    """
    found: dict[str, Said] = {}
    for sentence in _SENTENCE.finditer(text):
        for clause in _clauses(sentence[0]):
            for label, words in _WORDS.items():
                match = re.search(rf"\b(?:{words})\b", clause, re.I)
                if match is None or _DOUBT.search(clause) or _HISTORY.search(clause):
                    continue
                before = clause[: match.start()]
                absent = bool(_NEGATION.search(before) or _RULED_OUT.search(clause[match.end() :]))
                said = Said(
                    label, 0.04 if absent else 0.94, _nearest_side(clause, match), clause.strip()
                )
                if label not in found or found[label].probability < said.probability:
                    found[label] = said
    return tuple(found.values())


def _clauses(sentence: str) -> list[str]:
    cuts = [0, *(match.start() for match in _SCOPE_END.finditer(sentence)), len(sentence)]
    return [sentence[start:end] for start, end in pairwise(cuts)]


def _nearest_side(clause: str, match: re.Match[str]) -> str:
    sides = list(_SIDE.finditer(clause))
    if not sides:
        return "none"
    return _side(min(sides, key=lambda side: abs(side.start() - match.start())))


def _side(match: re.Match[str] | None) -> str:
    if match is None:
        return "none"
    word = match[0].lower()
    return "both" if word in ("bilateral", "both") else word


TEXT_BRAINS: Final[Mapping[str, Callable[[str], tuple[Said, ...]]]] = {
    "chest_words": chest_words,
    "chest_sentences": chest_sentences,
}
