"""Which result types are served, by which search parameters, and where these look. Pure.

Source: FHIR R4 search parameter registry; of each type those that mean something here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from careweir.access.scopes import Constraint
from careweir.api.fhir.base import Json, ParameterInvalid
from careweir.api.fhir.metadata import Served
from careweir.api.fhir.parameters import Span, Token, parameters, plain, spans, token

_BASE = "http://hl7.org/fhir/SearchParameter"
_ID: Final = re.compile(r"^inf-([0-9A-HJKMNP-TV-Z]{26})-[A-Za-z0-9.-]{1,30}$")
_EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Looks:
    """One parameter of one type: its FHIR type, the element it looks at, its definition."""

    kind: str  # token, date or reference
    element: str
    definition: str | None


def _of(kind: str, element: str, name: str) -> Looks:
    return Looks(kind, element, f"{_BASE}/{name}")


_ANY: Final = {"_id": Looks("token", "id", f"{_BASE}/Resource-id"),
               "_lastUpdated": _of("date", "meta.lastUpdated", "Resource-lastUpdated")}  # fmt: skip
_PATIENT: Final = "clinical-patient"
TYPES: Final[Mapping[str, Mapping[str, Looks]]] = {
    kind: _ANY | own
    for kind, own in {
        "RiskAssessment": {
            "patient": _of("reference", "subject", _PATIENT),
            "subject": _of("reference", "subject", "RiskAssessment-subject"),
            "date": _of("date", "occurrenceDateTime", "clinical-date"),
            "encounter": _of("reference", "encounter", "clinical-encounter"),
            "performer": _of("reference", "performer", "RiskAssessment-performer"),
        },
        "Observation": {
            "patient": _of("reference", "subject", _PATIENT),
            "subject": _of("reference", "subject", "Observation-subject"),
            "code": _of("token", "code", "clinical-code"),
            "date": _of("date", "effectiveDateTime", "clinical-date"),
            "status": _of("token", "status", "Observation-status"),
            "encounter": _of("reference", "encounter", "clinical-encounter"),
            "device": _of("reference", "device", "Observation-device"),
        },
        "DiagnosticReport": {
            "patient": _of("reference", "subject", _PATIENT),
            "subject": _of("reference", "subject", "DiagnosticReport-subject"),
            "code": _of("token", "code", "clinical-code"),
            "date": _of("date", "effectiveDateTime", "clinical-date"),
            "status": _of("token", "status", "DiagnosticReport-status"),
            "encounter": _of("reference", "encounter", "clinical-encounter"),
            "result": _of("reference", "result", "DiagnosticReport-result"),
        },
        "DocumentReference": {
            "patient": _of("reference", "subject", _PATIENT),
            "subject": _of("reference", "subject", "DocumentReference-subject"),
            "type": _of("token", "type", "clinical-type"),
            "date": _of("date", "date", "DocumentReference-date"),
            "status": _of("token", "status", "DocumentReference-status"),
            "author": _of("reference", "author", "DocumentReference-author"),
        },
        "ServiceRequest": {
            "patient": _of("reference", "subject", _PATIENT),
            "subject": _of("reference", "subject", "ServiceRequest-subject"),
            "code": _of("token", "code", "clinical-code"),
            "status": _of("token", "status", "ServiceRequest-status"),
            "authored": _of("date", "authoredOn", "ServiceRequest-authored"),
            "requester": _of("reference", "requester", "ServiceRequest-requester"),
        },
        "Flag": {
            "patient": _of("reference", "subject", _PATIENT),
            "subject": _of("reference", "subject", "Flag-subject"),
            "author": _of("reference", "author", "Flag-author"),
        },
        "GuidanceResponse": {
            "patient": _of("reference", "subject", "GuidanceResponse-patient"),
            "subject": _of("reference", "subject", "GuidanceResponse-subject"),
        },
        "DetectedIssue": {
            "patient": _of("reference", "patient", _PATIENT),
            "code": _of("token", "code", "clinical-code"),
            "identified": _of("date", "identifiedDateTime", "DetectedIssue-identified"),
            "implicated": _of("reference", "implicated", "DetectedIssue-implicated"),
        },
        "Provenance": {
            "target": _of("reference", "target", "Provenance-target"),
            "recorded": _of("date", "recorded", "Provenance-recorded"),
        },
        "Task": {
            "patient": _of("reference", "for", "Task-patient"),
            "subject": _of("reference", "for", "Task-subject"),
            "code": _of("token", "code", "Task-code"),
            "status": _of("token", "status", "Task-status"),
            "authored-on": _of("date", "authoredOn", "Task-authored-on"),
            "requester": _of("reference", "requester", "Task-requester"),
        },
        "Device": {},
    }.items()
}
OF_PATIENT: Final = frozenset({"patient", "subject"})
# What a search may bring along (``_include``): the references that lead to what is served here.
_LEADS: Final = frozenset({"performer", "device", "result", "author", "requester", "implicated",
                           "target"})  # fmt: skip
INCLUDES: Final[Mapping[str, Mapping[str, str]]] = {
    kind: {f"{kind}:{name}": look.element for name, look in looks.items() if name in _LEADS}
    for kind, looks in TYPES.items()
}
# And what refers to it (``_revinclude``): the parameter's value -> the type and its element.
REVERSE: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    kind: {"Provenance:target": ("Provenance", "target")}
    for kind in TYPES
    if kind not in ("Provenance", "Device", "DetectedIssue")
}
SERVED: Final = tuple(
    Served(
        kind=kind,
        interactions=("read", "search-type"),
        parameters={name: (look.kind, look.definition) for name, look in looks.items()},
        includes=tuple(INCLUDES[kind]),
        reverse=tuple(REVERSE.get(kind, ())),
        documentation="Results of answers that the reader's application was given, while they are "
        "kept. Newest first unless _sort asks for the oldest.",
    )
    for kind, looks in TYPES.items()
)


def inference_of(identifier: str) -> str | None:
    """The inference whose answer a result is of, by the result's id."""
    named = _ID.fullmatch(identifier)
    return None if named is None else f"inf_{named[1]}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One parameter that was asked for; any of its values will do."""

    look: Looks
    tokens: tuple[Token, ...] = ()
    references: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()

    def holds(self, resource: Json) -> bool:
        """Whether a resource has what was asked for."""
        found = list(_at(resource, self.look.element.split(".")))
        if self.look.kind == "date":
            return any(_overlap(span, self.spans) for value in found for span in _spans(value))
        if self.look.kind == "reference":
            return any(isinstance(value, dict) and value.get("reference") in self.references
                       for value in found)  # fmt: skip
        return any(_is(token, value) for token in self.tokens for value in found)


def wanted(look: Looks, name: str, values: Iterable[str], *, base: str, now: datetime) -> Wanted:
    """Read the values of one parameter; raises ParameterInvalid."""
    try:
        match look.kind:
            case "date":
                return Wanted(look, spans=tuple(s for value in values for s in spans(value, now)))
            case "reference":
                return Wanted(look, references=tuple(_relative(v, name, base) for v in values))
            case _:
                return Wanted(look, tokens=tuple(token(value) for value in values))
    except ValueError:
        raise ParameterInvalid(name) from None


def conditions_of(
    kind: str, condition: Constraint, *, base: str, now: datetime
) -> list[Wanted] | None:
    """The conditions of one scope; None where one of them cannot be followed: it opens nothing."""
    found: list[Wanted] = []
    try:
        given = parameters(condition)
        for one in given:
            look = TYPES[kind].get(one.name)
            fits = one.modifier is None or (one.modifier == "Patient" and one.name in OF_PATIENT)
            if look is None or not fits:
                return None
            found.append(wanted(look, one.name, one.values, base=base, now=now))
    except (ValueError, ParameterInvalid):
        return None
    return found if len(found) == len(condition) else None


def _relative(value: str, name: str, base: str) -> str:
    """``Type/id`` of a reference that is absolute here, relative, or for a patient a bare id."""
    found = plain(value).removeprefix(f"{base}/")
    kind = {"encounter": "Encounter"} | dict.fromkeys(OF_PATIENT, "Patient")
    return f"{kind[name]}/{found}" if "/" not in found and name in kind else found


def _at(value: Any, path: list[str]) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _at(item, path)
    elif not path:
        yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from _at(value[path[0]], path[1:])


def _is(wanted: Token, value: Any) -> bool:
    """A code, an id, or any coding of a concept."""
    if isinstance(value, str):
        return wanted.system in (None, "") and wanted.code == value
    codings = value.get("coding", ()) if isinstance(value, dict) else ()
    return any(
        wanted.system in (None, coding.get("system", ""))
        and wanted.code in ("", coding.get("code"))
        for coding in codings
    )


def _spans(value: Any) -> list[Span]:
    return spans(value, _EVER[0]) if isinstance(value, str) else []


def _overlap(one: Span, others: Iterable[Span]) -> bool:
    low, high = one[0] or _EVER[0], one[1] or _EVER[1]
    return any(low < (end or _EVER[1]) and (start or _EVER[0]) < high for start, end in others)
