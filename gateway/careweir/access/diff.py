"""``policy diff``: which role, for which purpose, with which tool, gains or loses which path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from careweir.access.plan import plan
from careweir.access.policy import Forbid, Grant, PolicySet
from careweir_kit.tool import Tool


class Case(NamedTuple):
    """One situation in which two policies are compared."""

    role: str
    purpose: str
    capability: str
    site: str | None
    break_glass: bool


def diff(old: PolicySet, new: PolicySet, tools: Iterable[Tool]) -> dict[str, Any]:
    """``{"old", "new", "changes": [{role, purpose, capability, site, tool, gained, lost}]}``.

    Compared are all roles, capabilities and sites that either policy names, and every purpose that
    a rule of either names. A path is ``Type.path``, with its generalisation and its code classes
    where it has any, so that a wider form of the same path is a gain too.
    """
    tools = tuple(tools)
    changes = []
    for case in sorted(cases(old, new), key=str):
        for tool in tools:
            if case.capability in tool.capabilities:
                before, after = _opened(old, tool, case), _opened(new, tool, case)
                if before != after:
                    changes.append(
                        {
                            **case._asdict(),
                            "tool": tool.tool,
                            "gained": sorted(after - before),
                            "lost": sorted(before - after),
                        }
                    )
    return {"old": old.revision, "new": new.revision, "changes": changes}


def cases(old: PolicySet, new: PolicySet) -> Iterator[Case]:
    """Every situation that a rule of either policy could tell apart."""
    both = (old, new)
    rules: list[Grant | Forbid] = []
    for one in both:
        rules += [*one.grants, *one.forbids]
    purposes = {purpose for rule in rules for purpose in rule.purposes} - {"*"}
    sites = {site for rule in rules for site in rule.sites} - {"*"}
    sites |= {site for one in both for site in one.residency.sites}
    for role in {name for one in both for name in one.roles}:
        for purpose in purposes:
            for capability in old.capabilities | new.capabilities:
                for site in (None, *sites):
                    yield Case(role, purpose, capability, site, purpose == "BTG")


def _opened(policies: PolicySet, tool: Tool, case: Case) -> frozenset[str]:
    decision = policies.decide(**case._asdict())
    if decision.effect == "deny" or tool.region not in decision.rights.regions.names:
        return frozenset()
    found = {
        f"{need.need.resource}.{way.path}"
        + (f" as {way.transform}" if way.transform else "")
        + "".join(f" [{name}]" for name in sorted(way.data_class.code_classes))
        for need in plan(tool, decision.rights)
        for way in need.ways
    }
    found |= {f"sensitivity:{code}" for code in decision.rights.sensitivity}
    found |= {f"confidentiality:{code}" for code in decision.rights.confidentiality}
    return frozenset(found)
