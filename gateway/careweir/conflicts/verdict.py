"""What a rule is, and what it says of two facts."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from careweir.conflicts.case import Case
from careweir.conflicts.normalise import Fact
from careweir.conflicts.rulebook import RuleBook
from careweir_fhir.model import Severity

_FRACTION = re.compile(r"\.\d+")  # nobody reads the microseconds of a sentence
_STEPS: tuple[Severity, ...] = ("low", "moderate", "high")


class Verdict(NamedTuple):
    """Two facts conflict: how much it matters and why. ``rule`` names the row that decided."""

    severity: Severity
    reason: str
    rule: str | None = None


@dataclass(frozen=True, slots=True)
class PairRule:
    """One kind of conflict.

    ``lanes`` says which claims may meet, whoever makes them and when (and must never keep apart
    two facts on which ``judge`` would give a verdict); ``judge`` is symmetric and decides on its
    own. Equal claims never conflict, and what conflicts on some occasion conflicts when no
    occasion is named. ``binds_subject`` is for the one rule that compares occasions instead.
    """

    name: str
    kinds: frozenset[str]
    lanes: Callable[[Fact, RuleBook], Iterable[tuple[Hashable, int]]]
    judge: Callable[[Fact, Fact, Case], Verdict | None]
    window_s: Callable[[Fact, RuleBook], float]
    needs: frozenset[str] = frozenset()  # kinds without which there is nothing to compare
    binds_subject: bool = False


def gravest(severities: Iterable[Severity], *, floor: Severity) -> Severity:
    """The highest of several severities, at least ``floor``."""
    return max((floor, *severities), key=_STEPS.index)


def said(fact: Fact) -> str:
    """Who speaks, with the time of what it speaks about."""
    when = f" ({_FRACTION.sub('', fact.finding.effective)})" if fact.finding.effective else ""
    return f"{fact.source}{when}"


def in_order(a: Fact, b: Fact) -> tuple[Fact, Fact]:
    """The two facts by name of source, so that a reason reads the same both ways round."""
    return (a, b) if _order(a) <= _order(b) else (b, a)


def _order(fact: Fact) -> tuple[str, str, str, int]:
    """One source may speak of two people in one study: then the time and the person decide."""
    return fact.source, fact.finding.effective or "", fact.subject, fact.position


def occasion(a: Fact, b: Fact) -> str:
    """Where two facts meet, in words."""
    if a.study is not None and a.study == b.study:
        return "same study"
    if a.specimen is not None and a.specimen == b.specimen:
        return "same specimen"
    if a.encounter is not None and a.encounter == b.encounter:
        return "same encounter"
    return "same patient, comparable time"
