"""What an entry is as an AuditEvent: its type, subtype and action, and which outcome it has.

A table, because two readers need it: ``audit_event`` makes events of entries, and a search turns
``type=…``, ``action=…`` and ``outcome=…`` back into entries, before any of them is read. A type of
entry that the table does not name is an operation of the gateway.

Source: FHIR R4 AuditEvent (4.0.1), DICOM PS3.16 CID 400 for the codes of ``type``, IHE ITI BALP
1.1.x for subtypes of authorisation and disclosure, ISO 21089 lifecycle for ``disclose``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from careweir.audit.entry import Entry, Query

DCM = "http://dicom.nema.org/resources/ontology/DCM"
BALP = "https://profiles.ihe.net/ITI/BALP"
EVENT_TYPE = "http://terminology.hl7.org/CodeSystem/audit-event-type"
INTERACTION = "http://hl7.org/fhir/restful-interaction"
LIFECYCLE = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"

CONCLUDES = "outcome"  # says what became of an intent: a part of that event, never one of its own
SERIOUS = frozenset(
    {
        "adapter_crashed", "circuit_open", "error", "failed", "overloaded", "protocol_broken",
        "protocol_error", "throttled", "timed_out", "unavailable", "vendor_error",
        "vendor_protocol_broken", "vendor_throttled", "vendor_timed_out", "vendor_unavailable",
        "wrong_patient",
    }
)  # fmt: skip
MINOR = frozenset(
    {
        "denied", "deny", "inputs_missing", "not_sent", "refused", "unknown", "vendor_refused",
        "withheld", "withheld_by_policy",
    }
)  # fmt: skip
SUCCESS, MINOR_FAILURE, SERIOUS_FAILURE = "0", "4", "8"
_WORDS = {SERIOUS_FAILURE: SERIOUS, MINOR_FAILURE: MINOR}
_FAILING = tuple(sorted(SERIOUS | MINOR))


class Code(NamedTuple):
    """A code of a system, with its display where the system has one."""

    system: str
    code: str
    display: str | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """Type, subtype and action of one type of entry."""

    type: Code
    action: str
    subtype: tuple[Code, ...] = ()


_REST = Code(EVENT_TYPE, "rest", "RESTful Operation")
_OPERATION = Kind(_REST, "E", (Code(INTERACTION, "operation"),))
_AUTHORISATION = Kind(
    Code(DCM, "110113", "Security Alert"),
    "E",
    (Code(f"{BALP}/CodeSystem/AuthZsubType", "AuthZ-Role"),),
)
_STARTED = Kind(Code(DCM, "110134", "Audit Recording Started"), "E")
_CONFIGURATION = Kind(Code(DCM, "110129", "Security Configuration"), "U")
KINDS: Mapping[str, Kind] = {
    "intent": Kind(Code(DCM, "110106", "Export"), "R", (Code(LIFECYCLE, "disclose"),)),
    "decision": _AUTHORISATION,
    "refusal": _AUTHORISATION,
    "withheld": _AUTHORISATION,
    "fetched": Kind(_REST, "E", (Code(INTERACTION, "search-type"),)),
    "read": Kind(Code(DCM, "110101", "Audit Log Used"), "R"),
    "archive": Kind(Code(DCM, "110101", "Audit Log Used"), "E", (Code(LIFECYCLE, "archive"),)),
    "open": _STARTED,
    "recovered": _STARTED,
    "spooled": _STARTED,
    "close": Kind(Code(DCM, "110133", "Audit Recording Stopped"), "E"),
    "conflict": Kind(_REST, "U", (Code(INTERACTION, "update"),)),
    "policy": _CONFIGURATION,
    "key": _CONFIGURATION,
}


def kind_of(entry_type: str) -> Kind:
    """The kind of an entry."""
    return KINDS.get(entry_type, _OPERATION)


def outcome_code(entry: Entry, concluded: str | None = None) -> str | None:
    """``0`` success, ``4`` minor, ``8`` serious failure; None while a disclosure is under way.

    ``concluded`` is the outcome of an intent, which stands in another entry.
    """
    word = concluded if entry.type == "intent" else entry.outcome
    if entry.type == "intent" and word is None:
        return None
    if word in SERIOUS:
        return SERIOUS_FAILURE
    return MINOR_FAILURE if entry.type == "refusal" or word in MINOR else SUCCESS


# --- the way back: criteria as queries ----------------------------------------------------------


class Kinds(NamedTuple):
    """Some types of entry: ``named``, or where ``others`` is true all but these."""

    named: frozenset[str]
    others: bool

    def narrow(self, query: Query) -> Query | None:
        """The query for these only; None if there are none. Conclusions are never events."""
        if self.others:
            return replace(query, type_not=tuple(sorted({*self.named, CONCLUDES})))
        kinds = tuple(sorted(self.named - {CONCLUDES}))
        return replace(query, type=kinds) if kinds else None

    def both(self, other: Kinds) -> Kinds:
        """Those in both."""
        if self.others and other.others:
            return Kinds(self.named | other.named, True)
        if self.others or other.others:
            without, of = (self, other) if self.others else (other, self)
            return Kinds(of.named - without.named, False)
        return Kinds(self.named & other.named, False)


ALL = Kinds(frozenset(), True)


def kinds_where(holds: Callable[[Kind], bool]) -> Kinds:
    """The types of entry whose kind is such."""
    if holds(_OPERATION):
        return Kinds(frozenset(name for name, kind in KINDS.items() if not holds(kind)), True)
    return Kinds(frozenset(name for name, kind in KINDS.items() if holds(kind)), False)


_INTENTS = Kinds(frozenset({"intent"}), False)
_REFUSALS = Kinds(frozenset({"refusal"}), False)
_PLAIN = Kinds(frozenset({"intent", "refusal"}), True)


def with_outcome(code: str, query: Query, kinds: Kinds) -> list[Query]:
    """Queries that together find the entries of these kinds whose event has this outcome."""
    found: list[Query | None] = []
    intents, plain = kinds.both(_INTENTS), kinds.both(_PLAIN)
    if code == SUCCESS:
        found += [
            intents.narrow(replace(query, ended_not=_FAILING)),
            plain.narrow(replace(query, outcome_not=_FAILING)),
        ]
    elif code in _WORDS:
        words = tuple(sorted(_WORDS[code]))
        found += [
            intents.narrow(replace(query, ended=words)),
            plain.narrow(replace(query, outcome=words)),
        ]
    if code == MINOR_FAILURE:
        serious = tuple(sorted(SERIOUS))
        found.append(kinds.both(_REFUSALS).narrow(replace(query, outcome_not=serious)))
    if code == SERIOUS_FAILURE:
        found.append(kinds.both(_REFUSALS).narrow(replace(query, outcome=tuple(sorted(SERIOUS)))))
    return [one for one in found if one is not None]
