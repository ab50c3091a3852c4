"""Which concept a tool means: by code, checked against its words, or by the words alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from careweir.conflicts import icd10
from careweir.conflicts.memo import Memo
from careweir.conflicts.words import plain, split_horizon
from careweir_fhir.model import ICD10CM, RADLEX, Coding

_STRICT = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ConceptRow(BaseModel):
    """One row of ``concepts.yaml``; the file says what each field means."""

    model_config = _STRICT

    names: tuple[str, ...] = ()
    icd10cm: tuple[str, ...] = ()
    covers: tuple[str, ...] = ()
    radlex: tuple[str, ...] = ()
    loinc: tuple[str, ...] = ()
    snomed: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    critical: bool = False
    bilateral: bool = False
    unpaired: bool = False
    single: bool = False
    history: bool = False
    source: str | None = None
    verified: bool = False


class Concept(NamedTuple):
    """What a coding means. ``ids`` are equal names of it, ``above`` holds them and all parents."""

    ids: tuple[str, ...]
    above: frozenset[str]
    label: str
    sides: frozenset[str] | None = None
    critical: bool = False
    bilateral: bool = False
    unpaired: bool = False
    single: bool = False
    history: bool = False
    context: str | None = None  # history, family, hypothetical or risk, where the words say so
    negated: bool = False
    horizon_s: int | None = None
    icd: str | None = None
    age: str | None = None  # acute or chronic, where the words say so
    base: str | None = None  # the concept that words narrow: heart failure, of "mild heart failure"
    usable: bool = True  # False: code and words contradict each other, or there are none


_CONTEXTS = (
    ("family history of ", "family"),
    ("history of ", "history"),
    ("personal history of ", "history"),
    ("h o ", "history"),
    ("old ", "history"),
    ("healed ", "history"),
    ("remote ", "history"),
    ("previous ", "history"),
    ("prior ", "history"),
    ("resolved ", "history"),
    ("status post ", "history"),
    ("rule out ", "hypothetical"),
    ("r o ", "hypothetical"),
    ("suspected ", "hypothetical"),
    ("possible ", "hypothetical"),
    ("risk of ", "risk"),
    ("risk for ", "risk"),
    ("at risk of ", "risk"),
    ("at risk for ", "risk"),
)
_NEGATIONS = ("no evidence of ", "absence of ", "negative for ", "without ", "no ", "not ")
_FILLER = frozenset({"of", "the", "a", "an", "in", "on", "and", "due", "to", "side", "sided",
                     "unspecified", "nos", "disease", "organism", "presence"})  # fmt: skip
_IMPLIED = frozenset({"acute", "nontraumatic"})  # what a name means where it says nothing else
_ACUTE = frozenset({"acute", "new", "recent"})
_CHRONIC = frozenset({"chronic", "longstanding"})
_SIDES = frozenset({"right", "left", "rt", "lt", "bilateral", "both"})
_ONE = frozenset({"solitary", "single", "isolated", "sole", "only"})  # how many, not what
_LETTER_FIRST = re.compile(r"^([lr]) (?=[a-z]{3})(?!spine\b)")  # "L hip", and not the lumbar spine


class _Words(NamedTuple):
    key: str
    sides: frozenset[str] | None
    context: str | None
    negated: bool
    horizon_s: int | None
    age: str | None


@lru_cache(maxsize=8192)
def read_words(text: str) -> _Words:
    """Take sides, negation, experiencer and horizon out of words; what is left is the key."""
    words, context, negated = plain(text), None, False
    if text.lstrip().startswith("?"):
        context = "hypothetical"
    words = _LETTER_FIRST.sub(lambda side: f"{side[1]}t ", words)
    for opening, meaning in _CONTEXTS:
        if words.startswith(opening):
            words, context = words[len(opening) :], meaning
            break
    for opening in _NEGATIONS:
        if words.startswith(opening):
            words, negated = words[len(opening) :], True
            break
    words, horizon_s = split_horizon(words)
    kept = sorted({_singular(w) for w in words.split() if w not in _FILLER and w not in _SIDES})
    return _Words(
        " ".join(kept), icd10.sides_in(words), context, negated, horizon_s, _age(words.split())
    )


def _age(words: Iterable[str]) -> str | None:
    """``acute``, ``chronic``, or None for neither and for acute on chronic."""
    acute, chronic = (not ages.isdisjoint(words) for ages in (_ACUTE, _CHRONIC))
    return None if acute is chronic else "acute" if acute else "chronic"


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


_WITHOUT = re.compile(r"\b(?:without|no|non|w o)\s+(\w+)")
_MINOR = frozenset({"with", "to", "for", "therapy", "treatment", "patient", "use", "dose"})


@lru_cache(maxsize=4096)
def target_tokens(text: str) -> frozenset[str]:
    """The words of a target that matter; ``without contrast`` is one word of its own."""
    words = _WITHOUT.sub(r"without\1", plain(text))
    return frozenset(read_words(words).key.split()) - _MINOR


class ConceptTable:
    """The curated cross-map; resolving is memoised, with a bound, per table."""

    def __init__(
        self, rows: Mapping[str, ConceptRow], modifiers: frozenset[str] = frozenset()
    ) -> None:
        self.rows = rows
        self._modifiers = modifiers
        self._by_code: dict[tuple[str, str], list[str]] = {}
        self._covers: dict[str, list[str]] = {}
        self._by_words: dict[str, str] = {}
        self._above: dict[str, frozenset[str]] = {}
        self._memo: Memo[Concept] = Memo()
        for name, row in rows.items():
            self._index(name, row)

    def _index(self, name: str, row: ConceptRow) -> None:
        for code in row.icd10cm:
            self._by_code.setdefault(("icd", code), []).append(name)
        for code in (*row.icd10cm, *row.covers):
            self._covers.setdefault(code, []).append(name)
        for system, codes in (("rid", row.radlex), ("loinc", row.loinc), ("sct", row.snomed)):
            for code in codes:
                self._by_code.setdefault((system, code), []).append(name)
        for words in (name.replace("-", " "), *row.names):
            self._by_words.setdefault(read_words(words).key, name)

    def above(self, name: str) -> frozenset[str]:
        """The concept and everything that it is a kind of."""
        known = self._above.get(name)
        if known is None:
            row = self.rows[name]
            known = frozenset({name}).union(*(self.above(parent) for parent in row.parents))
            known = known.union(*(self._claimed_by(code) for code in row.icd10cm))
            self._above[name] = known
        return known

    def _claimed_by(self, code: str) -> frozenset[str]:
        """Concepts that cover a code as one of their kinds (not as the code itself)."""
        exact = self._by_code.get(("icd", code), ())
        names: set[str] = set()
        for prefix in icd10.prefixes(code):
            names.update(n for n in self._covers.get(prefix, ()) if n not in exact)
        if code[0] in self._covers:
            names.update(self._covers[code[0]])
        return frozenset(names)

    def named(self, text: str) -> Concept | None:
        """The concept that words name, or None when the table does not know them."""
        return self._from_words(read_words(text))

    def resolve(self, coding: Coding) -> Concept:
        """The concept of a coding; never fails, an unknown one is a concept of its own."""
        key = (coding.system, coding.code, coding.display)
        return self._memo.get(key, lambda: self._resolve(coding))

    def _resolve(self, coding: Coding) -> Concept:
        words = read_words(coding.display) if coding.display and coding.display.strip() else None
        by_words = self._from_words(words) if words else None
        by_code = self._from_code(coding)
        if by_code is None:
            opaque = _opaque(coding, words, self._modifiers)
            if by_words is None:
                return _with_words(opaque, words)
            ids = (*by_words.ids, *(i for i in opaque.ids if i.startswith("code:")))
            return _with_words(by_words._replace(ids=ids, above=by_words.above.union(ids)), words)
        if by_words is not None and not _related(by_code, by_words):
            return by_code._replace(usable=False)
        if by_words is None and words is not None and self._foreign(coding, by_code, words):
            return by_code._replace(usable=False)
        return _with_words(by_code, words)

    def _foreign(self, coding: Coding, by_code: Concept, words: _Words) -> bool:
        """Has a RadLex id words that share nothing with any name of its concept?

        Public code often carries a wrong id (RID5352, pneumothorax, as "Thickening"), and there is
        no shipped list of all RadLex names to tell a synonym from an error. Source: CONFLICTS 5.
        """
        row = self.rows.get(by_code.ids[0])
        if _system(coding.system) != "rid" or row is None:
            return False
        names = (by_code.ids[0].replace("-", " "), *row.names)
        known = {word for name in names for word in read_words(name).key.split()}
        return known.isdisjoint(words.key.split())

    def _from_words(self, words: _Words) -> Concept | None:
        name = self._by_words.get(words.key)
        if name is None:
            rest = " ".join(w for w in words.key.split() if w not in _IMPLIED)
            name = self._by_words.get(rest)
        return self._narrowed(words) if name is None else self._concept((name,))

    def _narrowed(self, words: _Words) -> Concept | None:
        """A known concept under words that narrow it: a kind of it, equal only to itself."""
        dropped = self._modifiers.union(_IMPLIED)
        rest = " ".join(w for w in words.key.split() if w not in dropped)
        name = self._by_words.get(rest)
        if name is None:
            return None
        concept = self._concept((name,))
        own = f"words:{words.key}"
        return concept._replace(ids=(own,), above=concept.above.union({own}), base=name)

    def _from_code(self, coding: Coding) -> Concept | None:
        if not coding.code:
            return None
        system = _system(coding.system)
        if system == "icd" or (system is None and icd10.tidy_code(coding.code) == coding.code):
            return self._from_icd(coding.code)
        names = self._by_code.get((system or "", coding.code))
        return self._concept((names[0],)) if names else None

    def _from_icd(self, raw: str) -> Concept | None:
        code = icd10.tidy_code(raw)
        if code is None:
            return None
        names = self._by_code.get(("icd", code))
        if names:
            concept = self._concept((names[0], f"icd:{code}"), extra=self._claimed_by(code))
            chain = (f"icd:{prefix}" for prefix in icd10.prefixes(code))
            return concept._replace(icd=code, above=concept.above.union(names, chain))
        parts = icd10.take_apart(code)
        if parts is None:
            return None
        return self._from_parts(code, parts)

    def _from_parts(self, code: str, parts: icd10.IcdCode) -> Concept:
        claimed = self._claimed_by(code)
        above = frozenset(parts.ids).union(*(self.above(name) for name in claimed), claimed)
        exact = [n for c in icd10.prefixes(code) if f"icd:{c}" == parts.ids[0]
                 for n in self._by_code.get(("icd", c), ())]  # fmt: skip
        named = [
            (meaning, f"words:{read.key}")
            for meaning, read in ((meaning, read_words(text)) for meaning, text in parts.names)
            if read.context is None and not read.negated  # a family history is none of one's own
        ]
        own = (words for meaning, words in named if meaning == parts.ids[0])
        ids = tuple(dict.fromkeys((parts.ids[0], *exact[:1], *own)))
        above = above.union(words for _, words in named)
        flags = [self.rows[name] for name in above if name in self.rows]
        return Concept(
            ids=ids,
            above=above.union(ids),
            label=code,
            sides=parts.sides,
            critical=any(row.critical for row in flags),
            bilateral=any(row.bilateral for row in flags),
            unpaired=parts.sides is None and any(row.unpaired for row in flags),
            history=any(row.history for row in flags),
            context="history" if parts.sequela else None,
            age=_age(parts.description.casefold().split()),
            icd=code,
        )

    def _concept(self, ids: tuple[str, ...], extra: Iterable[str] = ()) -> Concept:
        name = ids[0]
        row = self.rows[name]
        above = self.above(name).union(ids).union(*(self.above(other) for other in extra))
        return Concept(
            ids=ids,
            above=above,
            label=name.replace("-", " "),
            critical=row.critical,
            bilateral=row.bilateral,
            unpaired=row.unpaired,
            single=row.single,
            history=row.history,
        )


def _system(system: str | None) -> str | None:
    if system is None:
        return None
    folded = system.casefold().rstrip("/")
    if folded == ICD10CM or "icd-10" in folded or "icd10" in folded or "6.90" in folded:
        return "icd"
    if folded == RADLEX or "radlex" in folded:
        return "rid"
    if "loinc" in folded:
        return "loinc"
    return "sct" if "snomed" in folded else folded


def _opaque(coding: Coding, words: _Words | None, modifiers: frozenset[str]) -> Concept:
    """A code or words that the table does not know: equal only to itself.

    Words that narrow make a kind of what is left without them.
    """
    ids: list[str] = []
    base = None
    if coding.code:
        ids.append(f"code:{_system(coding.system) or ''}|{coding.code.strip().upper()}")
    if words is not None and words.key:
        said = words.key.split()
        named = " ".join(w for w in said if w not in _ONE) or words.key
        broad = " ".join(w for w in named.split() if w not in modifiers.union(_IMPLIED))
        ids.append(f"words:{named}")
        base = f"words:{broad}" if broad and broad != named else None
    label = coding.display or coding.code or "no code"
    above = frozenset(ids if base is None else (*ids, base))
    label = label.strip().casefold()[:80]
    return Concept(tuple(ids), above, label, base=base, usable=bool(ids))


def _with_words(concept: Concept, words: _Words | None) -> Concept:
    if words is None:
        return concept
    sides = concept.sides or words.sides
    clash = concept.sides and words.sides and not (concept.sides & words.sides)
    return concept._replace(
        sides=sides,
        context=concept.context or words.context,
        negated=words.negated,
        horizon_s=words.horizon_s,
        age=words.age or concept.age,
        usable=concept.usable and not clash,
    )


def _related(a: Concept, b: Concept) -> bool:
    return not a.above.isdisjoint(b.above)
