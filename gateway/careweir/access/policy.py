"""The policy engine: deny by default, forbids beat grants, every decision names its lines.

A policy is a directory of YAML, compiled once to sets. The revision is the SHA-256 of the bytes of
all its files, so that an auditor can replay a decision with exactly the policy that made it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from careweir.access.compile import (
    WILDCARD,
    compile_classes,
    compile_purposes,
    compile_vocabulary,
    known,
)
from careweir.access.purposes import BREAK_GLASS, Purposes
from careweir.access.residency import Residency, compile_residency
from careweir.access.rights import DataClass, Decision, DeniedBy, Rights
from careweir.access.schema import (
    CapabilitiesFile,
    GrantEntry,
    RolesFile,
    SensitivityCodesFile,
)
from careweir.access.source import Place, Source, parse, read_source
from careweir.access.vocabulary import Vocabulary, widened
from careweir.errors import PolicyInvalid

REQUIRED = (
    "roles",
    "purposes",
    "capabilities",
    "data_classes",
    "codes",
    "sensitivity_codes",
    "sites",
)
DECISIONS_KEPT_MAX = 4096


@dataclass(frozen=True, slots=True)
class Grant:
    """A compiled permit of ``roles.yaml``; ``at`` is its file and line."""

    at: str
    roles: frozenset[str]
    purposes: frozenset[str]
    capabilities: frozenset[str]
    sites: frozenset[str]
    classes: tuple[str, ...]
    sensitivity: frozenset[str]
    confidentiality: frozenset[str]
    break_glass: bool


@dataclass(frozen=True, slots=True)
class Forbid:
    """A compiled refusal of ``roles.yaml``; ``at`` is its file and line."""

    at: str
    roles: frozenset[str]
    purposes: frozenset[str]
    capabilities: frozenset[str]
    sites: frozenset[str]
    reason: str


@dataclass(frozen=True, slots=True)
class PolicySet:
    """One revision of the whole policy. Immutable: a request keeps the one that it began with."""

    revision: str
    roles: Mapping[str, str]  # name -> title
    capabilities: frozenset[str]
    purposes: Purposes
    classes: Mapping[str, DataClass]
    vocabulary: Vocabulary
    residency: Residency
    grants: tuple[Grant, ...]
    forbids: tuple[Forbid, ...]
    scopes: Mapping[str, frozenset[str]]  # capability -> the data classes that it is about
    _decisions: dict[tuple[object, ...], Decision] = field(
        default_factory=dict, compare=False, repr=False
    )

    @classmethod
    def load(cls, directory: Path) -> PolicySet:
        """Read and check a policy directory, or raise PolicyInvalid with file, line and rule."""
        return load_policies(directory)

    def decide(
        self,
        *,
        role: str,
        purpose: str,
        capability: str,
        site: str | None,
        break_glass: bool = False,
    ) -> Decision:
        """May this role, for this purpose, at this site, have this question asked?

        ``break_glass`` says that the token carries an emergency override; it opens nothing but
        grants that are marked for it, and those only for the purpose BTG.
        """
        asked = (role, purpose, capability, site, break_glass)
        decision = self._decisions.get(asked)
        if decision is None:
            decision = self._decide(*asked)
            if len(self._decisions) < DECISIONS_KEPT_MAX:
                self._decisions[asked] = decision
        return decision

    def _decide(
        self, role: str, purpose: str, capability: str, site: str | None, break_glass: bool
    ) -> Decision:
        name = "/".join(
            (
                _named(role, self.roles),
                _named(purpose, self.purposes.parents),
                _named(capability, self.capabilities),
            )
        )
        forbids = [
            forbid
            for forbid in self.forbids
            if _applies(forbid.roles, role)
            and (WILDCARD in forbid.purposes or forbid.purposes & self.purposes.lineage(purpose))
            and _applies(forbid.capabilities, capability)
            and _applies(forbid.sites, site)
        ]
        if forbids:
            because = [f"forbid {name}: {forbid.reason} ({forbid.at})" for forbid in forbids]
            return self._deny("forbid", because)

        near = [g for g in self.grants if role in g.roles and capability in g.capabilities]
        grants = [
            (grant, granted)
            for grant in near
            if _applies(grant.sites, site) and (break_glass or not grant.break_glass)
            for granted in sorted(grant.purposes)
            if self.purposes.covers(granted, purpose)
        ]
        if not grants:
            denied_by: DeniedBy = "purpose" if self._known_for(near, site) else "role"
            return self._deny(denied_by, [f"no grant for {name}"])

        rules = [f"grant {role}/{granted}/{capability} ({g.at})" for g, granted in grants]
        return Decision(
            effect="permit",
            because=tuple(rules),
            denied_by=None,
            rights=self._rights([g for g, _ in grants], rules, site),
            revision=self.revision,
            break_glass=purpose == BREAK_GLASS,
        )

    def _known_for(self, near: Iterable[Grant], site: str | None) -> bool:
        return any(_applies(grant.sites, site) for grant in near)

    def _deny(self, denied_by: DeniedBy, because: Iterable[str]) -> Decision:
        return Decision(
            effect="deny",
            because=tuple(because),
            denied_by=denied_by,
            rights=Rights(vocabulary=self.vocabulary),
            revision=self.revision,
        )

    def _rights(self, grants: Iterable[Grant], rules: Iterable[str], site: str | None) -> Rights:
        by_name: dict[str, str] = {}
        sensitivity: set[str] = set()
        confidentiality: set[str] = set()
        for grant, rule in zip(grants, rules, strict=True):
            sensitivity |= grant.sensitivity
            confidentiality |= grant.confidentiality
            for name in grant.classes:
                by_name[name] = min(rule, by_name.get(name, rule))
        return Rights(
            classes=tuple((self.classes[name], by_name[name]) for name in sorted(by_name)),
            sensitivity=widened(sensitivity),
            confidentiality=frozenset(confidentiality),
            regions=self.residency.of(site),
            purposes=self.purposes,
            vocabulary=self.vocabulary,
        )


def _named(name: str, declared: Iterable[str]) -> str:
    """A name as it may be shown: one that the policy declares, never a caller's own words."""
    return name if name in declared else "(unknown)"


def _applies(names: frozenset[str], name: str | None) -> bool:
    return WILDCARD in names or name in names


def load_policies(directory: Path) -> PolicySet:
    """Compile a policy directory."""
    bodies = _read(directory)
    sources = {
        name: read_source(name, body)
        for name, body in bodies.items()
        if name.removesuffix(".yaml") in REQUIRED or name.startswith("sensitivity/")
    }
    for name in REQUIRED:
        if f"{name}.yaml" not in sources:
            raise PolicyInvalid(f"{name}.yaml:1: the file is missing")

    labels = parse(sources["sensitivity_codes.yaml"], SensitivityCodesFile).codes
    listed = parse(sources["capabilities.yaml"], CapabilitiesFile).capabilities
    capabilities = {name: entry.administrative == "true" for name, entry in listed.items()}
    purposes = compile_purposes(sources["purposes.yaml"])
    sensitive = [s for name, s in sources.items() if name.startswith("sensitivity/")]
    vocabulary = compile_vocabulary(sources["codes.yaml"], sensitive, labels)
    classes = compile_classes(sources["data_classes.yaml"], vocabulary)
    for name, entry in listed.items():
        place: Place = ("capabilities", name, "scope")
        known(sources["capabilities.yaml"], place, entry.scope, classes)
    source = sources["roles.yaml"]
    file = parse(source, RolesFile)
    names = {
        "role": file.roles,
        "purpose": purposes.parents,
        "capability": capabilities,
        "classes": classes,
        "sensitivity": labels,
    }
    return PolicySet(
        revision=revision_of(bodies),
        roles={name: entry.title for name, entry in file.roles.items()},
        capabilities=frozenset(capabilities),
        purposes=purposes,
        classes=classes,
        vocabulary=vocabulary,
        residency=compile_residency(sources["sites.yaml"]),
        grants=_checked(source, _grants(source, file, names), capabilities, classes),
        forbids=tuple(_forbids(source, file, names)),
        scopes={name: frozenset(entry.scope) for name, entry in listed.items()},
    )


def revision_of(bodies: Mapping[str, bytes]) -> str:
    """``sha256:…`` over all policy files, by name; each name and body with its length."""
    digest = hashlib.sha256()
    for name in sorted(bodies):
        for part in (name.encode(), bodies[name]):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return "sha256:" + digest.hexdigest()


def _read(directory: Path) -> dict[str, bytes]:
    """Every policy file that decides; decision tables are tests of a policy, not part of it."""
    try:
        paths = sorted(directory.rglob("*.yaml"))
        found = {path.relative_to(directory).as_posix(): path.read_bytes() for path in paths}
    except OSError:
        raise PolicyInvalid("the policy directory cannot be read") from None
    return {name: body for name, body in found.items() if not name.startswith("tests/")}


def _grants(source: Source, file: RolesFile, names: Mapping[str, Iterable[str]]) -> Iterable[Grant]:
    for index, entry in enumerate(file.grants):
        place: Place = ("grants", index)
        for part in ("role", "purpose", "capability", "classes", "sensitivity"):
            known(source, (*place, part), getattr(entry, part), names[part])
        _check_break_glass(source, place, entry)
        yield Grant(
            at=source.at(place),
            roles=frozenset(entry.role),
            purposes=frozenset(entry.purpose),
            capabilities=frozenset(entry.capability),
            sites=frozenset(entry.sites),
            classes=tuple(sorted(entry.classes)),
            sensitivity=frozenset(entry.sensitivity),
            confidentiality=frozenset(entry.confidentiality),
            break_glass=entry.break_glass == "true",
        )


def _checked(
    source: Source,
    grants: Iterable[Grant],
    administrative: Mapping[str, bool],
    classes: Mapping[str, DataClass],
) -> tuple[Grant, ...]:
    """INVARIANT: for an administrative capability nothing but administrative classes is granted."""
    kept = tuple(grants)
    for index, grant in enumerate(kept):
        if not any(administrative[name] for name in grant.capabilities):
            continue
        for name in grant.classes:
            if not classes[name].administrative:
                why = f"{name!r} is not administrative, and the capability is"
                raise source.refuse(("grants", index, "classes"), why)
        if grant.sensitivity or grant.confidentiality:
            why = "an administrative capability opens nothing sensitive"
            raise source.refuse(("grants", index), why)
    return kept


def _check_break_glass(source: Source, place: Place, entry: GrantEntry) -> None:
    wants = entry.break_glass == "true"
    if wants != (BREAK_GLASS in entry.purpose) or (wants and len(entry.purpose) > 1):
        raise source.refuse(place, "`break_glass: true` and the purpose BTG go together, alone")


def _forbids(
    source: Source, file: RolesFile, names: Mapping[str, Iterable[str]]
) -> Iterable[Forbid]:
    for index, entry in enumerate(file.forbids):
        place: Place = ("forbids", index)
        for part in ("role", "purpose", "capability"):
            known(source, (*place, part), getattr(entry, part), {WILDCARD, *names[part]})
        yield Forbid(
            at=source.at(place),
            roles=frozenset(entry.role),
            purposes=frozenset(entry.purpose),
            capabilities=frozenset(entry.capability),
            sites=frozenset(entry.sites),
            reason=entry.reason,
        )
