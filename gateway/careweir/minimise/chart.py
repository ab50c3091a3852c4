"""A chart that is read as little as possible: split, glanced at, decoded only where it is needed.

The Bundle is split into undecoded entries; a glance at each gives its type, subject and codes. Only
a resource that may be sent is decoded, once, strictly and whole: a key that occurs twice, NaN,
invalid UTF-8 or too deep a nesting refuses the question. What the glance saw is never sent.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from careweir.access.elements import CODED_BY
from careweir.access.names import RESOURCE_TYPES
from careweir.errors import QuestionInvalid
from careweir_kit.strict_json import JsonRefused, decode

CodeKey = tuple[str, str]


class SubjectMismatch(QuestionInvalid):
    """The chart is about somebody else, or about more than one patient."""

    code = "subject_mismatch"
    title = "The chart is not about this patient alone"


class _Reference(msgspec.Struct, gc=False):
    reference: str | None = None


class _Coding(msgspec.Struct, gc=False):
    system: str | None = None
    code: str | None = None


class _Concept(msgspec.Struct, gc=False):
    coding: list[_Coding] = []


class _Participant(msgspec.Struct, gc=False):
    actor: _Reference | None = None


class _Component(msgspec.Struct, gc=False):
    code: _Concept | None = None


class _Resource(msgspec.Struct, gc=False):
    resourceType: str | None = None
    id: str | None = None
    effectiveDateTime: str | None = None
    subject: _Reference | None = None
    patient: _Reference | None = None
    beneficiary: _Reference | None = None
    participant: list[_Participant] = []
    code: _Concept | None = None
    component: list[_Component] = []


class _Entry(msgspec.Struct, gc=False):
    fullUrl: str | None = None
    resource: _Resource | None = None


class _Bundle(msgspec.Struct):
    resourceType: str | None = None
    entry: list[msgspec.Raw] | None = None


_read_bundle = msgspec.json.Decoder(_Bundle).decode
_read_entry = msgspec.json.Decoder(_Entry).decode
_ENTRIES_OPEN = re.compile(rb'"entry"\s*:\s*\[\s*')
_BETWEEN = re.compile(rb"\s*,?\s*")


class Record(msgspec.Struct, frozen=True, gc=False):
    """One entry with a resource: ``codes`` say what it is about, ``part_codes`` its components.

    ``when`` is its effectiveDateTime, where a glance saw one; ``attending`` are the participants
    of an Appointment, which has no subject.
    """

    index: int
    resource_type: str
    id: str | None
    full_url: str | None
    codes: tuple[CodeKey, ...] | None  # None: only the decoded resource tells
    part_codes: tuple[CodeKey, ...]
    when: str | None
    subject: str | None
    attending: tuple[str, ...]
    raw: bytes

    @property
    def reference(self) -> str:
        """``Type/id`` where there is an id, else the entry's URL, else its place."""
        if self.id:
            return f"{self.resource_type}/{self.id}"
        return self.full_url or f"{self.resource_type}#{self.index}"


@dataclass(slots=True)
class Chart:
    """One patient's Bundle. Decoded resources are kept, so that all tools share them."""

    patient: Record
    records: tuple[Record, ...]
    skipped: int  # entries without a usable resource
    aliases: frozenset[str]  # every reference that means the patient
    by_reference: dict[str, Record] | None = None  # made by the first ``find``
    counts: Counter[str] = field(default_factory=Counter)
    by_type: dict[str, list[Record]] = field(default_factory=dict)
    decoded: dict[int, dict[str, Any]] = field(default_factory=dict)
    memo: dict[Any, Any] = field(default_factory=dict)  # facts about decoded resources

    def resource(self, record: Record) -> dict[str, Any]:
        """The resource of a record, strictly decoded. Raises QuestionInvalid."""
        found = self.decoded.get(record.index)
        if found is None:
            found = _decode_entry(record.raw, record.index)["resource"]
            self.decoded[record.index] = found
        return found

    def is_ours(self, record: Record) -> bool:
        """True when the resource is the patient or says that it is about the patient."""
        if record.resource_type == "Appointment":
            return self._attends_alone(record)
        return record is self.patient or record.subject in self.aliases

    def _attends_alone(self, appointment: Record) -> bool:
        """True when the patient takes part, and nobody who is or could be another patient."""
        others = [one for one in appointment.attending if one not in self.aliases]
        return len(others) < len(appointment.attending) and all(map(self._is_no_patient, others))

    def _is_no_patient(self, reference: str) -> bool:
        named = self.find(reference)
        if named is not None:
            return named.resource_type != "Patient"
        kind = reference.rpartition("/")[0].rpartition("/")[2]
        return kind in RESOURCE_TYPES and kind != "Patient"

    def find(self, reference: Any) -> Record | None:
        """The record that a reference string means, if the chart has it."""
        if not isinstance(reference, str):
            return None
        if self.by_reference is None:
            self.by_reference = dict(_references(self.records))
        return self.by_reference.get(_bare(reference))


def read_chart(inputs: bytes | memoryview, *, subject: str | None) -> Chart:
    """Read a Bundle about ``subject`` (``Patient/<id>`` or the entry's fullUrl; None: whoever).

    Raises:
        QuestionInvalid: not a Bundle, not JSON that can be trusted, or no Patient in it.
        SubjectMismatch: more than one patient, or another one than ``subject``.
    """
    body = bytes(inputs)
    entries = _split(body)
    records: list[Record] = []
    skipped = 0
    for index, raw in enumerate(entries):
        record = _glance(index, raw)
        if record is None:
            skipped += 1
        else:
            records.append(record)

    patient = _the_patient(records)
    aliases = _aliases(patient, {record.subject for record in records if record.subject})
    if subject is not None and subject not in aliases:
        raise SubjectMismatch("the chart's Patient is not the subject", path="subject")
    chart = Chart(
        patient=patient,
        records=tuple(records),
        skipped=skipped,
        aliases=aliases,
    )
    for record in records:
        chart.by_type.setdefault(record.resource_type, []).append(record)
    chart.counts.update({name: len(found) for name, found in chart.by_type.items()})
    _check_subjects(chart)
    return chart


def _split(body: bytes) -> list[bytes]:
    """The entries as they stand; the Bundle around them is read strictly."""
    try:
        entries = [bytes(raw) for raw in _read_bundle(body).entry or ()]
        shell = decode(_without(body, entries) if entries else body)
    except (msgspec.MsgspecError, JsonRefused, RecursionError):
        raise QuestionInvalid("inputs are not a readable JSON Bundle", path="inputs") from None
    if not isinstance(shell, dict) or shell.get("resourceType") != "Bundle":
        raise QuestionInvalid("inputs are not a FHIR Bundle", path="inputs.resourceType")
    return entries


def _without(body: bytes, entries: list[bytes]) -> bytes:
    """The Bundle with its entries cut out, so that its own keys can be read strictly."""
    for opening in _ENTRIES_OPEN.finditer(body):
        end = opening.end()
        for entry in entries:
            if not body.startswith(entry, end):
                break
            end += len(entry)
            if not body.startswith(b",{", end):
                separator = _BETWEEN.match(body, end)
                end = separator.end() if separator else end
            else:
                end += 1
        else:
            return body[: opening.end()] + body[end:]
    raise JsonRefused("the entries cannot be told from the rest")


def _glance(index: int, raw: bytes) -> Record | None:
    try:
        entry = _read_entry(raw)
    except (msgspec.MsgspecError, RecursionError):
        return _stare(index, raw)
    resource = entry.resource
    if resource is None or not resource.resourceType:
        return None
    kind = resource.resourceType
    about = resource.subject or resource.patient or resource.beneficiary
    parts = resource.component
    return Record(
        index=index,
        resource_type=kind,
        id=resource.id,
        full_url=entry.fullUrl,
        codes=_codes(resource.code) if CODED_BY.get(kind) == "code" else None,
        part_codes=tuple(key for part in parts for key in _codes(part.code)) if parts else (),
        when=resource.effectiveDateTime,
        subject=None if about is None or about.reference is None else _bare(about.reference),
        attending=_attending(resource.participant) if resource.participant else (),
        raw=raw,
    )


def _attending(participants: list[_Participant]) -> tuple[str, ...]:
    named = (one.actor.reference for one in participants if one.actor)
    return tuple(_bare(reference) for reference in named if reference)


def _codes(concept: _Concept | None) -> tuple[CodeKey, ...]:
    if concept is None:
        return ()
    return tuple((c.system, c.code) for c in concept.coding if c.system and c.code)


def _stare(index: int, raw: bytes) -> Record | None:
    """An entry that is not shaped as expected: decode it whole, and take what is there."""
    if not raw.startswith(b"{"):
        return None
    entry = _decode_entry(raw, index)
    resource = entry.get("resource")
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        return None
    about = resource.get("subject") or resource.get("patient")
    about = about or resource.get("beneficiary")
    reference = about.get("reference") if isinstance(about, dict) else None
    return Record(
        index=index,
        resource_type=resource["resourceType"],
        id=_text(resource.get("id")),
        full_url=_text(entry.get("fullUrl")),
        codes=None,
        part_codes=(),
        when=None,
        subject=_bare(reference) if isinstance(reference, str) else None,
        attending=(),
        raw=raw,
    )


def _decode_entry(body: bytes, index: int) -> dict[str, Any]:
    try:
        entry = decode(body)
    except (JsonRefused, RecursionError) as error:
        detail = str(error) if isinstance(error, JsonRefused) else "nested too deeply"
        raise QuestionInvalid(
            f"an entry cannot be read: {detail}", path=f"inputs.entry[{index}]"
        ) from None
    assert isinstance(entry, dict)
    return entry


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _bare(reference: str) -> str:
    return reference.partition("/_history/")[0] if "/_history/" in reference else reference


def _the_patient(records: list[Record]) -> Record:
    patients = [record for record in records if record.resource_type == "Patient"]
    if not patients:
        raise QuestionInvalid("the chart has no Patient", path="inputs.entry")
    first = patients[0]
    if any(other.raw != first.raw for other in patients[1:]):
        raise SubjectMismatch("the chart has more than one Patient", path="inputs.entry")
    _, named, tail = (first.full_url or "").rpartition("Patient/")
    if named and first.id and _bare(tail) != first.id:
        raise SubjectMismatch("the Patient's id and fullUrl differ", path="inputs.entry.fullUrl")
    return first


def _aliases(patient: Record, subjects: set[str]) -> frozenset[str]:
    """Every reference that means the patient.

    An absolute reference counts where the Patient's own URL says so, or where the Patient has no
    absolute URL and all absolute references to its id agree on one server.
    """
    found = {patient.full_url} if patient.full_url else set()
    if patient.id:
        found |= {f"Patient/{patient.id}", f"urn:uuid:{patient.id}"}
        if not (patient.full_url or "").startswith("http"):
            tail = f"/Patient/{patient.id}"
            absolute = {s for s in subjects if s.startswith("http") and s.endswith(tail)}
            found |= absolute if len(absolute) == 1 else set()
    return frozenset(found)


def _references(records: Iterable[Record]) -> Iterator[tuple[str, Record]]:
    for record in records:
        if record.id:
            yield f"{record.resource_type}/{record.id}", record
            yield f"urn:uuid:{record.id}", record
    for record in records:
        if record.full_url:
            yield record.full_url, record


def _check_subjects(chart: Chart) -> None:
    """INVARIANT: a chart that mixes patients is refused whole, whichever tool would be asked."""
    for subject in {record.subject for record in chart.records} - chart.aliases:
        if subject is None or "?" in subject or subject.startswith("#"):
            continue  # names nobody that can be known here: the resource is not sent
        named = chart.find(subject)
        if named is not None and named.resource_type != "Patient":
            continue
        kind, _, _ = subject.rpartition("/")
        kind = kind.rpartition("/")[2]
        if kind and kind != "Patient" and not subject.startswith("urn:"):
            continue  # a group, a device, a place
        raise SubjectMismatch(
            "a resource of the chart is about another patient", path="inputs.entry.subject"
        )
