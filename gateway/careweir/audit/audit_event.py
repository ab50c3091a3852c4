"""Entries as FHIR R4 AuditEvents in the form of IHE BALP. Pure: an entry in, a plain dict out.

An ``intent`` is a disclosure to a vendor (PrivacyDisclosure.Source), a ``decision`` and a
``refusal`` an authorisation, a ``read`` a use of the audit log, ``open`` and ``close`` the start
and stop of recording; all else is an operation of the gateway. A failed one claims no profile.

Source: IHE ITI BALP 1.1.x (PrivacyDisclosure.Source, AuthZconsent; agents and entities), FHIR R4
AuditEvent, DICOM PS3.16 CID 400 for the codes of ``type``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from careweir.audit.entry import JSON, Entry, Stored

Dict: TypeAlias = dict[str, JSON]

DCM = "http://dicom.nema.org/resources/ontology/DCM"
BALP = "https://profiles.ihe.net/ITI/BALP"
_EVENT_TYPE = "http://terminology.hl7.org/CodeSystem/audit-event-type"
_ENTITY_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_OBJECT_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
_PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_LIFECYCLE = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
_INTERACTION = "http://hl7.org/fhir/restful-interaction"
_SOURCE_TYPE = "http://terminology.hl7.org/CodeSystem/security-source-type"

_SERIOUS = frozenset({"unavailable", "timed_out", "throttled", "protocol_error", "wrong_patient"})
_MINOR = frozenset({"denied", "deny", "refused", "unknown", "not_sent", "withheld_by_policy"})


@dataclass(frozen=True, slots=True)
class Names:
    """How the gateway and its patients are named in events.

    ``gateway`` is a reference (``Device/…``), ``host`` its network name. Patients stand as
    identifiers of ``patient_system``, whose value is the keyed hash.
    """

    gateway: str
    host: str
    site: str | None = None
    patient_system: str = "urn:careweir:patient-key"
    actor_system: str = "urn:careweir:actor"


def audit_event(stored: Stored, names: Names) -> Dict:
    """One entry as an AuditEvent."""
    entry = stored.entry
    outcome = outcome_code(entry)
    event: Dict = {
        "resourceType": "AuditEvent",
        "id": f"{stored.receipt.writer}-{stored.receipt.seq}".replace("_", "-")[:64],
        **_kind(entry),
        "recorded": stored.recorded,
        "outcome": outcome,
        "agent": _agents(entry, names),
        "source": _source(names),
        "entity": _entities(stored, names),
    }
    if entry.outcome is not None and outcome != "0":
        event["outcomeDesc"] = entry.outcome
    purpose = _text(entry, "purpose")
    if purpose is not None:
        event["purposeOfEvent"] = [_concept(_REASON, purpose)]
    profile = _profile(entry, outcome)
    if profile is not None:
        event["meta"] = {"profile": [f"{BALP}/StructureDefinition/{profile}"]}
    return event


def outcome_code(entry: Entry) -> str:
    """``0`` success, ``4`` minor failure, ``8`` serious failure (codes are strings in R4)."""
    if entry.outcome in _SERIOUS:
        return "8"
    return "4" if entry.type == "refusal" or entry.outcome in _MINOR else "0"


def _kind(entry: Entry) -> Dict:
    """Type, subtype and action."""
    if entry.type == "intent":
        return {
            "type": _coding(DCM, "110106", "Export"),
            "subtype": [_coding(_LIFECYCLE, "disclose")],
            "action": "R",
        }
    if entry.type in ("decision", "refusal"):
        subtype = _coding(f"{BALP}/CodeSystem/AuthZsubType", "AuthZ-Role")
        return {
            "type": _coding(DCM, "110113", "Security Alert"),
            "subtype": [subtype],
            "action": "E",
        }
    if entry.type == "read":
        return {"type": _coding(DCM, "110101", "Audit Log Used"), "action": "R"}
    if entry.type == "open":
        return {"type": _coding(DCM, "110134", "Audit Recording Started"), "action": "E"}
    if entry.type == "close":
        return {"type": _coding(DCM, "110133", "Audit Recording Stopped"), "action": "E"}
    return {
        "type": _coding(_EVENT_TYPE, "rest", "RESTful Operation"),
        "subtype": [_coding(_INTERACTION, "operation")],
        "action": "E",
    }


def _profile(entry: Entry, outcome: str) -> str | None:
    """Only what holds in full is claimed."""
    if outcome == "0" and entry.type == "intent" and entry.patient_key and entry.tool:
        return "IHE.BasicAudit.PrivacyDisclosure.Source"
    return None


def _agents(entry: Entry, names: Names) -> list[JSON]:
    """The gateway is always the source of what leaves it; the vendor is the recipient."""
    agents: list[JSON] = [
        {
            "type": _concept(DCM, "110153", "Source Role ID"),
            "who": {"reference": names.gateway},
            "requestor": entry.actor is None,
            "network": {"address": names.host, "type": "1"},
        }
    ]
    if entry.tool is not None and entry.type in ("intent", "outcome"):
        host = _text(entry, "vendor_host") or entry.tool
        agents.append(
            {
                "type": _concept(DCM, "110152", "Destination Role ID"),
                "who": {"identifier": {"value": entry.tool}},
                "requestor": False,
                "network": {"address": host, "type": "1"},
            }
        )
    if entry.client is not None:
        agents.append(
            {
                "type": _concept(DCM, "110150", "Application"),
                "who": {"identifier": {"value": entry.client}},
                "requestor": False,
            }
        )
    if entry.actor is not None:
        agents.append(_person(entry, entry.actor, names))
    return agents


def _person(entry: Entry, actor: str, names: Names) -> Dict:
    person: Dict = {
        "type": _concept(_PARTICIPATION, "IRCP"),
        "who": {"identifier": {"system": names.actor_system, "value": actor}},
        "requestor": True,
    }
    role, purpose = _text(entry, "role"), _text(entry, "purpose")
    if role is not None:
        person["role"] = [{"text": role}]
    if purpose is not None:
        person["purposeOfUse"] = [_concept(_REASON, purpose)]
    return person


def _source(names: Names) -> Dict:
    source: Dict = {
        "observer": {"reference": names.gateway},
        "type": [_coding(_SOURCE_TYPE, "4")],
    }
    return {"site": names.site, **source} if names.site else source


def _entities(stored: Stored, names: Names) -> list[JSON]:
    entry = stored.entry
    entities: list[JSON] = []
    if entry.patient_key is not None:
        key: Dict = {"system": names.patient_system, "value": entry.patient_key}
        entities.append(
            {
                "what": {"type": "Patient", "identifier": key},
                "type": _coding(_ENTITY_TYPE, "1"),
                "role": _coding(_OBJECT_ROLE, "1"),
            }
        )
    if entry.inference is not None:
        entities.append(
            {
                "what": {"identifier": {"value": entry.inference}},
                "type": _coding(f"{BALP}/CodeSystem/BasicAuditEntityType", "XrequestId"),
            }
        )
    entities.append(_data(stored))
    return entities


def _data(stored: Stored) -> Dict:
    """The record itself: which paths were sent (never values), and its place in the chain."""
    entry, details = stored.entry, list[JSON]()
    for name in ("sent", "policy_revision", "rule"):
        value = entry.body.get(name)
        words = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        details += [{"type": name, "valueString": str(word)} for word in words]
    details.append({"type": "hash", "valueString": stored.receipt.hash})
    return {
        "what": {"identifier": {"value": entry.disclosure or entry.type}},
        "type": _coding(_ENTITY_TYPE, "2"),
        "role": _coding(_OBJECT_ROLE, "4"),
        "detail": details,
    }


def _text(entry: Entry, name: str) -> str | None:
    value = entry.body.get(name)
    return value if isinstance(value, str) and value else None


def _coding(system: str, code: str, display: str | None = None) -> Dict:
    coding: Dict = {"system": system, "code": code}
    return {**coding, "display": display} if display else coding


def _concept(system: str, code: str, display: str | None = None) -> Dict:
    return {"coding": [_coding(system, code, display)]}
