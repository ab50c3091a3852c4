"""What careweir knows: codes with their class and sensitivity, units, sensitive words.

A code that stands in no table is never sent: nobody can say what it gives away. Words are the
second net, for sensitive content under a harmless, wrong or missing code.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

CodeKey = tuple[str, str]  # (system URL, code)

START_LENGTH = 3
CODES_KEPT_MAX = 65_536
_WORD = re.compile(r"[^\W_]+")

# Source: HL7 v3-ActCode; security labels treat these four as one family, since ETH and SUD stand
# on different branches of the terminology and mean the same records.
SUBSTANCE_USE = frozenset({"ETH", "SUD", "ETHUD", "OPIOIDUD"})


class Known(NamedTuple):
    """A code in our table. ``sensitivity`` is an HL7 sensitivity code, or None."""

    display: str
    code_class: str
    sensitivity: str | None


@dataclass(frozen=True, slots=True)
class Sensitive:
    """The codes that are sensitive, by the plain name of their system.

    A code of a system in ``by_category`` stands for itself and for all below it, and is kept bare:
    F20 covers F20.9, which some write F209.
    """

    codes: Mapping[str, Mapping[str, frozenset[str]]]  # system -> code -> sensitivity codes
    names: Mapping[str, str]  # other plain names of a system -> its own
    by_category: frozenset[str]

    def of(self, system: str, code: str) -> frozenset[str]:
        """The sensitivity codes of a coding. One without a system could be of any."""
        if not system:
            return frozenset().union(*(self._of(one, code) for one in self.codes))
        plain = plain_system(system)
        return self._of(self.names.get(plain, plain), code)

    def _of(self, system: str, code: str) -> frozenset[str]:
        listed = self.codes.get(system)
        if listed is None:
            return frozenset()
        if system not in self.by_category:
            return listed.get(code.strip(), frozenset())
        bare = bare_code(code)
        return frozenset().union(*(listed.get(bare[:n], ()) for n in range(len(bare), 0, -1)))


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """All tables of one policy revision. Compared by identity: one revision has one."""

    systems: Mapping[str, str]  # alias -> URL
    codes: Mapping[CodeKey, Known]
    units: frozenset[str]
    unit_synonyms: Mapping[str, str]
    sensitive_codes: Sensitive
    sensitive_words: Mapping[str, re.Pattern[str]]
    sensitive_starts: Mapping[str, frozenset[str]]  # first letters of a word -> whose word it is
    labels: frozenset[str]  # sensitivity codes that a policy can name
    _about: dict[CodeKey, frozenset[str]] = field(default_factory=dict, repr=False)

    def system_url(self, alias: str) -> str:
        """The URL of an alias; a URL stands for itself."""
        return self.systems.get(alias, alias)

    def sensitivities_of_code(self, system: str, code: str) -> frozenset[str]:
        """The sensitivity codes of a coding: what its group says, and what lists it."""
        found = self._about.get((system, code))
        if found is None:
            found = self.sensitive_codes.of(system, code)
            known = self.codes.get((system, code))
            if known is not None and known.sensitivity is not None:
                found |= {known.sensitivity}
            if len(self._about) < CODES_KEPT_MAX:
                self._about[system, code] = found
        return found

    def sensitivities_of_text(self, text: str) -> frozenset[str]:
        """The sensitivity codes whose words stand in a text."""
        text = text if text.isascii() else _plainly_written(text)
        words = _WORD.findall(text.casefold())
        starts = {word[:START_LENGTH] for word in words} | {word[:2] for word in words}
        near = [self.sensitive_starts[one] for one in starts & self.sensitive_starts.keys()]
        about = frozenset().union(*near)
        return frozenset(code for code in about if self.sensitive_words[code].search(text))


def _plainly_written(text: str) -> str:
    """Wide and ornate letters as plain ones, and nothing that parts a word without being seen."""
    plain = unicodedata.normalize("NFKC", text)
    return "".join(char for char in plain if unicodedata.category(char) != "Cf")


def plain_system(url: str) -> str:
    """The URL of a code system without version, scheme, case and final slash."""
    bare = url.strip().partition("|")[0].rstrip("/").lower()
    return bare.removeprefix("https://").removeprefix("http://")


def bare_code(code: str) -> str:
    """A code that goes by category, without its dot and in capitals."""
    return code.strip().replace(".", "").upper()


def widened(sensitivity: Iterable[str]) -> frozenset[str]:
    """Sensitivity codes with the substance-use family made whole."""
    codes = frozenset(sensitivity)
    return codes | SUBSTANCE_USE if codes & SUBSTANCE_USE else codes
