"""Assertions in context, grades, risks, triage, recommendations and drugs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from careweir_fhir.model import Coding, Dose, Finding
from conflicts.families.case import Expected, Made, advised, measured, said, tool

CRITICAL = ("pneumothorax", "pulmonary embolism", "aortic dissection", "intracranial hemorrhage")
ORDINARY = ("pleural effusion", "pneumonia", "cardiomegaly", "rib fracture")


def contradictions() -> Iterator[Made]:
    """Present against absent: high for critical findings, low where a tool is near chance."""
    for words in (*CRITICAL, *ORDINARY):
        severity = "high" if words in CRITICAL else "moderate"
        one, none = said(1, words), said(2, words, "absent")
        yield Made(words, "opposite on one study", (one, none),
                   ("assertion_contradiction", severity))  # fmt: skip
        unsure = said(2, words, "absent", confidence=0.55, confidence_kind="class_probability")
        yield Made(f"{words}-chance", "near chance", (one, unsure),
                   ("assertion_contradiction", "low"))  # fmt: skip
        linking = said(2, words, "absent", confidence=0.2, confidence_kind="linking")
        yield Made(f"{words}-linking", "doubt about the code is not doubt about the finding",
                   (one, linking), ("assertion_contradiction", severity))  # fmt: skip
        three = (one, none, said(1, words))
        yield Made(f"{words}-again", "a repeat adds nothing", three,
                   ("assertion_contradiction", severity))  # fmt: skip
        worded = said(2, f"no evidence of {words}")
        yield Made(f"{words}-negated", "negation in the words", (one, worded),
                   ("assertion_contradiction", severity))  # fmt: skip


CONTEXTS = ("history", "family", "hypothetical", "mother", "Patient/donor")


def contexts() -> Iterator[Made]:
    """What is past, supposed, or somebody else's contradicts nothing of today."""
    for words in (*CRITICAL, *ORDINARY):
        none = said(2, words, "absent", study=None, encounter="Encounter/e1")
        for context in CONTEXTS:
            one = said(1, words, study=None, encounter="Encounter/e1", subject_context=context)
            yield Made(f"{words}-{context}", f"{context} is not the patient now", (one, none), None)
        gone = said(1, words, study=None, encounter="Encounter/e1", status="entered-in-error")
        yield Made(f"{words}-withdrawn", "withdrawn", (gone, none), None)


def occasions() -> Iterator[Made]:
    """Another study, encounter or day is another truth; ten minutes without a name are not."""
    for words in (*CRITICAL, *ORDINARY):
        one = said(1, words, effective="2026-03-02T08:00:00Z")
        other = said(2, words, "absent", study="ImagingStudy/s2", effective="2026-03-02T08:10:00Z")
        yield Made(f"{words}-study", "two studies, whatever the clock", (one, other), None)
        bare: dict[str, Any] = {"study": None}
        here = one.model_copy(update=bare | {"encounter": "Encounter/e1"})
        there = other.model_copy(update=bare | {"encounter": "Encounter/e2"})
        yield Made(f"{words}-encounter", "two encounters", (here, there), None)
        late = other.model_copy(update=bare | {"effective": "2026-03-09T08:00:00Z"})
        yield Made(f"{words}-week", "a week apart", (one.model_copy(update=bare), late), None)
        severity = "high" if words in CRITICAL else "moderate"
        soon = (one.model_copy(update=bare), other.model_copy(update=bare))
        yield Made(f"{words}-soon", "ten minutes apart, nothing named", soon,
                   ("assertion_contradiction", severity))  # fmt: skip
        zoned = other.model_copy(update=bare | {"effective": "2026-03-02T10:05:00+02:00"})
        yield Made(f"{words}-zone", "one moment in two zones", (soon[0], zoned),
                   ("assertion_contradiction", severity))  # fmt: skip


def graded(number: int, scale: str, value: str) -> Finding:
    """A grade on a named scale."""
    return Finding(**tool(number), kind="assertion", code=Coding(display="lesion"), scale=scale,
                   value=value, study="ImagingStudy/s1")  # fmt: skip


# scale, levels from mild to grave, whether what is done changes between neighbours
GRADES = (
    ("BI-RADS", ("1", "2", "3", "4", "5"), (None, "moderate", "moderate", "moderate")),
    ("PI-RADS", ("1", "2", "3", "4", "5"), (None, None, "moderate", None)),
    ("Kellgren-Lawrence", ("0", "1", "2", "3", "4"), (None, "low", "moderate", None)),
    ("NYHA", ("I", "II", "III", "IV"), (None, "moderate", "moderate")),
    ("METAVIR", ("F0", "F1", "F2", "F3", "F4"), (None, "moderate", "moderate", None)),
)


def grades() -> Iterator[Made]:
    """Neighbours are noise unless the action changes; two steps and more always count."""
    for scale, levels, steps in GRADES:
        for at, severity in enumerate(steps):
            pair = (graded(1, scale, levels[at]), graded(2, scale, levels[at + 1]))
            found: Expected = ("grade_discrepancy", severity) if severity else None
            yield Made(f"{scale}-{at}", "one step", pair, found)
        for level in levels:
            pair = (graded(1, scale, level), graded(2, scale, f"grade {level}"))
            yield Made(f"{scale}-{level}-same", "one grade", pair, None)
    for one, two in combinations(("BI-RADS", "PI-RADS", "NYHA"), 2):
        pair = (graded(1, one, "1"), graded(2, two, "4"))
        yield Made(f"{one}-{two}", "two scales", pair, None)


def risk(number: int, value: float | str, horizon: str | None = "6h", **more: Any) -> Finding:
    """A probability of sepsis."""
    fields: dict[str, Any] = {"code": Coding(display="sepsis"), "encounter": "Encounter/e1"}
    return Finding(**tool(number), kind="risk", value=value, horizon=horizon, **{**fields, **more})


HORIZONS = (("6h", "PT6H"), ("30d", "P1M"), ("3mo", "P90D"), ("1y", "12mo"), ("24h", "P1D"))


def risks() -> Iterator[Made]:
    """Low against high is a divergence; another horizon, outcome or an overlap is not."""
    rng = random.Random(5)
    for same, spelled in HORIZONS:
        low, high = round(rng.uniform(0.02, 0.15), 2), round(rng.uniform(0.6, 0.95), 2)
        one, two = risk(1, low, same), risk(2, high, spelled)
        yield Made(f"{same}-apart", "low against high", (one, two), ("risk_divergence", "high"))
        percent = risk(2, round(high * 100), spelled, unit="%")
        yield Made(f"{same}-percent", "the same in percent", (one, percent),
                   ("risk_divergence", "high"))  # fmt: skip
        agree = risk(2, round(low * 100), spelled, unit="%")
        yield Made(f"{same}-agree", "agreement in percent", (one, agree), None)
        outcome = risk(2, high, spelled, code=Coding(display="cardiac arrest"))
        yield Made(f"{same}-outcome", "another outcome", (one, outcome), None)
        wide = risk(2, high, spelled, interval=(0.01, 0.99))
        yield Made(f"{same}-interval", "overlapping intervals", (one, wide), None)
        near = (risk(1, 0.17, same), risk(2, 0.24, spelled))
        yield Made(f"{same}-neighbours", "neighbouring bands, 0.07 apart", near, None)
    for (one_h, _), (two_h, _) in combinations(HORIZONS, 2):
        yield Made(f"{one_h}-{two_h}", "two horizons", (risk(1, 0.05, one_h),
                   risk(2, 0.9, two_h)), None)  # fmt: skip


def triaged(number: int, scale: str, level: str | int) -> Finding:
    """A triage level."""
    return Finding(**tool(number), kind="triage", code=Coding(display="triage level"), scale=scale,
                   value=level, encounter="Encounter/e1")  # fmt: skip


def triage() -> Iterator[Made]:
    """One level is what two nurses differ by; an unknown scale may run the other way."""
    scales = ("ESI", "MTS", "CTAS")
    for one in range(1, 6):
        for two in range(1, 6):
            for first, second in (("ESI", "ESI"), ("MTS", "CTAS")):
                found: Expected = None
                if abs(one - two) >= 2:
                    emergent = min(one, two) <= 2 and max(one, two) >= 4
                    found = ("triage_discrepancy", "high" if emergent else "moderate")
                pair = (triaged(1, first, one), triaged(2, second, two))
                yield Made(f"{first}{one}-{second}{two}", "levels apart", pair, found)
    for scale in scales:
        pair = (triaged(1, scale, 1), triaged(2, "House scale", 5))
        yield Made(f"{scale}-unknown", "a scale nobody knows", pair, None)


DRUGS = ("warfarin", "metoprolol", "furosemide", "amoxicillin", "prednisone")


def recommendations() -> Iterator[Made]:
    """Opposite verbs on one target, tenfold doses; the same advice and other targets agree."""
    for drug in DRUGS:
        for take, leave in (("start", "avoid"), ("continue", "stop"), ("initiate", "do not give")):
            pair = (advised(1, take, drug), advised(2, leave, drug))
            yield Made(f"{drug}-{take}-{leave}", "cannot both be followed", pair,
                       ("recommendation_contradiction", "high"))  # fmt: skip
        pair = (advised(1, "start", drug), advised(2, "initiate", drug))
        yield Made(f"{drug}-same", "one advice", pair, None)
        five, fifty = Dose(value=5, unit="mg"), Dose(value=50, unit="mg")
        tenfold = (advised(1, "start", drug, five), advised(2, "start", drug, fifty))
        yield Made(f"{drug}-tenfold", "a decimal point", tenfold,
                   ("recommendation_contradiction", "high"))  # fmt: skip
        grams = (advised(1, "start", drug, five), advised(2, "start", drug,
                 Dose(value=0.005, unit="g")))  # fmt: skip
        yield Made(f"{drug}-grams", "5 mg is 0.005 g", grams, None)
        other = (advised(1, "start", drug), advised(2, "stop", "acetaminophen"))
        yield Made(f"{drug}-other", "another drug", other, None)
        taper = (advised(1, "decrease", drug), advised(2, "taper", drug))
        yield Made(f"{drug}-taper", "one advice in two words", taper, None)


# two drugs and what their labels say of them together
INTERACTING = (
    ("simvastatin", "clarithromycin", "high"), ("nitroglycerin", "sildenafil", "high"),
    ("warfarin", "ibuprofen", "high"), ("sertraline", "phenelzine", "high"),
    ("oxycodone", "lorazepam", "high"), ("lithium", "hydrochlorothiazide", "high"),
    ("methotrexate", "ibuprofen", "high"), ("digoxin", "amiodarone", "high"),
    ("lisinopril", "spironolactone", "moderate"), ("lisinopril", "losartan", "moderate"),
)  # fmt: skip


def drugs() -> Iterator[Made]:
    """Two starts that interact; one stop, one tool or an intended combination does not."""
    for one, two, severity in INTERACTING:
        pair = (advised(1, "start", one), advised(2, "start", two))
        yield Made(f"{one}-{two}", "labels warn", pair, ("drug_interaction", severity))
        stops = (advised(1, "start", one), advised(2, "stop", two))
        yield Made(f"{one}-{two}-stop", "one is stopped", stops, None)
        avoids = (advised(1, "avoid", one), advised(2, "avoid", two))
        yield Made(f"{one}-{two}-neither", "neither is given", avoids, None)
        alone = (advised(1, "start", one), advised(1, "start", two))
        yield Made(f"{one}-{two}-alone", "one tool advises both, and knows it", alone, None)
    for one, two in (("aspirin", "clopidogrel"), ("warfarin", "enoxaparin")):
        pair = (advised(1, "start", one), advised(2, "start", two))
        yield Made(f"{one}-{two}-meant", "an intended combination", pair, None)


# drug, what another tool says, severity
AGAINST: tuple[tuple[str, tuple[str | float, ...], str], ...] = (
    ("warfarin", ("assertion", "pregnancy"), "high"),
    ("lisinopril", ("assertion", "pregnancy"), "high"),
    ("apixaban", ("assertion", "intracranial hemorrhage"), "high"),
    ("heparin", ("assertion", "heparin-induced thrombocytopenia"), "high"),
    ("ibuprofen", ("assertion", "acute kidney injury"), "high"),
    ("metformin", ("98979-8", 21.0, "mL/min/{1.73_m2}"), "high"),
    ("spironolactone", ("2823-3", 6.1, "mmol/L"), "high"),
    ("amoxicillin", ("assertion", "penicillin allergy"), "high"),
)


def contraindications() -> Iterator[Made]:
    """A drug beside what speaks against it; denied, another person's or stopped it does not."""
    for drug, claim, severity in AGAINST:
        found: Expected = ("contraindication", severity)
        start = advised(1, "start", drug)
        if claim[0] != "assertion":
            reading = measured(2, str(claim[0]), float(claim[1]), str(claim[2]), specimen=None)
            yield Made(f"{drug}-reading", "the reading forbids it", (start, reading), found)
            fine = reading.model_copy(update={"value": {21.0: 75.0, 6.1: 4.0}[float(claim[1])]})
            yield Made(f"{drug}-normal", "a normal reading", (start, fine), None)
            stop = (advised(1, "stop", drug), reading)
            yield Made(f"{drug}-stop", "it is stopped", stop, None)
            own = (start, reading.model_copy(update={"tool": "tool-1"}))
            yield Made(f"{drug}-own", "the tool itself weighed it", own, None)
            stale = reading.model_copy(update={"effective": "2026-01-02T08:00:00Z"})
            now = start.model_copy(update={"effective": "2026-03-02T08:00:00Z"})
            yield Made(f"{drug}-old", "a reading of two months ago", (now, stale), None)
            continue
        words = str(claim[1])
        here: dict[str, Any] = {"study": None, "encounter": "Encounter/e1"}
        there = said(2, words, **here)
        yield Made(f"{drug}-{words}", "the label forbids it", (start, there), found)
        none = said(2, words, "absent", **here)
        yield Made(f"{drug}-no-{words}", "denied", (start, none), None)
        hers = said(2, words, subject_context="mother", **here)
        yield Made(f"{drug}-mother", "somebody else", (start, hers), None)
        stop = (advised(1, "stop", drug), there)
        yield Made(f"{drug}-stop", "it is stopped", stop, None)
        avoid = (advised(1, "avoid", drug), there)
        yield Made(f"{drug}-avoid", "it is avoided", avoid, None)
        unsure = said(2, words, "indeterminate", **here)
        yield Made(f"{drug}-unsure", "not known to be there", (start, unsure), None)


FAMILIES = (
    contradictions, contexts, occasions, grades, risks, triage, recommendations, drugs,
    contraindications,
)  # fmt: skip
