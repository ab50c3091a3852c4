"""Purposes of use and what they cover: a grant for TREAT covers ETREAT, never BTG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

BREAK_GLASS = "BTG"


@dataclass(frozen=True, slots=True)
class Purposes:
    """The hierarchy of HL7 v3 PurposeOfUse: each code with its parents.

    Source: HL7 Terminology (THO) v3-ActReason, PurposeOfUse.
    """

    parents: Mapping[str, tuple[str, ...]]

    def covers(self, granted: str, asked: str) -> bool:
        """True when a grant for ``granted`` covers ``asked``.

        INVARIANT: nothing but BTG covers BTG. The terminology puts it below ETREAT, but it means
        an override by somebody who is not provisioned.
        """
        if BREAK_GLASS in (granted, asked):
            return granted == asked
        return granted in self.lineage(asked)

    def lineage(self, code: str) -> frozenset[str]:
        """The code and all that stands above it. A forbid looks at this, BTG included."""
        found: set[str] = set()
        waiting = [code]
        while waiting:
            current = waiting.pop()
            if current not in found:
                found.add(current)
                waiting.extend(self.parents.get(current, ()))
        return frozenset(found)
