"""Entries as FHIR R4 AuditEvents in the form of IHE BALP. Pure: an entry in, a plain dict out.

One event an action: an ``intent`` with the ``outcome`` that concludes it is one disclosure to a
vendor (PrivacyDisclosure.Source); a ``decision``, a ``refusal`` and a tool ``withheld`` are
authorisations; a ``read`` is a use of the audit log; ``open`` and ``close`` are the start and stop
of recording; all else is an operation of the gateway. Only a disclosure that succeeded claims a
profile.

Source: IHE ITI BALP 1.1.x (PrivacyDisclosure.Source; agents and entities), FHIR R4 AuditEvent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote

from careweir.audit.entry import JSON, Entry, Stored
from careweir.audit.event_kinds import BALP, DCM, SUCCESS, Code, kind_of, outcome_code

Dict: TypeAlias = dict[str, JSON]

PATIENT_SYSTEM = "urn:careweir:patient-key"
_ENTITY_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_OBJECT_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
_PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_SOURCE_TYPE = "http://terminology.hl7.org/CodeSystem/security-source-type"
JTI = "urn:ietf:params:oauth:jti:"
REVISION = "urn:careweir:policy:"
_DISCLOSURE = f"{BALP}/StructureDefinition/IHE.BasicAudit.PrivacyDisclosure.Source"


@dataclass(frozen=True, slots=True)
class Names:
    """How the gateway, its people and its patients are named in events.

    ``gateway`` is a reference (``Device/…``). Patients stand as identifiers of ``patient_system``,
    whose value is the keyed hash; people as identifiers of ``actor_system``, the token's issuer.
    """

    gateway: str = "Device/careweir"
    patient_system: str = PATIENT_SYSTEM
    actor_system: str = "urn:careweir:actor"


def event_id(writer: str, seq: int) -> str:
    """The id of an entry's event: letters, digits, ``-`` and ``.``, at most 64."""
    return f"{writer}-{seq}"


def place_of(event: str) -> tuple[str, int] | None:
    """Writer and seq of an event's id; None if it is none."""
    writer, _, seq = event.rpartition("-")
    plain = seq.isascii() and seq.isdigit() and len(seq) < 16 and not seq.startswith("0")
    return (writer, int(seq)) if writer and plain else None


def audit_event(stored: Stored, names: Names, concluded: str | None = None) -> Dict:
    """One entry as an AuditEvent; ``concluded`` is what became of an intent, if anything has."""
    entry = stored.entry
    outcome, kind = outcome_code(entry, concluded), kind_of(entry.type)
    event: Dict = {
        "resourceType": "AuditEvent",
        "id": event_id(stored.receipt.writer, stored.receipt.seq),
        "type": _coding(kind.type),
        "action": kind.action,
        "recorded": stored.recorded,
        "agent": _agents(stored, names),
        "source": _source(entry, names),
        "entity": _entities(stored, names),
    }
    if kind.subtype:
        event["subtype"] = [_coding(code) for code in kind.subtype]
    event |= _outcome(outcome, concluded if entry.type == "intent" else entry.outcome)
    purpose = _text(entry, "purpose")
    if purpose is not None:
        event["purposeOfEvent"] = [_concept(Code(REASON, purpose))]
    if outcome == SUCCESS and entry.type == "intent" and entry.patient_key and entry.tool:
        event["meta"] = {"profile": [_DISCLOSURE]}
    return event


def _outcome(code: str | None, word: str | None) -> Dict:
    """In R4 codes are strings. A disclosure under way has no outcome yet, and says so."""
    if code is None:
        return {"outcomeDesc": "under way: no outcome is on the record yet"}
    return {"outcome": code, "outcomeDesc": word} if word else {"outcome": code}


def _agents(stored: Stored, names: Names) -> list[JSON]:
    """The gateway is always the source of what leaves it; the vendor is the recipient."""
    entry = stored.entry
    replica = stored.receipt.writer.rpartition(".")[0] or stored.receipt.writer
    gateway: Dict = {
        "type": _concept(Code(DCM, "110153", "Source Role ID")),
        "who": {"reference": names.gateway},
        "requestor": entry.actor is None,
        "network": {"address": replica, "type": "1"},
    }
    agents: list[JSON] = [gateway]
    if entry.tool is not None and entry.type == "intent":
        host = _text(entry, "vendor_host") or entry.tool
        agents.append(
            {
                "type": _concept(Code(DCM, "110152", "Destination Role ID")),
                "who": {"identifier": {"value": entry.tool}},
                "requestor": False,
                "network": {"address": host, "type": "1"},
            }
        )
    if entry.client is not None:
        agents.append(
            {
                "type": _concept(Code(DCM, "110150", "Application")),
                "who": {"identifier": {"value": entry.client}},
                "requestor": False,
            }
        )
    if entry.actor is not None:
        agents.append(_person(entry, entry.actor, names))
    elif policies := _policies(entry):
        gateway["policy"] = policies
    return agents


def _person(entry: Entry, actor: str, names: Names) -> Dict:
    person: Dict = {
        "type": _concept(Code(_PARTICIPATION, "IRCP")),
        "who": {"identifier": {"system": names.actor_system, "value": actor}},
        "requestor": True,
    }
    role, purpose = _text(entry, "role"), _text(entry, "purpose")
    if role is not None:
        person["role"] = [{"text": role}]
    if purpose is not None:
        person["purposeOfUse"] = [_concept(Code(REASON, purpose))]
    if policies := _policies(entry):
        person["policy"] = policies
    return person


def _policies(entry: Entry) -> list[JSON]:
    """What authorised it: the token by its id, and the revision of the policies."""
    token, revision = _text(entry, "token"), _text(entry, "policy_revision")
    return [
        *([JTI + quote(token)] if token else []),
        *([REVISION + quote(revision)] if revision else []),
    ]


def _source(entry: Entry, names: Names) -> Dict:
    source: Dict = {
        "observer": {"reference": names.gateway},
        "type": [_coding(Code(_SOURCE_TYPE, "4"))],
    }
    site = _text(entry, "site")
    return {"site": site, **source} if site else source


def _entities(stored: Stored, names: Names) -> list[JSON]:
    entry = stored.entry
    entities: list[JSON] = []
    if entry.patient_key is not None:
        key: Dict = {"system": names.patient_system, "value": entry.patient_key}
        entities.append(
            {
                "what": {"type": "Patient", "identifier": key},
                "type": _coding(Code(_ENTITY_TYPE, "1", "Person")),
                "role": _coding(Code(_OBJECT_ROLE, "1", "Patient")),
            }
        )
    if entry.inference is not None:
        entities.append(
            {
                "what": {"identifier": {"value": entry.inference}},
                "type": _coding(Code(f"{BALP}/CodeSystem/BasicAuditEntityType", "XrequestId")),
            }
        )
    entities.append(_data(stored))
    return entities


def _data(stored: Stored) -> Dict:
    """The record itself: which paths were sent (never values), and its place in the chain."""
    entry = stored.entry
    told = [(name, word) for name in _TOLD for word in _words(entry.body.get(name))]
    told += _withheld(entry.body.get("manifest"))
    told.append(("hash", stored.receipt.hash))
    return {
        "what": {"identifier": {"value": entry.disclosure or event_id(*_place(stored))}},
        "type": _coding(Code(_ENTITY_TYPE, "2", "System Object")),
        "role": _coding(Code(_OBJECT_ROLE, "4", "Domain Resource")),
        "detail": [{"type": name, "valueString": word} for name, word in told],
    }


def _place(stored: Stored) -> tuple[str, int]:
    return stored.receipt.writer, stored.receipt.seq


_TOLD = (
    "capability", "because", "rule", "sent", "tool_version", "vendor", "region", "attempt",
    "break_glass_reason", "what", "found", "alarm", "payload_sha256", "findings_sha256",
)  # fmt: skip


def _words(value: JSON) -> list[str]:
    """A fact of the body as texts; objects stay in the record."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        value = [str(value)]
    if not isinstance(value, list | tuple):
        return []
    return [word for word in value if isinstance(word, str) and word.strip()]


def _withheld(manifest: JSON) -> list[tuple[str, str]]:
    """``withheld``: a path and why it stayed."""
    rows = manifest.get("withheld") if isinstance(manifest, Mapping) else None
    if not isinstance(rows, list | tuple):
        return []
    return [
        ("withheld", f"{row.get('path')}: {row.get('reason')}")
        for row in rows
        if isinstance(row, Mapping)
    ]


def _text(entry: Entry, name: str) -> str | None:
    value = entry.body.get(name)
    return value if isinstance(value, str) and value.strip() else None


def _coding(code: Code) -> Dict:
    coding: Dict = {"system": code.system, "code": code.code}
    return {**coding, "display": code.display} if code.display else coding


def _concept(code: Code) -> Dict:
    return {"coding": [_coding(code)]}
