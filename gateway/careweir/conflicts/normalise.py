"""From a finding to a fact: what it claims, about whom, where and when, in comparable terms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from careweir.conflicts.advice import Advice, advice_of
from careweir.conflicts.amounts import Amount, amount_of
from careweir.conflicts.concepts import Concept
from careweir.conflicts.risks import RiskClaim, risk_claim, score_of
from careweir.conflicts.rulebook import RuleBook
from careweir.conflicts.sites import Place
from careweir.conflicts.words import day, instant, plain, reference_tail
from careweir_fhir.model import Coding, Finding

_SIDES = {
    "right": frozenset("R"),
    "left": frozenset("L"),
    "bilateral": frozenset("RL"),
}
_CONFIDENCE_OF_PRESENCE = ("none", "class_probability", "detection")


class Fact(NamedTuple):
    """One current or other claim. ``polarity`` is 1 present, -1 absent, 0 neither."""

    position: int
    finding: Finding
    source: str  # the tool, with its version: two versions of one tool are two sources
    kind: str
    concept: Concept
    polarity: int
    sides: frozenset[str] | None
    place: Place | None
    context: str | None  # None: the patient, now; else history, family, hypothetical
    subject: str  # "" is the patient of the request
    amount: Amount | None
    risk: RiskClaim | None
    advice: Advice | None
    study: str | None
    specimen: str | None
    encounter: str | None
    at: float | None
    confidence: float | None
    day: int | None = None  # of ``at``, or of a date without a time


def only_reference(findings: Sequence[Finding]) -> str | None:
    """Where the case does not say whose it is: the one patient that its findings name."""
    contexts = {finding.subject_context for finding in findings}
    said = {text for text in contexts if text and _is_reference(text)}
    return reference_tail(said.pop()) if len(said) == 1 else None


def _kind(finding: Finding, book: RuleBook) -> str:
    """A named score of risk (NEWS2) that a tool sends as a measurement is compared as a risk."""
    if finding.kind == "measurement" and score_of(finding, book) is not None:
        known = book.quantities.resolve(finding.code)
        if known is None or known.id not in book.quantities:
            return "risk"
    return finding.kind


def _is_reference(text: str) -> bool:
    """``Patient/1``, a URL or a URN, and not a token (``system|code``)."""
    return ("/" in text or text.startswith("urn:")) and "|" not in text


def claim_of(number: int, finding: Finding, book: RuleBook, own: str | None) -> Fact:
    """What a finding claims, of no occasion and by nobody; ``position`` is the claim's number.

    What cannot be read stays None and is not compared.
    """
    code, kind = finding.code, _kind(finding, book)
    if kind == "recommendation" and finding.target is not None:
        code = finding.target
    concept = book.concepts.resolve(code)
    score = score_of(finding, book) if kind == "risk" else None
    if score is not None:  # a score is its name, whatever words stand around it
        usable = concept.usable or not concept.ids
        concept = concept._replace(ids=(f"score:{score}", *concept.ids), usable=usable)
    place = _place(finding, book)
    sides = _SIDES.get(finding.laterality or "") or concept.sides
    if sides is None and place is not None:
        sides = place.sides
    context, subject = _experiencer(finding, concept, book, own)
    return Fact(
        position=number,
        finding=finding,
        source="",
        kind=kind,
        concept=concept,
        polarity=_polarity(finding, concept, book),
        sides=sides,
        place=place,
        context=context,
        subject=subject,
        amount=amount_of(finding, book.quantities, book.units) if kind == "measurement" else None,
        risk=risk_claim(finding, concept, book) if kind == "risk" else None,
        advice=advice_of(finding, concept, book) if kind == "recommendation" else None,
        study=None,
        specimen=None,
        encounter=None,
        at=None,
        confidence=None,
    )


def fact_of(position: int, finding: Finding, claim: Fact) -> Fact:
    """One finding that makes a claim: who says it, and of which occasion."""
    version = finding.tool_version
    study, specimen, encounter = finding.study, finding.specimen, finding.encounter
    sure = finding.confidence_kind in _CONFIDENCE_OF_PRESENCE
    return Fact(
        position,
        finding,
        f"{finding.tool} {version}" if version else finding.tool,
        *claim[3:13],
        reference_tail(study) if study else None,
        reference_tail(specimen) if specimen else None,
        reference_tail(encounter) if encounter else None,
        instant(finding.effective) if finding.effective else None,
        finding.confidence if sure else None,
        day(finding.effective) if finding.effective else None,
    )


def _polarity(finding: Finding, concept: Concept, book: RuleBook) -> int:
    match finding.polarity:
        case "present":
            said = 1
        case "absent":
            said = -1
        case "indeterminate":
            return 0
        case _:
            said = _unspoken_polarity(finding, book)
    return -said if concept.negated else said


def _unspoken_polarity(finding: Finding, book: RuleBook) -> int:
    """A code that a coder assigns is a claim that it is there; else only clear words count."""
    if finding.kind == "coding":
        return 1
    if finding.kind == "assertion" and isinstance(finding.value, str):
        return book.general.polarity_words.get(plain(finding.value), 0)
    return 0


def _experiencer(
    finding: Finding, concept: Concept, book: RuleBook, own: str | None
) -> tuple[str | None, str]:
    said, spoken = finding.subject_context, concept.context
    if spoken == "risk":  # what a risk is always said of, and what an assertion of it is not
        spoken = None if finding.kind == "risk" else "hypothetical"
    if said is None or not said.strip():
        return spoken, ""
    words = plain(said.rpartition("|")[2])  # a token is a system and a code
    known = book.general.context_words.get(words)
    if known is None:
        known = _context_inside(words.split(), book)
    if _is_reference(said) and known != "family":
        tail = reference_tail(said)
        return spoken, "" if tail == own else tail
    if known is None:
        tail = reference_tail(said)
        return ("other", "") if tail != own else (spoken, "")
    return (spoken if known == "patient" else known), ""


def _context_inside(words: list[str], book: RuleBook) -> str | None:
    """``patient mother`` is the mother: any other experiencer comes before the patient."""
    found = [book.general.context_words.get(word) for word in words]
    others = [meaning for meaning in found if meaning not in (None, "patient")]
    return others[0] if others else "patient" if "patient" in found else None


def _place(finding: Finding, book: RuleBook) -> Place | None:
    site = finding.body_site
    if site is None:
        return None
    coding = site if isinstance(site, Coding) else Coding(display=site)
    return book.sites.resolve(coding)


def withdrawn(finding: Finding, book: RuleBook) -> bool:
    return finding.status is not None and plain(finding.status) in book.general.withdrawn


def replaced_positions(findings: Sequence[Finding]) -> set[int]:
    """Positions of findings that a later one says it replaces.

    Ids are a tool's own, so a tool replaces its own findings. Another tool's finding is replaced
    only where its id is the only such one and both are about one study or encounter.
    """
    pointers = [f for f in findings if f.replaces]
    if not pointers:
        return set()
    by_id: dict[str, list[int]] = {}
    for index, finding in enumerate(findings):
        if finding.id:
            by_id.setdefault(reference_tail(finding.id), []).append(index)
    gone: set[int] = set()
    for pointer in pointers:
        named = by_id.get(reference_tail(pointer.replaces or ""), [])
        same_tool = [i for i in named if findings[i].tool == pointer.tool]
        others = [i for i in named if _one_occasion(findings[i], pointer)]
        gone.update(same_tool or (others if len(named) == 1 else []))
    return gone


def _one_occasion(a: Finding, b: Finding) -> bool:
    if a.study is not None or b.study is not None:
        return a.study == b.study
    return a.encounter == b.encounter
