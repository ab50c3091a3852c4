"""What a recommendation asks for: a verb and a drug, a disposition or anything else."""

from __future__ import annotations

from typing import NamedTuple

from careweir.conflicts.concepts import Concept, target_tokens
from careweir.conflicts.drugs import Drug
from careweir.conflicts.rulebook import RuleBook
from careweir.conflicts.words import plain
from careweir_fhir.model import Coding, Dose, Finding


class Advice(NamedTuple):
    """``exclusive`` is (group, name, intensity) where a patient can have only one of a group."""

    verb: str
    drug: Drug | None
    ids: frozenset[str]
    tokens: frozenset[str]
    exclusive: tuple[str, str, int] | None
    dose: Dose | None
    label: str


def advice_of(finding: Finding, concept: Concept, book: RuleBook) -> Advice | None:
    """The advice of a recommendation, or None when verb or target cannot be read."""
    target = finding.target or finding.code
    verb = book.verbs.get(plain(finding.action)) if finding.action else None
    text = target.display or ""
    if verb is None:
        verb, text = _verb_in(text or finding.code.display or "", book)
    if verb is None:
        return None
    exclusive = _exclusive(target_tokens(text), book) if text else None
    bare = Coding(system=target.system, code=target.code, display=text or None)
    drug = book.drugs.resolve(bare) if exclusive is None else None
    tokens = target_tokens(text)
    if drug is None and not tokens and not target.code:
        return None
    return Advice(
        verb=verb,
        drug=drug,
        ids=frozenset(concept.ids) if drug is None else frozenset({drug.id}),
        tokens=tokens,
        exclusive=exclusive,
        dose=finding.dose,
        label=drug.label if drug else (text or target.code or "").strip().casefold()[:60],
    )


def _exclusive(tokens: frozenset[str], book: RuleBook) -> tuple[str, str, int] | None:
    """The disposition that words name: exactly, or the longest of two words or more inside."""
    exact = book.exclusives.get(tokens)
    if exact is not None:
        return exact
    inside = [key for key in book.exclusives if len(key) > 1 and key <= tokens]
    return book.exclusives[max(inside, key=lambda key: (len(key), sorted(key)))] if inside else None


def _verb_in(text: str, book: RuleBook) -> tuple[str | None, str]:
    """A verb at the head of words: ``start warfarin`` -> start, ``warfarin``."""
    words = plain(text).split()
    for size in (3, 2, 1):
        verb = book.verbs.get(" ".join(words[:size]))
        if verb is not None and len(words) > size:
            return verb, " ".join(words[size:])
    return None, text
