"""Small readers of notes behind the simulated entity services: what is named, and how it is meant.

Made up for demonstrations and tests, like the other brains. The codes are from general knowledge
of their vocabularies; their shapes and check digits hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["symptom", "diagnosis", "medication"]


@dataclass(frozen=True, slots=True)
class Word:
    """One entry of the readers' dictionary; a code that is not there is an empty text."""

    kind: Kind
    name: str
    snomed: str = ""
    icd10cm: str = ""
    rxnorm: str = ""
    umls: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the text: half-open, in code points."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Mention:
    """One entity in a text with what is said about it."""

    at: Part
    word: Word
    score: float
    negated: bool = False
    doubtful: bool = False
    family: bool = False
    history: bool = False
    side: Part | None = None
    dose: Part | None = None


_WORDS: Final[Mapping[str, Word]] = {
    r"fever|febrile": Word("symptom", "Fever", "386661006", "R50.9", umls="C0015967"),
    r"chest pain": Word("symptom", "Chest pain", "29857009", "R07.9", umls="C0008031"),
    r"dyspn(?:o)?ea|shortness of breath": Word(
        "symptom", "Shortness of breath", "267036007", "R06.02", umls="C0013404"
    ),
    r"cough": Word("symptom", "Cough", "49727002", "R05.9", umls="C0010200"),
    r"pneumonia": Word("diagnosis", "Pneumonia", "233604007", "J18.9", umls="C0032285"),
    r"pneumothorax": Word("diagnosis", "Pneumothorax", "36118008", "J93.9", umls="C0032326"),
    r"pleural effusion": Word("diagnosis", "Pleural effusion", "60046008", "J90"),
    r"type 2 diabetes(?: mellitus)?": Word(
        "diagnosis", "Type 2 diabetes mellitus", "44054006", "E11.9", umls="C0011860"
    ),
    r"hypertension": Word("diagnosis", "Hypertension", "38341003", "I10", umls="C0020538"),
    r"asthma": Word("diagnosis", "Asthma", "195967001", "J45.909", umls="C0004096"),
    r"stroke": Word("diagnosis", "Stroke", "230690007", "I63.9", umls="C0038454"),
    r"metoprolol": Word("medication", "metoprolol", rxnorm="6918", umls="C0025859"),
    r"metformin": Word("medication", "metformin", rxnorm="6809", umls="C0025598"),
    r"lisinopril": Word("medication", "lisinopril", rxnorm="29046", umls="C0065374"),
    r"aspirin": Word("medication", "aspirin", rxnorm="1191", umls="C0004057"),
}
_SENTENCE: Final = re.compile(r"[^.;\n]+(?:\.(?=\d)[^.;\n]+)*")
_NEGATION: Final = re.compile(r"\b(no|not|denies|without|negative for)\b", re.I)
_SCOPE_END: Final = re.compile(r"\b(but|however|except|although)\b", re.I)
_DOUBT: Final = re.compile(r"\b(possible|possibly|suspected|rule out|if|should)\b", re.I)
_FAMILY: Final = re.compile(r"\b(family|mother|father|sister|brother)\b", re.I)
_HISTORY: Final = re.compile(r"\b(history of|previous|prior)\b", re.I)
_SIDE: Final = re.compile(r"\b(left|right|bilateral)\b", re.I)
_BESIDE: Final = re.compile(r"\b(left|right|bilateral)\s+$", re.I)
_DOSE: Final = re.compile(r"\b\d+(?:\.\d+)? ?(?:mg|mcg|g)\b", re.I)


def entity_sentences(text: str) -> tuple[Mention, ...]:
    """A careful reader: negation up to a turn of the sentence, family, history and doubt."""
    return tuple(_read(text, careful=True))


def entity_words(text: str) -> tuple[Mention, ...]:
    """A quick reader: a negation counts only right before the word, and it knows no family."""
    return tuple(_read(text, careful=False))


def _read(text: str, *, careful: bool) -> Iterator[Mention]:
    for sentence in _SENTENCE.finditer(text):
        for words, word in _WORDS.items():
            for found in re.finditer(rf"\b(?:{words})\b", sentence[0], re.I):
                yield _mention(sentence, found, word, careful=careful)


def _mention(
    sentence: re.Match[str], found: re.Match[str], word: Word, *, careful: bool
) -> Mention:
    before = sentence[0][: found.start()]
    if careful:
        turns = [turn.end() for turn in _SCOPE_END.finditer(before)]
        negated = _NEGATION.search(before[turns[-1] if turns else 0 :]) is not None
    else:
        negated = re.search(r"\b(no|denies|without)\s+$", before, re.I) is not None
    side = (_BESIDE if careful else _SIDE).search(before if careful else sentence[0])
    dose = _DOSE.search(sentence[0], found.end()) if word.kind == "medication" else None
    return Mention(
        at=_part(sentence, found),
        word=word,
        score=0.97 if careful else 0.91,
        negated=negated,
        doubtful=_DOUBT.search(before) is not None,
        family=careful and _FAMILY.search(sentence[0]) is not None,
        history=careful and _HISTORY.search(before) is not None,
        side=_part(sentence, side, 1) if side and word.kind != "medication" else None,
        dose=_part(sentence, dose) if dose else None,
    )


def _part(sentence: re.Match[str], found: re.Match[str], group: int = 0) -> Part:
    start = sentence.start() + found.start(group)
    return Part(start, start + len(found[group]), found[group])


ENTITY_BRAINS: Final[Mapping[str, Callable[[str], tuple[Mention, ...]]]] = {
    "entity_sentences": entity_sentences,
    "entity_words": entity_words,
}
