"""Who may hear what a tool said: the same grants that let a role ask it."""

from __future__ import annotations

from careweir.access import Actor, PolicySet
from careweir.access.scopes import may_ask


def may_see(actor: Actor, capability: str, *, site: str | None, policies: PolicySet) -> bool:
    """Could this actor ask this capability at this site, for a purpose that the token carries?"""
    if actor.site is not None and site is not None and actor.site != site:
        return False
    if not may_ask(actor.scopes, capability):
        return False
    return any(
        policies.decide(
            role=actor.role,
            purpose=purpose,
            capability=capability,
            site=site,
            break_glass=actor.break_glass is not None,
        ).effect
        == "permit"
        for purpose in sorted(actor.purposes)
        if purpose in policies.purposes.parents
    )
