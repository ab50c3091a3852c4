"""Faults that change nothing that anybody could see, each with the reason why.

Named by module, the faulty line as it stands, and the fault. A line that changes loses its entry.
"""

from __future__ import annotations

from typing import Final

from mutation.mutant import Mutant

_REMEMBERED: Final = "what was remembered is worked out again, and comes to the same"
_BOUND: Final = "one more or less is remembered"

EQUIVALENT: Final[dict[tuple[str, str, str], str]] = {
    ("minimise.chart", "if self.by_reference is None:", "always"): _REMEMBERED,
    ("minimise.chart", "if found is None:", "always"): _REMEMBERED,
    ("minimise.sensitive", "if found is None:", "always"): _REMEMBERED,
    ("minimise.consent", "if found is None:", "always"): _REMEMBERED,
    ("minimise.mask", "if found is None:", "always"): _REMEMBERED,
    ("minimise.scrub", "if found is None:", "always"): _REMEMBERED,
    ("minimise.scrub", "if self._marks is None:", "always"): _REMEMBERED,
    ("minimise.select", "if groups is None:", "always"): _REMEMBERED,
    ("minimise.select", "if key not in self._chart.memo:", "always"): _REMEMBERED,
    ("minimise.select", "if window not in self._starts:", "always"): _REMEMBERED,
    ("minimise.select", "if openings not in merged:", "always"): _REMEMBERED,
    ("access.vocabulary", "if found is None:", "always"): _REMEMBERED,
    ("access.vocabulary", "if len(self._about) < CODES_KEPT_MAX:", "compare"): _BOUND,
    ("access.vocabulary", "if len(self._about) < CODES_KEPT_MAX:", "never"): _REMEMBERED,
    ("access.policy", "if decision is None:", "always"): _REMEMBERED,
    ("access.policy", "if len(self._decisions) < DECISIONS_KEPT_MAX:", "compare"): _BOUND,
}


def why_equivalent(mutant: Mutant) -> str | None:
    """The reason why nobody can notice this fault, or None."""
    module = mutant.module.removeprefix("careweir.")
    return EQUIVALENT.get((module, mutant.source(), mutant.site.fault))
