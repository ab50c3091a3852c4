"""``policy explain``: which rule on which line decided, and what it opens, in words."""

from __future__ import annotations

from typing import Any

from careweir.access.plan import asked_paths, plan
from careweir.access.policy import PolicySet
from careweir.access.rights import Decision
from careweir_kit.tool import Tool


def explain(
    policies: PolicySet,
    *,
    role: str,
    purpose: str,
    capability: str,
    site: str | None = None,
    break_glass: bool = False,
    tool: Tool | None = None,
) -> dict[str, Any]:
    """One decision laid open; with a tool also what of its need is opened and by which line."""
    decision = policies.decide(
        role=role, purpose=purpose, capability=capability, site=site, break_glass=break_glass
    )
    found: dict[str, Any] = {
        "revision": decision.revision,
        "effect": decision.effect,
        "denied_by": decision.denied_by,
        "break_glass": decision.break_glass,
        "because": list(decision.because),
        "classes": [
            {
                "class": data_class.name,
                "resource": data_class.resource,
                "paths": sorted(data_class.paths),
                "codes": sorted(data_class.code_classes),
                "transforms": sorted(data_class.transforms),
                "text": data_class.text,
                "rule": rule,
            }
            for data_class, rule in decision.rights.classes
        ],
        "sensitivity": sorted(decision.rights.sensitivity),
        "regions": sorted(decision.rights.regions.names),
        "near": [] if decision.effect == "permit" else _near(policies, role, capability, site),
    }
    if tool is not None:
        found["tool"] = _of_tool(tool, decision)
    found["words"] = _words(found, role, purpose, capability)
    return found


def _near(policies: PolicySet, role: str, capability: str, site: str | None) -> list[str]:
    """Grants of the same role and capability that did not apply: what would have to be other."""
    return [
        f"{grant.at}: purpose {', '.join(sorted(grant.purposes))}"
        f" at {', '.join(sorted(grant.sites))}" + (" with break-glass" if grant.break_glass else "")
        for grant in policies.grants
        if role in grant.roles and capability in grant.capabilities
    ]


def _of_tool(tool: Tool, decision: Decision) -> dict[str, Any]:
    opened: dict[str, set[str]] = {}
    refused: dict[str, str] = {}
    if decision.effect == "permit":
        for need in plan(tool, decision.rights):
            for way in need.ways:
                opened.setdefault(f"{need.need.resource}.{way.path}", set()).add(way.rule)
            for path, _, rule in need.refused:
                refused[f"{need.need.resource}.{path}"] = rule
    else:
        refused = dict.fromkeys(asked_paths(tool), decision.because[0])
    return {
        "tool": tool.tool,
        "opened": {path: sorted(rules) for path, rules in sorted(opened.items())},
        "refused": {p: rule for p, rule in sorted(refused.items()) if p not in opened},
    }


def _words(found: dict[str, Any], role: str, purpose: str, capability: str) -> list[str]:
    if found["effect"] == "deny":
        lines = [f"{role} may not ask for {capability} for {purpose}: {found['because'][0]}."]
        return lines + [f"A grant that nearly applies stands at {near}." for near in found["near"]]
    lines = [f"{role} may ask for {capability} for {purpose}: {rule}." for rule in found["because"]]
    for one in found["classes"]:
        forms = f", only as {' or '.join(one['transforms'])}" if one["transforms"] else ""
        text = ", with identifiers scrubbed" if one["text"] else ""
        paths = ", ".join(one["paths"])
        lines.append(f"{one['class']} opens {one['resource']} {paths}{forms}{text}.")
    if found["sensitivity"]:
        lines.append(f"Records under {', '.join(found['sensitivity'])} are open too.")
    return lines + (_words_of_tool(found["tool"]) if "tool" in found else [])


def _words_of_tool(of: dict[str, Any]) -> list[str]:
    lines = [f"{of['tool']} may be sent {', '.join(of['opened']) or 'nothing'}."]
    return lines + [f"{path} is not opened to it: {why}." for path, why in of["refused"].items()]
