"""Reading a service call: its envelope, its context, and a chart out of its prefetch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar
from uuid import UUID

import msgspec

from careweir.api.cds.descriptor import PATIENT
from careweir.capabilities import Capability
from careweir.errors import CallerError
from careweir.minimise.chart import SubjectMismatch
from careweir_kit.strict_json import JsonRefused, decode

_ID: Final = re.compile(r"^[A-Za-z0-9\-.]{1,64}$")
_USER: Final = re.compile(
    r"^(Practitioner|PractitionerRole|Patient|RelatedPerson)/[A-Za-z0-9\-.]{1,64}$"
)
_ENCOUNTER_NEEDED: Final = frozenset({"encounter-start", "encounter-discharge"})
_DRAFTS: Final = {"order-select", "order-sign"}


_Shape = TypeVar("_Shape", bound=msgspec.Struct)


class CallInvalid(CallerError):
    """The call breaks CDS Hooks 2.0."""

    code = "cds_call_invalid"
    title = "The CDS Hooks call cannot be used"


class PrefetchMissing(CallerError):
    """412: the EHR did not give what the service needs, and the gateway may not fetch it."""

    status = 412
    code = "prefetch_missing"
    title = "Prefetch data are missing"


_NOTHING: Final = msgspec.Raw(b"null")


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = _NOTHING
    fullUrl: str | None = None


class _Link(msgspec.Struct):
    relation: str | None = None


class _Given(msgspec.Struct):
    """One prefetch value: a resource, a Bundle of them, or an OperationOutcome."""

    resourceType: str | None = None
    id: str | None = None
    entry: list[_Entry] = []
    link: list[_Link] = []


class _Kind(msgspec.Struct):
    resourceType: str | None = None
    id: str | None = None


class _Context(msgspec.Struct):
    patientId: str | None = None
    userId: str | None = None
    encounterId: str | None = None
    selections: list[str] | None = None
    draftOrders: msgspec.Raw = _NOTHING


class _Authorization(msgspec.Struct):
    access_token: str | None = None


class _Body(msgspec.Struct):
    """What is read of a call; unknown fields are tolerated, as the standard asks."""

    hook: str
    hookInstance: str
    context: _Context
    fhirServer: str | None = None
    fhirAuthorization: _Authorization | None = None
    prefetch: dict[str, msgspec.Raw] | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A call whose envelope holds. ``prefetch`` is what the EHR gave, undecoded, by key.

    The access token of ``fhirAuthorization`` is dropped on reading: it is never used, kept or
    logged. A gateway that fetches does so with its own credentials (``source``).
    """

    hook_instance: str
    patient: str
    user: str
    encounter: str | None
    fhir_server: str | None
    drafts: tuple[bytes, ...]
    prefetch: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Prefetched:
    """A chart from prefetch; ``cut`` names the keys of which the EHR gave only a first page."""

    bundle: bytes
    cut: tuple[str, ...]


def read_call(body: bytes, capability: Capability) -> Call:
    """Check the envelope of a call to one service; raises CallInvalid or SubjectMismatch."""
    try:
        decode(body)  # a key that occurs twice, NaN, too deep a nesting
        given = msgspec.json.decode(body, type=_Body)
    except (JsonRefused, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise CallInvalid("not a CDS Hooks request: hook, hookInstance, context") from None
    if given.hook != capability.hook:
        raise CallInvalid("this service belongs to another hook")
    if given.fhirAuthorization is not None and given.fhirServer is None:
        raise CallInvalid("fhirAuthorization needs fhirServer")
    context = given.context
    _check_context(given, context)
    assert context.patientId is not None
    assert context.userId is not None
    return Call(
        hook_instance=given.hookInstance,
        patient=context.patientId,
        user=context.userId,
        encounter=context.encounterId,
        fhir_server=given.fhirServer,
        drafts=tuple(_drafts(given.hook, context)),
        prefetch={key: bytes(value) for key, value in (given.prefetch or {}).items()},
    )


def _check_context(given: _Body, context: _Context) -> None:
    if not _is_uuid(given.hookInstance):
        raise CallInvalid("hookInstance must be a UUID")
    if context.patientId is None or not _ID.fullmatch(context.patientId):
        raise CallInvalid("context.patientId must be the id of a Patient, without its type")
    if context.userId is None or not _USER.fullmatch(context.userId):
        raise CallInvalid("context.userId must be Type/id of a person")
    if context.encounterId is not None and not _ID.fullmatch(context.encounterId):
        raise CallInvalid("context.encounterId must be an id, without its type")
    if given.hook in _ENCOUNTER_NEEDED and context.encounterId is None:
        raise CallInvalid("this hook needs context.encounterId")
    if given.hook in _DRAFTS and _is_null(context.draftOrders):
        raise CallInvalid("this hook needs context.draftOrders")
    if given.hook == "order-select" and not context.selections:
        raise CallInvalid("this hook needs context.selections")


def _is_null(raw: msgspec.Raw) -> bool:
    return bytes(raw) == b"null"


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def _drafts(hook: str, context: _Context) -> Iterator[bytes]:
    """The draft orders; of order-select only those that the user has selected."""
    if hook not in _DRAFTS:
        return
    for entry in _given(bytes(context.draftOrders)).entry:
        raw = bytes(entry.resource)
        kind = _kind(raw)
        chosen = context.selections or []
        if hook == "order-sign" or f"{kind.resourceType}/{kind.id}" in chosen:
            yield raw


def missing(call: Call, templates: Mapping[str, str]) -> list[str]:
    """The keys that the EHR left out, or answered with an error.

    Absent is not null and null is not an empty Bundle: an absent key says nothing about the
    patient, null and an empty Bundle say that there are no such data.
    """
    return [key for key in templates if key not in call.prefetch or _failed(key, call)]


def _failed(key: str, call: Call) -> bool:
    raw = call.prefetch[key]
    if key == PATIENT and raw == b"null":
        return True  # a patient without data cannot be asked about
    given = _given(raw)
    return given.resourceType == "OperationOutcome" or any(
        _kind(bytes(entry.resource)).resourceType == "OperationOutcome" for entry in given.entry
    )


def chart(call: Call, templates: Mapping[str, str]) -> Prefetched:
    """A Bundle of what the EHR gave under the keys that it was asked for, and the draft orders.

    Raises SubjectMismatch when the Patient of the prefetch is not the one of the context.
    """
    entries: list[bytes] = []
    cut: list[str] = []
    for key in templates:
        given = _given(call.prefetch[key])
        if key == PATIENT:
            _check_patient(given, call)
        if given.resourceType == "Bundle":
            entries += [_entry(one.fullUrl, bytes(one.resource)) for one in given.entry
                        if not _is_null(one.resource)]  # fmt: skip
        elif given.resourceType is not None:
            entries.append(_entry(None, call.prefetch[key]))
        if any(link.relation == "next" for link in given.link):
            cut.append(key)
    entries += [_entry(None, draft) for draft in call.drafts]
    bundle = b'{"resourceType":"Bundle","type":"collection","entry":[' + b",".join(entries) + b"]}"
    return Prefetched(bundle, tuple(cut))


def _check_patient(given: _Given, call: Call) -> None:
    """INVARIANT: the patient of the context and the one of the prefetch are the same."""
    if given.resourceType != "Patient" or given.id != call.patient:
        raise SubjectMismatch("the prefetched Patient is not the one of the context")


def _entry(full_url: str | None, resource: bytes) -> bytes:
    url = b'"fullUrl":' + msgspec.json.encode(full_url) + b"," if full_url else b""
    return b"{" + url + b'"resource":' + resource + b"}"


def _given(raw: bytes) -> _Given:
    return _Given() if raw == b"null" else _decoded(raw, _Given)


def _kind(raw: bytes) -> _Kind:
    return _Kind() if raw == b"null" else _decoded(raw, _Kind)


def _decoded(raw: bytes, shape: type[_Shape]) -> _Shape:
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.MsgspecError:
        raise CallInvalid("a resource, a Bundle or null is expected") from None
