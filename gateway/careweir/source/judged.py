"""How each R4 type is searched, and which of its elements the minimiser must see to judge it.

What a tool wants is not enough: whether a resource may leave depends on its labels, status, codes,
dates, reasons, on the words that it says anywhere and on what it refers to. Narrative, contained
resources and extensions are not in these lists (a source can be configured to be judged by whole
resources instead).

Source: FHIR R4 (4.0.1) resource definitions and search parameter registry. ``_elements`` takes base
names (search.html#elements); some servers read them as ``value`` for ``value[x]``, others know only
the names in the JSON, so both are sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

# The choice elements that can be asked for, and every type that R4 lets them have.
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "abatement": ("DateTime", "Age", "Period", "Range", "String"),
    "deceased": ("Boolean", "DateTime"),
    "effective": ("DateTime", "Period", "Timing", "Instant"),
    "medication": ("CodeableConcept", "Reference"),
    "occurrence": ("DateTime", "Period", "Timing"),
    "onset": ("DateTime", "Age", "Period", "Range", "String"),
    "performed": ("DateTime", "Period", "String", "Age", "Range"),
    "value": (
        "Quantity", "CodeableConcept", "String", "Boolean", "Integer", "Range", "Ratio",
        "SampledData", "Time", "DateTime", "Period",
    ),
}  # fmt: skip
_CHOICE: Final = re.compile(rf"^({'|'.join(_CHOICES)})(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Searched:
    """How one type is searched and judged.

    ``dates`` are parameters which together cover every element that the minimiser reads a time
    from; empty = none does, so the type is fetched without a limit of time. ``undated``: a time
    may also stand where no parameter looks, so those without the first parameter are asked for
    too. ``links`` spread sensitivity; ``named`` hold people and places, to be scrubbed from text.
    """

    code: str | None = None
    dates: tuple[str, ...] = ()
    undated: bool = False
    judged: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    subject: str = "subject"

    def elements(self, *, text: bool) -> frozenset[str]:
        """The elements that judging needs; ``text``: free text will leave and must be scrubbed."""
        found = {"meta", self.subject, *self.judged, *self.links}
        return frozenset(found | ({"identifier", *self.named} if text else set()))


_RESULT: Final = ("status", "code", "category", "effective", "issued", "encounter")
_PROBLEM: Final = (
    "verificationStatus", "code", "category", "onset", "recordedDate", "note", "encounter",
)  # fmt: skip
_DRUG: Final = ("status", "medication", "category", "note", "reasonCode", "encounter", "context")

SEARCHED: Final[Mapping[str, Searched]] = {
    "Observation": Searched(
        code="combo-code",  # a panel is found by the codes of its components too
        dates=("date",),
        undated=True,  # ``issued`` has no parameter
        judged=(*_RESULT, "focus", "note", "value", "component", "interpretation", "bodySite"),
        links=("basedOn", "partOf", "derivedFrom", "hasMember"),
        named=("performer",),
    ),
    "DiagnosticReport": Searched(
        code="code",
        dates=("date", "issued"),
        judged=(*_RESULT, "conclusion", "conclusionCode", "presentedForm"),
        links=("basedOn", "result", "imagingStudy"),
        named=("performer", "resultsInterpreter"),
    ),
    "ImagingStudy": Searched(
        dates=("started",),  # ``modality`` looks at series only: fetched by patient and time
        judged=("status", "modality", "series", "started", "note", "reasonCode", "encounter"),
        links=("basedOn", "reasonReference", "procedureReference"),
        named=("interpreter", "referrer"),
    ),
    "Condition": Searched(
        code="code",
        dates=("onset-date", "recorded-date"),
        judged=(*_PROBLEM, "clinicalStatus", "bodySite"),
        links=("evidence", "stage"),
        named=("recorder", "asserter"),
    ),
    "Encounter": Searched(
        code="class",
        dates=("date",),
        judged=("status", "class", "type", "serviceType", "period", "reasonCode"),
        links=("reasonReference", "diagnosis", "basedOn"),
        named=("participant", "location", "serviceProvider"),
    ),
    "MedicationRequest": Searched(
        code="code",
        dates=("authoredon",),
        judged=(*_DRUG, "authoredOn"),
        links=("reasonReference", "basedOn"),
        named=("requester", "performer", "recorder"),
    ),
    "MedicationStatement": Searched(
        code="code",
        dates=("effective",),
        judged=(*_DRUG, "effective"),
        links=("reasonReference", "basedOn", "derivedFrom", "partOf"),
        named=("informationSource",),
    ),
    "Procedure": Searched(
        code="code",
        dates=("date",),
        judged=(
            "status",
            "code",
            "category",
            "performed",
            "note",
            "reasonCode",
            "bodySite",
            "encounter",
        ),
        links=("reasonReference", "basedOn", "partOf", "report", "complicationDetail"),
        named=("performer", "asserter", "recorder", "location"),
    ),
    "AllergyIntolerance": Searched(
        code="code",  # ``onset`` is the reaction's, so no parameter covers onset[x]
        judged=(*_PROBLEM, "reaction"),
        named=("recorder", "asserter"),
        subject="patient",
    ),
    "ServiceRequest": Searched(
        code="code",
        dates=("authored", "occurrence"),
        judged=(
            "status",
            "code",
            "category",
            "authoredOn",
            "occurrence",
            "note",
            "reasonCode",
            "encounter",
        ),
        links=("reasonReference", "basedOn", "supportingInfo"),
        named=("requester", "performer"),
    ),
    "DocumentReference": Searched(
        code="type",
        dates=("date",),
        judged=(
            "status",
            "type",
            "category",
            "date",
            "description",
            "securityLabel",
            "context",
            "content",
        ),
        links=("relatesTo",),
        named=("author", "authenticator", "custodian"),
    ),
}

CONSENT: Final = ("meta", "patient", "policy", "policyRule", "provision", "scope", "status")
STUDY: Final = ("identifier", "meta", "status", "subject")  # to know which study is meant
PATIENT: Final = ("id", "meta")
# What of the Patient must be known before a word of free text can be scrubbed.
IDENTITY: Final = (
    "address", "birthDate", "contact", "deceased", "extension", "generalPractitioner",
    "identifier", "managingOrganization", "name", "telecom",
)  # fmt: skip
# Whose names a text may hold, and their elements. Only a RelatedPerson belongs to the patient.
PEOPLE: Final[Mapping[str, tuple[str, ...]]] = {
    "Location": ("address", "identifier", "name", "telecom"),
    "Organization": ("address", "alias", "identifier", "name", "telecom"),
    "Practitioner": ("address", "identifier", "name", "telecom"),
    "PractitionerRole": ("identifier", "location", "organization", "practitioner", "telecom"),
    "RelatedPerson": ("address", "identifier", "name", "patient", "telecom"),
}


def written_out(elements: Iterable[str]) -> tuple[str, ...]:
    """The elements, sorted, choices both by their base name and by every name in the JSON."""
    found = set(elements)
    for name in found & set(_CHOICES):
        found |= {f"{name}{kind}" for kind in _CHOICES[name]}
    return tuple(sorted(found))


def base_name(path: str) -> str:
    """The top-level element of a path: ``value`` for ``valueQuantity``."""
    head = path.partition(".")[0]
    choice = _CHOICE.match(head)
    return choice.group(1) if choice else head
