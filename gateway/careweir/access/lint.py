"""``policy lint``: rules nothing reaches, rights no tool needs, needs no right opens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from careweir.access.elements import ELEMENTS
from careweir.access.plan import asked_paths, plan
from careweir.access.policy import Grant, PolicySet
from careweir_kit.tool import Tool


class Lint(NamedTuple):
    """One remark: the kind of fault, where it is, and what is wrong in words."""

    rule: str
    at: str
    message: str


def lint(policies: PolicySet, tools: Iterable[Tool]) -> dict[str, Any]:
    """``{"revision", "remarks": [{"rule", "at", "message"}], "notes": […]}``, in a fixed order.

    A remark is a fault. A note is what somebody says that they mean: a class beyond today's needs
    that the question is about (``scope`` of the capability), one that is kept spare, a capability
    that no tool serves yet.
    """
    tools = tuple(tools)
    wide = tuple(_wider_than_needed(policies, tools))
    remarks = sorted(
        {
            *_unreachable(policies),
            *_repeated(policies),
            *(remark for remark, meant in wide if not meant),
            *(remark for remark, meant in _never_granted(policies) if not meant),
            *_unsatisfied(policies, tools),
            *_unknown_to_us(policies, tools),
        }
    )
    notes = sorted(
        {
            *(remark for remark, meant in wide if meant),
            *(remark for remark, meant in _never_granted(policies) if meant),
            *_unserved(policies, tools),
        }
    )
    return {
        "revision": policies.revision,
        "remarks": [remark._asdict() for remark in remarks],
        "notes": [note._asdict() for note in notes],
    }


def _unreachable(policies: PolicySet) -> Iterator[Lint]:
    """Grants that a forbid beats in every case that they name."""
    for grant in policies.grants:
        effects = {
            policies.decide(
                role=role,
                purpose=purpose,
                capability=capability,
                site=None if site == "*" else site,
                break_glass=grant.break_glass,
            ).denied_by
            for role in grant.roles
            for purpose in grant.purposes
            for capability in grant.capabilities
            for site in grant.sites
        }
        if effects == {"forbid"}:
            yield Lint("unreachable-grant", grant.at, "a forbid beats it wherever it applies")


def _repeated(policies: PolicySet) -> Iterator[Lint]:
    for grant in policies.grants:
        for other in policies.grants:
            if other is not grant and _covers(policies, other, grant):
                yield Lint("repeated-grant", grant.at, f"says no more than {other.at}")


def _covers(policies: PolicySet, wide: Grant, narrow: Grant) -> bool:
    """True when ``wide`` opens all that ``narrow`` does; of twins, the later covers nothing."""
    if wide.break_glass != narrow.break_glass:
        return False
    inside = (
        narrow.roles <= wide.roles
        and narrow.capabilities <= wide.capabilities
        and ("*" in wide.sites or narrow.sites <= wide.sites)
        and set(narrow.classes) <= set(wide.classes)
        and narrow.sensitivity <= wide.sensitivity
        and narrow.confidentiality <= wide.confidentiality
        and all(
            any(policies.purposes.covers(granted, purpose) for granted in wide.purposes)
            for purpose in narrow.purposes
        )
    )
    order = policies.grants.index
    return inside and not (_same(wide, narrow) and order(wide) > order(narrow))


def _same(one: Grant, other: Grant) -> bool:
    def key(grant: Grant) -> tuple[object, ...]:
        return (
            grant.roles, grant.purposes, grant.capabilities, grant.sites, grant.classes,
            grant.sensitivity, grant.confidentiality,
        )  # fmt: skip

    return key(one) == key(other)


def _unserved(policies: PolicySet, tools: Sequence[Tool]) -> Iterator[Lint]:
    served = {name for tool in tools for name in tool.capabilities}
    for name in sorted(policies.capabilities - served):
        yield Lint("unserved", f"capabilities.yaml: {name}", "no tool serves it yet")


def _wider_than_needed(policies: PolicySet, tools: Sequence[Tool]) -> Iterator[tuple[Lint, bool]]:
    """Data classes of a grant that no tool of its capabilities asks for; True: it is meant so."""
    for grant in policies.grants:
        served = any(grant.capabilities & set(tool.capabilities) for tool in tools)
        about = {name for one in grant.capabilities for name in policies.scopes[one]}
        needed = {
            path
            for tool in tools
            if grant.capabilities & set(tool.capabilities)
            for path in asked_paths(tool)
        }
        for name in grant.classes:
            data_class = policies.classes[name]
            granted = {f"{data_class.resource}.{path}" for path in data_class.paths}
            asked = any(
                path in granted or any(one.startswith(path + ".") for one in granted)
                for path in needed
            )
            if not asked and (served or name not in about):
                yield Lint("wider-than-needed", grant.at, f"no tool needs {name}"), name in about


def _never_granted(policies: PolicySet) -> Iterator[tuple[Lint, bool]]:
    granted = {name for grant in policies.grants for name in grant.classes}
    for name, entry in policies.classes.items():
        if name not in granted:
            why = "no grant names this class" + (f": {entry.spare}" if entry.spare else "")
            at = f"data_classes.yaml: {name}"
            yield Lint("never-granted", at, why), entry.spare is not None


def _unsatisfied(policies: PolicySet, tools: Sequence[Tool]) -> Iterator[Lint]:
    """Tools that no grant admits, and paths of tools that no role may send."""
    for tool in tools:
        at = f"tools/{tool.tool}.yaml"
        grants = [g for g in policies.grants if g.capabilities & set(tool.capabilities)]
        if not grants:
            yield Lint("unsatisfiable-tool", at, "no grant names a capability of this tool")
            continue
        opened: set[str] = set()
        for grant in grants:
            opened |= _opened(policies, grant, tool)
        for path in asked_paths(tool):
            if path not in opened and not any(one.startswith(path + ".") for one in opened):
                yield Lint("unsatisfiable-need", at, f"no role may send {path}")
        regions = [policies.residency.default, *policies.residency.sites.values()]
        if not any(tool.region in one.names for one in regions):
            yield Lint("closed-region", at, "no site may send to the region of this tool")


def _opened(policies: PolicySet, grant: Grant, tool: Tool) -> set[str]:
    found: set[str] = set()
    for role in grant.roles:
        for purpose in grant.purposes:
            for capability in grant.capabilities & set(tool.capabilities):
                for site in grant.sites:
                    decision = policies.decide(
                        role=role,
                        purpose=purpose,
                        capability=capability,
                        site=None if site == "*" else site,
                        break_glass=grant.break_glass,
                    )
                    if decision.effect == "permit":
                        found |= {
                            f"{need.need.resource}.{way.path}"
                            for need in plan(tool, decision.rights)
                            for way in need.ways
                        }
    return found


def _unknown_to_us(policies: PolicySet, tools: Sequence[Tool]) -> Iterator[Lint]:
    """Codes and paths of tools that stand in no table: they can never be sent."""
    for tool in tools:
        at = f"tools/{tool.tool}.yaml"
        for need in tool.needs:
            for alias, codes in need.codes.items():
                system = policies.vocabulary.system_url(alias)
                for code in codes:
                    if (system, code) not in policies.vocabulary.codes:
                        yield Lint("unknown-code", at, f"{alias} {code} is never sent")
            elements = ELEMENTS.get(need.resource, {})
            for path in need.paths:
                if path not in elements and not any(e.startswith(path + ".") for e in elements):
                    yield Lint("unknown-path", at, f"{need.resource}.{path} is never sent")
