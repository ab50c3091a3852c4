"""Two coders give codes that exclude each other.

Excludes1 notes of the classification, categories whose one axis has one value (stage), listed
pairs, and "without" against "with" in one category. A deeper or less specific code of one category
is no discrepancy. Source: ICD-10-CM Guidelines I.A.12; coding.yaml; Stausberg 2008 and Wockenfuss
2009 on why terminal codes are compared no further.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator

from careweir.conflicts import icd10
from careweir.conflicts.case import Case
from careweir.conflicts.normalise import Fact
from careweir.conflicts.pairs import BOTH, LEFT, RIGHT
from careweir.conflicts.rulebook import RuleBook
from careweir.conflicts.sameness import (
    differ_in_source,
    same_occasion,
    same_side,
    same_subject,
)
from careweir.conflicts.verdict import PairRule, Verdict, in_order, occasion, said
from careweir_fhir.model import Severity


def _lanes(fact: Fact, book: RuleBook) -> Iterator[tuple[Hashable, int]]:
    """By category: codes of one category meet, and a code meets the categories it excludes."""
    code = fact.concept.icd
    if code is None or fact.polarity != 1 or fact.context is not None or not fact.concept.usable:
        return
    yield (fact.subject, code[:3]), BOTH
    yield (fact.subject, "excluded", code[:3]), LEFT
    for category in _excluded_categories(code, book):
        yield (fact.subject, "excluded", category), RIGHT


def _excluded_categories(code: str, book: RuleBook) -> set[str]:
    listed = {
        other[:3]
        for pair in book.coding.pairs
        for stem, other in ((pair.a, pair.b), (pair.b, pair.a))
        if code.startswith(stem)
    }
    for first, last in icd10.excluded_by(code):
        listed.update(icd10.categories_between(first[:3], last[:3]))
    return listed


def _judge(a: Fact, b: Fact, case: Case) -> Verdict | None:
    one, two = a.concept.icd, b.concept.icd
    if one is None or two is None or one == two:
        return None
    if a.polarity != 1 or b.polarity != 1 or not (a.concept.usable and b.concept.usable):
        return None
    if not differ_in_source(a, b) or not same_subject(a, b) or not same_side(a, b):
        return None
    if a.kind != "coding" or b.kind != "coding":
        return None
    if one.startswith(two) or two.startswith(one) or set(a.concept.ids) & set(b.concept.ids):
        return None
    if not same_occasion(a, b, window_s=_window_s(a, case.book)):
        return None
    found = _excluded(one, two, case.book)
    if found is None:
        return None
    severity, why = found
    first, second = in_order(a, b)
    return Verdict(
        severity,
        f"{said(first)} codes {first.concept.icd}, {said(second)} codes {second.concept.icd}, "
        f"{occasion(a, b)}; {why}",
    )


def _excluded(one: str, two: str, book: RuleBook) -> tuple[Severity, str] | None:
    if one[:3] == two[:3]:
        return _listed(one, two, book) or _within_category(one, two, book)
    found = _listed(one, two, book)
    if found is not None:
        return found
    for code, other in ((one, two), (two, one)):
        if icd10.in_ranges(other, icd10.excluded_by(code)):
            return book.coding.excludes1, f"Excludes1 note at {code[:3]} names {other[:3]}"
    return None


def _listed(one: str, two: str, book: RuleBook) -> tuple[Severity, str] | None:
    for pair in book.coding.pairs:
        for code, other in ((one, two), (two, one)):
            if code.startswith(pair.a) and other.startswith(pair.b):
                return pair.severity, pair.why
    return None


def _within_category(one: str, two: str, book: RuleBook) -> tuple[Severity, str] | None:
    denied = _opposed(one, two, book)
    if denied is not None or _unspecific(one) or _unspecific(two):
        return denied
    axis = book.coding.single_axis.get(one[:3])
    if axis is not None and one[: axis.stem] != two[: axis.stem]:
        return None
    if axis is not None and not _one_axis_kin(one, two):
        return axis.severity, f"category {one[:3]} has one {axis.axis}"
    grades = (book.grades.in_code(one), book.grades.in_code(two))
    one_scale = len({grade.scale if grade else None for grade in grades}) == 1
    if grades[0] is not None and one_scale and grades[0] != grades[1]:
        return book.coding.within_category, f"one {grades[0].scale.replace('-', ' ')} only"
    return None


def _unspecific(code: str) -> bool:
    return "unspecified" in (icd10.describe(code) or "unspecified").casefold()


def _one_axis_kin(one: str, two: str) -> bool:
    return one.startswith(two) or two.startswith(one)


def _opposed(one: str, two: str, book: RuleBook) -> tuple[Severity, str] | None:
    """One stem, and then 'without X' against 'with X', 'not X' against 'X', or opposed words."""
    first, second = _words(one), _words(two)
    for x, y in ((first, second), (second, first)):
        if _denied(x, y):
            return book.coding.within_category, f"one code of {one[:3]} denies what the other says"
        for a, b in book.coding.opposed_words:
            if re.sub(rf"\b{a}\b", b, x) == y:
                return book.coding.within_category, f"{a} against {b} in category {one[:3]}"
    return None


def _denied(denying: str, saying: str) -> bool:
    """``T2DM without complications`` / ``T2DM with ...``; ``... without X`` / ``... with X``."""
    stem, without, denied = denying.rpartition(" without ")
    plain_stem = denying.removesuffix(" uncomplicated")
    if plain_stem != denying and saying.startswith(f"{plain_stem} with "):
        return True
    for found in re.finditer(" with ", saying) if without else ():
        said = saying[found.end() :].removeprefix("unspecified ")
        if _one_stem(stem, saying[: found.start()]):
            return denied.startswith("complication") or said.startswith(denied.split()[0])
    stem, negation, denied = denying.partition(" not ")
    return bool(negation) and saying.startswith(f"{stem} {denied.split()[0]}")


def _one_stem(one: str, other: str) -> bool:
    """``chronic gastric ulcer`` / ``chronic or unspecified gastric ulcer``: one is in the other."""
    first, second = ({*text.split()} - {"or", "unspecified"} for text in (one, other))
    return first == second


def _words(code: str) -> str:
    return " ".join(re.findall(r"\w+", (icd10.describe(code) or "").casefold()))


def _window_s(fact: Fact, book: RuleBook) -> float:
    return book.general.window_h.coding * 3600


RULE = PairRule(
    name="coding_discrepancy",
    kinds=frozenset({"coding"}),
    lanes=_lanes,
    judge=_judge,
    window_s=_window_s,
)
