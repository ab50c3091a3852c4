"""What careweir knows: codes with their class and sensitivity, units, sensitive words.

A code that stands in no table is never sent: nobody can say what it gives away. Words are the
second net, for sensitive content under a harmless, wrong or missing code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

CodeKey = tuple[str, str]  # (system URL, code)

START_LENGTH = 3
_WORD = re.compile(r"[^\W_]+")

# Source: HL7 v3-ActCode; security labels treat these four as one family, since ETH and SUD stand
# on different branches of the terminology and mean the same records.
SUBSTANCE_USE = frozenset({"ETH", "SUD", "ETHUD", "OPIOIDUD"})


class Known(NamedTuple):
    """A code in our table. ``sensitivity`` is an HL7 sensitivity code, or None."""

    display: str
    code_class: str
    sensitivity: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """All tables of one policy revision. Compared by identity: one revision has one."""

    systems: Mapping[str, str]  # alias -> URL
    codes: Mapping[CodeKey, Known]
    units: frozenset[str]
    unit_synonyms: Mapping[str, str]
    sensitive_codes: Mapping[CodeKey, str]
    sensitive_words: tuple[tuple[str, re.Pattern[str]], ...]
    sensitive_starts: frozenset[str]  # the first two or three letters of every sensitive word
    labels: frozenset[str]  # sensitivity codes that a policy can name

    def system_url(self, alias: str) -> str:
        """The URL of an alias; a URL stands for itself."""
        return self.systems.get(alias, alias)

    def sensitivity_of_code(self, system: str, code: str) -> str | None:
        """The sensitivity code of a coding, or None."""
        known = self.codes.get((system, code))
        if known is not None and known.sensitivity is not None:
            return known.sensitivity
        return self.sensitive_codes.get((system, code))

    def sensitivities_of_text(self, text: str) -> frozenset[str]:
        """The sensitivity codes whose words stand in a text."""
        words = _WORD.findall(text.casefold())
        starts = {word[:START_LENGTH] for word in words} | {word[:2] for word in words}
        if starts.isdisjoint(self.sensitive_starts):
            return frozenset()
        return frozenset(code for code, words in self.sensitive_words if words.search(text))


def widened(sensitivity: Iterable[str]) -> frozenset[str]:
    """Sensitivity codes with the substance-use family made whole."""
    codes = frozenset(sensitivity)
    return codes | SUBSTANCE_USE if codes & SUBSTANCE_USE else codes
