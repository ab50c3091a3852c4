"""What the scopes of a token open: SMART scopes on FHIR types, and ours on capabilities. Pure.

A scope never gives what role, purpose or site do not: it is one side of an intersection. What
cannot be read gives nothing, and so does a scope of the context ``patient``, for a token's patient
is not read here. SMART scopes say nothing about operations: only ``capability/<name>.infer`` lets
a question be asked, never ``system/*.cruds``.

Source: SMART App Launch 2.2, Scopes and Launch Context (version 2, and version 1 as its subset).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final
from urllib.parse import parse_qsl

PARAMETERS_MAX: Final = 8
_SCOPE: Final = re.compile(
    r"(?:system|user)/(?P<type>\*|[A-Z][A-Za-z]+)\."
    r"(?P<rights>read|write|\*|(?=[cruds])c?r?u?d?s?)(?:\?(?P<query>.+))?"
)
_VERSION_1: Final = {"read": "rs", "write": "cud", "*": "cruds"}
EVERYTHING: Final[tuple[tuple[str, str], ...]] = ()
Constraint = tuple[tuple[str, str], ...]  # search parameters, all of which must hold


def openings(scopes: Collection[str], kind: str, right: str) -> tuple[Constraint, ...]:
    """What of a FHIR type these scopes open for a right: ``r`` (read) or ``s`` (search).

    Alternatives, any of which will do. None at all: nothing is open. ``EVERYTHING`` alone: all is.
    """
    found = {
        constraint
        for scope in scopes
        if (match := _SCOPE.fullmatch(scope))
        and match["type"] in (kind, "*")
        and right in _VERSION_1.get(match["rights"], match["rights"])
        and (constraint := _constraint(match["query"])) is not None
    }
    return (EVERYTHING,) if EVERYTHING in found else tuple(sorted(found))


def opens_all(scopes: Collection[str], kind: str, right: str) -> bool:
    """Do these scopes open a FHIR type without a condition?"""
    return openings(scopes, kind, right) == (EVERYTHING,)


def may_ask(scopes: Collection[str], capability: str) -> bool:
    """Do these scopes let this question be asked?"""
    return f"capability/{capability}.infer" in scopes or "capability/*.infer" in scopes


def _constraint(query: str | None) -> Constraint | None:
    if query is None:
        return EVERYTHING
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, strict_parsing=True, max_num_fields=PARAMETERS_MAX
        )
    except ValueError:
        return None
    return tuple(sorted(pairs)) if all(name and value for name, value in pairs) else None
