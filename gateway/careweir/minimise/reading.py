"""Reading decoded resources by hand: lists, codings, times, and what makes one void."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from careweir.minimise.chart import CodeKey
from careweir.minimise.moment import read_moment

VOID: Final = frozenset({"entered-in-error", "cancelled", "nullified", "refuted"})
_INTEGER_MAX: Final = 2**53
URIS: Final = "urn:ietf:rfc:3986"
_PLANNED: Final = frozenset({"proposed", "pending", "booked", "waitlist"})
_TIMES: Final = (
    "effectiveDateTime", "effectiveInstant", "effectivePeriod", "started", "performedDateTime",
    "performedPeriod", "onsetDateTime", "onsetPeriod", "authoredOn", "period", "start", "date",
    "occurrenceDateTime", "recordedDate", "issued", "created", "authored",
)  # fmt: skip


def items(value: Any) -> list[Any]:
    """A list as it is, one value as a list of it, nothing as an empty one."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def codings(concepts: Iterable[Any]) -> Iterator[CodeKey]:
    """System and code of every coding of CodeableConcepts, Codings, or lists of them."""
    for concept in concepts:
        for item in items(concept):
            if not isinstance(item, dict):
                continue
            for coding in items(item.get("coding")) if "coding" in item else [item]:
                if isinstance(coding, dict):
                    system, code = coding.get("system"), coding.get("code")
                    if isinstance(system, str) and isinstance(code, str):
                        yield system, code


def questionnaire_code(canonical: Any) -> CodeKey | None:
    """A questionnaire as a code: its URL without the version, in the system of URIs.

    Source: FHIR R4, canonical (``url|version``); urn:ietf:rfc:3986 is the system of URIs.
    """
    return (URIS, canonical.partition("|")[0]) if isinstance(canonical, str) else None


def is_number(value: Any) -> bool:
    """A finite JSON number that other readers take exactly (integers to 2**53)."""
    if isinstance(value, bool):
        return False
    return isinstance(value, float) or (isinstance(value, int) and abs(value) <= _INTEGER_MAX)


def void_reason(resource: dict[str, Any]) -> str | None:
    """Why a resource says nothing about the patient that still holds, or None."""
    for name in ("status", "docStatus"):
        status = resource.get(name)
        if isinstance(status, str) and status in VOID:
            return "entered in error or cancelled"
    verification = resource.get("verificationStatus")
    if verification and any(code in VOID for _, code in codings([verification])):
        return "entered in error or refuted"
    if resource.get("focus"):
        return "is about something else than the patient (focus)"
    forbidden = resource.get("doNotPerform")
    if forbidden is not None and forbidden is not False:  # nor 0, which only equals it
        return "says what must not be done"
    if "modifierExtension" in resource or "implicitRules" in resource:
        return "could mean something else by a rule that we do not know"
    return None


def _booked(
    appointment: dict[str, Any], as_of: datetime
) -> tuple[datetime | None, datetime | None]:
    """An appointment that lies ahead is known since it was booked, unless it says how it went."""
    start, created = read_moment(appointment.get("start")), read_moment(appointment.get("created"))
    ahead = start is not None and start > as_of and appointment.get("status") in _PLANNED
    return (created if ahead and created is not None else start), start


def when(resource: dict[str, Any], as_of: datetime) -> tuple[datetime | None, datetime | None]:
    """Begin and end of what a resource tells; a stay without an end is still going on."""
    if resource.get("resourceType") == "Appointment":
        return _booked(resource, as_of)
    for name in _TIMES:
        value = resource.get(name)
        if isinstance(value, dict):
            begin = read_moment(value.get("start"))
            end = read_moment(value.get("end"))
            if begin is not None and end is None:
                end = max(begin, as_of) if name == "period" else begin
            if begin is not None or end is not None:
                return begin or end, end
        elif value is not None:
            moment = read_moment(value)
            if moment is not None:
                return moment, moment
    return None, None
