"""What a decision grants: data classes, sensitive labels, and the tables they are read with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from careweir.access.purposes import Purposes
from careweir.access.residency import Regions
from careweir.access.vocabulary import Vocabulary

NOWHERE = Regions(frozenset(), "nowhere")
DeniedBy = Literal["role", "purpose", "forbid"]


@dataclass(frozen=True, slots=True)
class DataClass:
    """A named part of the chart: these paths of this resource type, for these classes of codes.

    ``code_classes`` empty = the resource type has no selecting code or any known code will do.
    ``transforms`` are the generalisations without which the paths may not leave; empty = as it is.
    ``sensitivity`` is what resources of this class may be about; a grant can name more.
    ``administrative``: neither identifying nor clinical, see ``compile.py``.
    """

    name: str
    resource: str
    paths: frozenset[str]
    code_classes: frozenset[str] = frozenset()
    transforms: frozenset[str] = frozenset()
    sensitivity: frozenset[str] = frozenset()
    text: bool = False
    administrative: bool = False
    spare: str | None = None


@dataclass(frozen=True, slots=True)
class Rights:
    """What may leave under one decision. ``rule`` is the grant that says so, with its line."""

    classes: tuple[tuple[DataClass, str], ...] = ()  # (data class, rule), sorted by class name
    sensitivity: frozenset[str] = frozenset()
    confidentiality: frozenset[str] = frozenset()
    regions: Regions = NOWHERE
    purposes: Purposes = field(default=Purposes({}), compare=False, repr=False)
    vocabulary: Vocabulary | None = field(default=None, compare=False, repr=False)
    plans: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)  # see plan.py
    masks: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)  # see mask.py

    def of(self, resource: str) -> tuple[tuple[DataClass, str], ...]:
        """The data classes of one resource type."""
        return tuple(pair for pair in self.classes if pair[0].resource == resource)

    def summary(self) -> Mapping[str, tuple[str, ...]]:
        """Resource type -> paths, sorted: for explanations and comparisons."""
        found: dict[str, set[str]] = {}
        for data_class, _ in self.classes:
            found.setdefault(data_class.resource, set()).update(data_class.paths)
        return {resource: tuple(sorted(paths)) for resource, paths in sorted(found.items())}


@dataclass(frozen=True, slots=True)
class Decision:
    """Permit or deny, and why. ``because`` names rules and lines, ready to show.

    ``break_glass`` is True when an emergency override opened it: the answer is to be flagged.
    """

    effect: Literal["permit", "deny"]
    because: tuple[str, ...]
    denied_by: DeniedBy | None
    rights: Rights
    revision: str
    break_glass: bool = False
