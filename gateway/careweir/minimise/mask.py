"""How the resources leave that the same needs select: worked out once, not for each of them.

A mask is what need and right come to for one kind of resource. It is kept with the rights, which
live as long as their policy, so that a request only looks up what was worked out before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from careweir.access import Rights
from careweir.access.names import element_name
from careweir.access.plan import LEAD, PlannedNeed, Way
from careweir.minimise.manifest import Refusal

_REBUILT: Final = frozenset({"birthdate", "postal"})  # kinds that leave as something else
Part = tuple[PlannedNeed, frozenset[str]]  # a need, and the classes of the codes that it selects


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """The ways of one kind of resource, sorted by what is done with each element.

    ``whole`` leave as they are read, ``generalised`` become something else, ``parts`` are the
    elements of its backbones. ``asked`` are the paths that the selecting needs ask for.
    """

    kind: str
    whole: tuple[Way, ...]
    generalised: tuple[Way, ...]
    parts: Mapping[str, Mapping[str, Way]]
    opened: frozenset[str]
    asked: frozenset[str]
    replaced: frozenset[str]  # elements in whose place something else leaves
    refused: Mapping[str, tuple[str, str]]  # asked paths that no right opens: reason and rule
    _refusals: dict[tuple[str, str], Refusal] = field(default_factory=dict, repr=False)

    def refusal(self, name: str, head: str = "") -> Refusal:
        """The row of an element that stays here, by the name that the chart gives it."""
        found = self._refusals.get((head, name))
        if found is None:
            element = element_name(f"{self.kind}.{head}" if head else self.kind, name)
            path = f"{head}.{element}" if head else element
            found = (f"{self.kind}.{path}", *self.why(path))
            if found[0].endswith(f".{name}"):  # the standard's names are few, a caller's are not
                self._refusals[head, name] = found
        return found

    def why(self, path: str) -> tuple[str, str]:
        """Reason and rule why an element of a selected resource stays here."""
        if path in self.refused and path not in self.opened:
            return self.refused[path]
        if _names(self.opened, path):
            return "unknown_code", "no code, unit or form that we know"
        if _names(self.asked, path):
            return "role", "no data class of the grant has this path"
        return "not_needed_by_tool", "the tool does not ask for it"


def mask_of(kind: str, parts: Iterable[Part], rights: Rights) -> Mask:
    """The mask of resources of one kind that these needs select."""
    key = tuple(parts)
    found: Mask | None = rights.masks.get(key)
    if found is None:
        found = rights.masks[key] = _made(kind, key)
    return found


def ways_of(need: PlannedNeed, classes: frozenset[str]) -> tuple[Way, ...]:
    """The ways of a need that are open to codes of these classes."""
    return tuple(
        way
        for way in need.ways
        if not way.data_class.code_classes or classes & way.data_class.code_classes
    )


def _made(kind: str, parts: tuple[Part, ...]) -> Mask:
    found = {
        (way.path, way.transform or ""): way
        for need, classes in reversed(parts)  # of two needs the first decides
        for way in ways_of(need, classes)
    }
    ways = [found[key] for key in sorted(found)]

    generalised = [w for w in ways if w.element.kind in _REBUILT or w.transform == LEAD]
    rest = [way for way in ways if way not in generalised]
    backbones: dict[str, dict[str, Way]] = {}
    for way in rest:
        head, _, tail = way.path.partition(".")
        if tail:
            backbones.setdefault(head, {})[tail] = way
    refused: dict[str, tuple[str, str]] = {}
    for need, _ in parts:
        for path, reason, rule in need.refused:
            refused.setdefault(path, (reason, rule))
    return Mask(
        kind=kind,
        whole=tuple(way for way in rest if "." not in way.path),
        generalised=tuple(generalised),
        parts=backbones,
        opened=frozenset(way.path for way in ways),
        asked=frozenset().union(*(need.need.paths for need, _ in parts)),
        replaced=frozenset(way.path for way in generalised if way.transform),
        refused=refused,
    )


def _names(paths: frozenset[str], path: str) -> bool:
    return path in paths or any(name.startswith(path + ".") for name in paths)
