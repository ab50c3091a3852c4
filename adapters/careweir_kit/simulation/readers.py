"""Small readers behind the simulated language models: they read words and coded facts.

Made up for demonstrations and tests, as ``brains.py`` is: a dozen words, a few cues, no medicine.
Two readers of one kind differ where real ones do: the quick one misses whose a problem is, or that
it was ruled out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

# label -> (the words for it, its ICD-10-CM code with its words)
_PROBLEMS: Final[Mapping[str, tuple[str, str, str]]] = {
    "type 2 diabetes mellitus": (
        r"type 2 diabetes(?: mellitus)?|diabetes",
        "E11.9",
        "Type 2 diabetes mellitus without complications",
    ),
    "hypertension": (
        r"hypertension|high blood pressure",
        "I10",
        "Essential (primary) hypertension",
    ),
    "heart failure": (r"heart failure", "I50.9", "Heart failure, unspecified"),
    "pneumonia": (r"pneumonia", "J18.9", "Pneumonia, unspecified organism"),
    "asthma": (r"asthma", "J45.909", "Unspecified asthma, uncomplicated"),
    "atrial fibrillation": (r"atrial fibrillation", "I48.91", "Unspecified atrial fibrillation"),
    "myocardial infarction": (
        r"myocardial infarction|heart attack",
        "I21.9",
        "Acute myocardial infarction, unspecified",
    ),
    "chest pain": (r"chest pain|chest tightness", "R07.9", "Chest pain, unspecified"),
    "shortness of breath": (r"shortness of breath|dyspn(?:o)?ea", "R06.02", "Shortness of breath"),
    "fever": (r"fever", "R50.9", "Fever, unspecified"),
    "cough": (r"cough", "R05.9", "Cough, unspecified"),
    "low back pain": (r"low back pain|back pain", "M54.50", "Low back pain, unspecified"),
}
_SENTENCE: Final = re.compile(r"[^.;\n]+")
_NEGATED: Final = re.compile(r"\b(?:no|denies|without|negative for|not)\b", re.I)
_RULED_OUT: Final = re.compile(r"\b(?:ruled out|excluded|unlikely)\b", re.I)
_FAMILY: Final = re.compile(r"\b(?:mother|father|brother|sister|family history|aunt|uncle)\b", re.I)
_PAST: Final = re.compile(r"\b(?:history of|previous|prior|in (?:19|20)\d\d|years ago)\b", re.I)
_DOUBT: Final = re.compile(
    r"\b(?:possible|possibly|probable|suspected|may be|cannot exclude)\b", re.I
)
_IF: Final = re.compile(r"\b(?:if|should|return for|in case of|risk of)\b", re.I)


@dataclass(frozen=True, slots=True)
class Mention:
    """One problem in a sentence, with what the sentence says about it."""

    label: str
    code: str
    display: str
    assertion: str
    about: str
    when: str
    quote: str


def mentions(text: str) -> Iterator[Mention]:
    """Every problem that a text names, once a sentence."""
    for sentence in _SENTENCE.finditer(text):
        for label, (words, code, display) in _PROBLEMS.items():
            match = re.search(rf"\b(?:{words})\b", sentence[0], re.I)
            if match is not None:
                assertion, about, when = _cues(sentence[0], match)
                yield Mention(label, code, display, assertion, about, when, sentence[0].strip())


def _cues(sentence: str, match: re.Match[str]) -> tuple[str, str, str]:
    before, after = sentence[: match.start()], sentence[match.end() :]
    negated = _NEGATED.search(before) is not None or _RULED_OUT.search(after) is not None
    doubt = _DOUBT.search(sentence) is not None
    about = "family" if _FAMILY.search(before) else "patient"
    hypothetical = _IF.search(before) is not None
    past = _PAST.search(before) is not None or re.search(r"\bin (?:19|20)\d\d\b", after) is not None
    when = "hypothetical" if hypothetical else "history" if past else "current"
    return "absent" if negated else "possible" if doubt else "present", about, when


def entities(text: str, *, careful: bool) -> list[dict[str, Any]]:
    """Entities of a text. The quick reader takes everything for the patient's and for now."""
    return [
        {
            "label": one.label,
            "assertion": one.assertion,
            "about": one.about if careful else "patient",
            "when": one.when if careful else "current",
            "quote": one.quote,
        }
        for one in mentions(text)
    ]


def codings(text: str, *, careful: bool) -> list[dict[str, Any]]:
    """Codes that a text bears out; the quick reader codes doubts and relatives too."""
    found: dict[str, dict[str, Any]] = {}
    for one in mentions(text):
        mine = (one.assertion, one.about, one.when) == ("present", "patient", "current")
        quick = one.assertion != "absent" and one.when != "hypothetical"
        if mine if careful else quick:
            found.setdefault(
                one.code, {"code": one.code, "display": one.display, "quote": one.quote}
            )
    return list(found.values())


_SECTION_CUES: Final[Sequence[tuple[str, re.Pattern[str]]]] = (
    ("plan", re.compile(r"\b(?:plan|continue|start|stop|follow|return|discharge|refer)\b", re.I)),
    ("assessment", re.compile(r"\b(?:assessment|impression|likely|consistent with|diagnos)", re.I)),
)


def sections(text: str, keys: Sequence[str], *, careful: bool) -> list[dict[str, Any]]:
    """Sentences sorted into sections; the quick reader leaves out what follows an ``if``."""
    found: dict[str, list[dict[str, str]]] = {}
    for sentence in _SENTENCE.finditer(text):
        words = sentence[0].strip()
        if not words or (not careful and _IF.search(words)):
            continue
        cued = (key for key, cue in _SECTION_CUES if key in keys and cue.search(words))
        found.setdefault(next(cued, keys[0]), []).append({"text": f"{words}.", "quote": words})
    return [{"key": key, "statements": found[key]} for key in keys if key in found]


_ALARMS: Final = re.compile(
    r"chest pain|tightness|breath|unconscious|syncope|seizure|speech|stroke|bleeding|coughing up",
    re.I,
)
_SOON: Final = re.compile(r"fever|vomit|pain|dizz|rash|wheez|palpitation|weakness|infection", re.I)


def level(said: str, levels: Sequence[str]) -> tuple[str, str]:
    """One of the levels, the most urgent first, and why."""
    if alarm := _ALARMS.search(said):
        return levels[0], f"alarm symptom: {alarm[0].lower()}"
    if soon := _SOON.search(said):
        return levels[min(1, len(levels) - 1)], f"symptom to be seen soon: {soon[0].lower()}"
    return levels[-1], "no alarm symptom"


def decision(facts: Sequence[Mapping[str, Any]], *, careful: bool) -> dict[str, Any]:
    """Whether an order rests on a problem; the careful reader wants earlier care as well."""
    kinds = {str(fact.get("type")) for fact in facts}
    problem = bool(kinds & {"Condition"})
    tried = bool(kinds & {"Procedure", "MedicationRequest", "MedicationStatement"})
    criteria = [{"text": "a documented problem bears out the order", "met": problem, "quote": ""}]
    if careful:
        met = "conservative care is documented"
        criteria.append({"text": met, "met": tried, "quote": ""})
    whole = all(one["met"] for one in criteria)
    answer = "approve" if whole else "review" if careful and problem else "deny"
    return {"decision": answer, "criteria": criteria}
