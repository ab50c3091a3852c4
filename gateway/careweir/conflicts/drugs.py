"""Drugs and classes: which drug a coding means, and every class that it belongs to."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from careweir.conflicts.concepts import target_tokens
from careweir.conflicts.memo import Memo
from careweir.conflicts.words import plain
from careweir_fhir.model import Coding, Severity

_STRICT = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ClassRow(BaseModel):
    """A class of drugs; ``duplicate`` is how much it matters to start two of them.

    Words that hold all of one of ``words`` mean the class, in whatever order they stand. A
    ``procedure`` brings a drug with it (a scan with contrast) but is done to one part of the body.
    """

    model_config = _STRICT

    names: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    duplicate: Severity | None = None
    words: tuple[frozenset[str], ...] = ()
    procedure: bool = False


class IngredientRow(BaseModel):
    """One ingredient with its RxNorm codes."""

    model_config = _STRICT

    classes: tuple[str, ...]
    rxnorm: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


class Combination(BaseModel):
    """Two drugs or classes that are meant to stand together."""

    model_config = _STRICT

    a: str
    b: str
    why: str


class InteractionRow(BaseModel):
    """Two drugs or classes that interact when both get into the patient."""

    model_config = _STRICT

    a: str
    b: str
    severity: Severity
    why: str
    source: str
    verified: bool = False


class ContraindicationRow(BaseModel):
    """A drug or class, and the condition or reading that speaks against it."""

    model_config = _STRICT

    drug: str
    concept: str | None = None
    quantity: str | None = None
    above: float | None = None
    below: float | None = None
    severity: Severity
    source: str
    verified: bool = False


class DrugsFile(BaseModel):
    """``drugs.yaml``."""

    model_config = _STRICT

    source: str
    verified: bool
    classes: dict[str, ClassRow]
    ingredients: dict[str, IngredientRow]
    intended: tuple[Combination, ...]
    interactions: tuple[InteractionRow, ...]
    contraindications: tuple[ContraindicationRow, ...]


class Drug(NamedTuple):
    """A drug or a class; ``above`` holds it and every class that it belongs to."""

    id: str
    above: frozenset[str]
    label: str
    procedure: bool = False
    said: frozenset[str] = frozenset()  # the words that name it


class DrugTable:
    """Drugs by RxNorm code or by name, with the tables of what must not stand together."""

    def __init__(self, data: DrugsFile) -> None:
        self.data = data
        self._by_code: dict[str, str] = {}
        self._by_name: dict[str, str] = {}
        for name, row in data.ingredients.items():
            self._by_code.update((code, name) for code in row.rxnorm)
            for words in (name.replace("-", " "), *row.names):
                self._by_name[plain(words)] = name
        for name, group in data.classes.items():
            for words in (name.replace("-", " "), *group.names):
                self._by_name.setdefault(plain(words), name)
        self._longest = max(len(words.split()) for words in self._by_name)
        self._memo: Memo[Drug | None] = Memo()
        self.against_concept: dict[str, list[tuple[int, ContraindicationRow]]] = {}
        self.against_quantity: dict[str, list[tuple[int, ContraindicationRow]]] = {}
        for number, rule in enumerate(data.contraindications):
            if rule.concept is not None:
                self.against_concept.setdefault(rule.concept, []).append((number, rule))
            if rule.quantity is not None:
                self.against_quantity.setdefault(rule.quantity, []).append((number, rule))

    def above(self, name: str) -> frozenset[str]:
        """The drug or class and everything above it."""
        ingredient = self.data.ingredients.get(name)
        group = self.data.classes.get(name)
        parents = ingredient.classes if ingredient else group.parents if group else ()
        return frozenset({name}).union(*(self.above(parent) for parent in parents))

    def resolve(self, coding: Coding) -> Drug | None:
        """The drug of a coding; None when it is no known drug, or code and words disagree."""
        key = (coding.system, coding.code, coding.display)
        return self._memo.get(key, lambda: self._resolve(coding))

    def _resolve(self, coding: Coding) -> Drug | None:
        coded = coding.code and "rxnorm" in (coding.system or "").casefold()
        by_code = self._by_code.get(coding.code or "") if coded else None
        by_name = self.named(coding.display) if coding.display else None
        if by_code is None:
            return by_name
        coded_drug = self._drug(by_code)
        if by_name is None or by_code in by_name.above or by_name.id in coded_drug.above:
            return coded_drug
        return None

    def named(self, text: str) -> Drug | None:
        """The drug that words name: alone, or inside ``warfarin 5 mg oral tablet``."""
        found = self._in_any_order(text)
        if found is not None:
            return found
        words = plain(text).split()
        for size in range(min(self._longest, len(words)), 0, -1):
            for start in range(len(words) - size + 1):
                name = self._by_name.get(" ".join(words[start : start + size]))
                if name is not None:
                    return self._drug(name, frozenset(words[start : start + size]))
        return None

    def _in_any_order(self, text: str) -> Drug | None:
        tokens = target_tokens(text)
        for name, row in self.data.classes.items():
            for words in row.words:
                if words <= tokens:
                    return self._drug(name, words)
        return None

    def _drug(self, name: str, said: frozenset[str] = frozenset()) -> Drug:
        row = self.data.classes.get(name)
        procedure = row is not None and row.procedure
        return Drug(name, self.above(name), name.replace("-", " "), procedure, said)

    def intended(self, a: Drug, b: Drug) -> bool:
        """Is this combination meant (dual antiplatelet therapy, bridging)?"""
        return any(
            (row.a in a.above and row.b in b.above) or (row.a in b.above and row.b in a.above)
            for row in self.data.intended
        )
