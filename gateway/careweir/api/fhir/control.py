"""The parameters that do not narrow but shape an answer: page size, order, totals, handling."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from careweir.api.fhir.base import ParameterInvalid, ParameterUnsupported
from careweir.api.fhir.parameters import Parameter

COUNT, COUNT_MAX = 50, 500
CURSOR = "_cursor"
Total = Literal["none", "estimate", "accurate"]
_IGNORED = frozenset({"_format", "_pretty"})  # they are about the form, not the search
_KEPT: tuple[str, ...] = ("_sort", "_total", "_summary")
_SHAPING = frozenset({"_count", "_sort", "_total", "_summary", CURSOR})
_NEWEST, _OLDEST = ("-date", "-_lastUpdated"), ("date", "_lastUpdated")


@dataclass(frozen=True, slots=True)
class Control:
    """How to answer. ``only_count`` asks for the total and no entries."""

    count: int = COUNT
    newest_first: bool = True
    total: Total = "none"
    only_count: bool = False
    cursor: str | None = None
    used: tuple[tuple[str, str], ...] = ()


def is_strict(prefer: str | None) -> bool:
    """Does ``Prefer: handling=strict`` ask to refuse what is not known?"""
    wishes = {wish.strip().lower() for wish in (prefer or "").replace(";", ",").split(",")}
    return "handling=strict" in wishes


def sorted_out(
    given: Sequence[Parameter], known: Collection[str], *, strict: bool
) -> tuple[list[Parameter], Control, int]:
    """Parameters that narrow, how to answer, and how many were passed over.

    Raises ParameterUnsupported for one that is not known, where the caller is strict; then also
    for an order that is not kept here. ParameterInvalid for a value that cannot be used.
    """
    narrowing, shaping, ignored = list[Parameter](), dict[str, str](), 0
    for parameter in given:
        if parameter.name in known:
            narrowing.append(parameter)
        elif parameter.name in _SHAPING and parameter.modifier is None:
            shaping[parameter.name] = ",".join(parameter.values)
        elif parameter.name not in _IGNORED:
            ignored += 1
    if shaping.get("_sort") not in (None, *_NEWEST, *_OLDEST):
        del shaping["_sort"]
        ignored += 1
    if strict and ignored:
        raise ParameterUnsupported("handling=strict was asked for")
    return narrowing, _control(shaping), ignored


def _control(given: dict[str, str]) -> Control:
    count = _number(given.get("_count", str(COUNT)))
    summary = given.get("_summary", "false")
    total = given.get("_total", "none")
    if summary not in ("false", "count"):
        raise ParameterUnsupported("_summary other than count")
    if total not in ("none", "estimate", "accurate"):
        raise ParameterInvalid("_total")
    kept = {name: given[name] for name in _KEPT if name in given}
    if "_count" in given:
        kept["_count"] = str(min(count, COUNT_MAX))
    return Control(
        count=min(count, COUNT_MAX),
        newest_first=given.get("_sort", "-date") in _NEWEST,
        total=total,  # type: ignore[arg-type]
        only_count=summary == "count" or count == 0,
        cursor=given.get(CURSOR),
        used=tuple(kept.items()),
    )


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ParameterInvalid("_count")
    return int(text)
