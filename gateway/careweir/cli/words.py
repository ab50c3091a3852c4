"""Hints for who typed a name that the policy does not declare."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from difflib import get_close_matches

from careweir.access import PolicySet

LISTED_MAX = 16


def undeclared(
    policies: PolicySet,
    *,
    role: str,
    purpose: str,
    capability: str | None = None,
    site: str | None = None,
) -> Iterator[str]:
    """One sentence for each name that this policy does not know, with what it does know.

    Nothing is granted to such a name, so the command goes on and says that it is denied; at a site
    that is not listed the default regions hold.
    """
    asked: tuple[tuple[str, str | None, Collection[str]], ...] = (
        ("role", role, policies.roles),
        ("purpose", purpose, policies.purposes.parents),
        ("capability", capability, policies.capabilities),
        ("site", site, policies.residency.sites),
    )
    for what, name, declared in asked:
        if name is not None and name not in declared:
            yield f"this policy knows no {what} {name!r}{_instead(name, declared)}"


def _instead(name: str, declared: Collection[str]) -> str:
    written = {one.lower(): one for one in declared}
    near = get_close_matches(name.lower(), written, n=1)
    if near:
        return f"; is {written[near[0]]} meant?"
    return f"; it knows {', '.join(sorted(declared))}" if len(declared) <= LISTED_MAX else ""
