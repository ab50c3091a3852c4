"""Need of the tool ∩ right of the role, worked out before a chart is opened."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from careweir.access.elements import ELEMENTS, TEXT_KINDS, Element
from careweir.access.rights import DataClass, Rights
from careweir.access.vocabulary import Vocabulary
from careweir_kit.tool import Need, Tool

CodeKey = tuple[str, str]
SHIFT = "shift_dates"
LEAD = "lead_days"
LEAD_OF = ("Appointment", "start")  # the only element of which a lead can be told
# Which transform fits which kind of element. A birth date is never shifted: the age would be wrong.
FITTING = {
    "birthdate": frozenset({"age_years", "age_band", "year"}),
    "date": frozenset({"year", SHIFT, LEAD}),
    "period": frozenset({SHIFT}),
    "postal": frozenset({"postal_3"}),
}


@dataclass(frozen=True, slots=True)
class Way:
    """How one path of one resource may leave: its element, its generalisation, the rule."""

    path: str
    element: Element
    transform: str | None
    data_class: DataClass
    rule: str


@dataclass(frozen=True, slots=True, eq=False)
class PlannedNeed:
    """One Need with its codes resolved and the ways that the rights open for it. Itself alone.

    ``refused`` holds the paths that it asks for and that no right opens, with reason and rule.
    """

    need: Need
    codes: frozenset[CodeKey]  # empty: any known code
    ways: tuple[Way, ...]
    refused: tuple[tuple[str, str, str], ...]  # path, reason, rule


def asked_paths(tool: Tool) -> tuple[str, ...]:
    """Every path that a tool file asks for, with its resource type."""
    return tuple(sorted({f"{n.resource}.{path}" for n in tool.needs for path in n.paths}))


def plan(tool: Tool, rights: Rights) -> tuple[PlannedNeed, ...]:
    """The plan of a tool under the rights of one decision, in the order of the tool file.

    Worked out once for each tool and kept with the rights, which live as long as their policy.
    """
    kept: _Kept | None = rights.plans.get(tool.tool)
    if kept is not None and kept.tool is tool and kept.classes is rights.classes:
        return kept.planned
    vocabulary = rights.vocabulary
    assert vocabulary is not None
    shifts = any(SHIFT in need.transforms.values() for need in tool.needs)
    planned = tuple(_planned(need, rights, vocabulary, shifts) for need in tool.needs)
    rights.plans[tool.tool] = _Kept(tool, rights.classes, planned)
    return planned


class _Kept(NamedTuple):
    """A plan with what it was made of: it holds for exactly these and no others."""

    tool: Tool
    classes: tuple[tuple[DataClass, str], ...]
    planned: tuple[PlannedNeed, ...]


def _planned(need: Need, rights: Rights, vocabulary: Vocabulary, shifts: bool) -> PlannedNeed:
    ways: list[Way] = []
    refused: list[tuple[str, str, str]] = []
    for path in need.paths:
        opened = list(_ways(need, path, rights.of(need.resource)))
        found = [way for way in opened if not (shifts and _undoes_shift(way))]
        ways.extend(found)
        if not found and opened:
            refused.append((path, "role", "a true date beside shifted ones would tell the shift"))
        elif not found:
            refused.append((path, *_refusal(need, path)))
    return PlannedNeed(
        need=need,
        codes=frozenset(
            (vocabulary.system_url(alias), code)
            for alias, codes in need.codes.items()
            for code in codes
        ),
        ways=tuple(ways),
        refused=tuple(refused),
    )


def _ways(need: Need, path: str, classes: Iterable[tuple[DataClass, str]]) -> Iterable[Way]:
    """The ways of one path. A backbone that is named whole opens the children that are granted."""
    elements = ELEMENTS.get(need.resource, {})
    for data_class, rule in classes:
        for granted in sorted(data_class.paths):
            if granted != path and not granted.startswith(path + "."):
                continue
            element = elements.get(granted)
            if element is None:
                continue  # a path that is in no table is never read
            transform = need.transforms.get(path)
            if element.kind in TEXT_KINDS and not (need.text and data_class.text):
                continue
            if transform == LEAD and (need.resource, granted) != LEAD_OF:
                continue
            if not _generalised(element, transform, data_class):
                continue
            yield Way(granted, element, transform, data_class, rule)


def _generalised(element: Element, transform: str | None, data_class: DataClass) -> bool:
    """INVARIANT: a birth date leaves as it is only by a class without transforms."""
    if transform is not None and transform not in FITTING.get(element.kind, frozenset()):
        return False
    if element.kind == "postal" and transform is None:
        return False
    demanded = data_class.transforms
    if element.kind not in FITTING:
        demanded -= {SHIFT, LEAD}  # what is no date has nothing to shift
    return not demanded or transform in demanded


def _undoes_shift(way: Way) -> bool:
    """INVARIANT: a tool with a shifted date receives no true one, and of none the true year.

    Of a birth date the year or the age tells no shift; the day of a newborn would.
    """
    if way.element.kind == "birthdate":
        return way.transform is None
    return way.element.kind in ("date", "period") and way.transform not in (SHIFT, LEAD)


def _refusal(need: Need, path: str) -> tuple[str, str]:
    elements = ELEMENTS.get(need.resource, {})
    element = elements.get(path)
    if element is None and not any(name.startswith(path + ".") for name in elements):
        return "role", "no data class can name this path"
    if element is not None and element.kind in TEXT_KINDS and not need.text:
        return "not_needed_by_tool", "the tool file does not say that it needs text"
    return "role", "no data class of the grant has this path"
