"""What is sensitive about a resource: its labels, its codes, its words.

Three nets, each of which is enough: a security label, a code of a sensitive class anywhere in the
resource, and a sensitive word in any of its texts (narrative, displays, notes, decoded
attachments). A label that nobody knows counts as restricting.

Source: HL7 v3-Confidentiality, v3-ActCode; DS4P inline labels; HL7 healthcare security labels.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from careweir.access.vocabulary import Vocabulary
from careweir.minimise.chart import Chart, CodeKey, Record
from careweir.minimise.reading import questionnaire_code

CONFIDENTIALITY: Final = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
ACT_CODE: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_IGNORED_SYSTEMS: Final = frozenset(
    {
        "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",  # integrity marks
        "http://terminology.hl7.org/CodeSystem/v3-ActReason",  # purposes of use
    }
)
_OPEN: Final = frozenset({"U", "L", "M", "N"})
# Obligations that ask for careful handling and restrict nobody who handles with care.
_HANDLING: Final = frozenset(
    {"AUDIT", "AUDTR", "AOD", "ENCRYPT", "ENCRYPTR", "ENCRYPTT", "ENCRYPTU", "LABEL", "MINEC"}
    | {"PERSISTLABEL", "PRIVMARK", "PROCESSINLINELABEL", "DELAU"}
)
_LAWS: Final = {
    "42CFRPart2": "SUD",
    "Title38Section7332": "SUD",
    "HIPAAPsyNotes": "PSYTHPN",
}
_UNREAD: Final = frozenset({"system", "url", "reference", "profile", "data", "id", "lastUpdated"})


# References that say who and where. What they lead to has its own rules and is not what the
# resource is about; every other reference spreads the sensitivity of what it names.
_ADMINISTRATIVE: Final = frozenset(
    {"subject", "patient", "encounter", "context", "performer", "requester", "recorder", "author"}
    | {"asserter", "custodian", "serviceProvider", "participant", "location", "device", "specimen"}
    | {"provider", "insurer", "facility", "managingOrganization", "generalPractitioner"}
)


def sensitivities(chart: Chart, record: Record, vocabulary: Vocabulary) -> frozenset[str]:
    """Sensitivity and confidentiality codes of one record and of what it refers to.

    INVARIANT: what refers to something sensitive is as sensitive. Remembered for other tools.
    """
    key = ("sensitivity", record.index, id(vocabulary))
    found: frozenset[str] | None = chart.memo.get(key)
    if found is None:
        found = frozenset().union(
            *(_own(chart, one, vocabulary) for one in _reachable(chart, record))
        )
        chart.memo[key] = found
    return found


def _reachable(chart: Chart, record: Record) -> list[Record]:
    """The record and every record that it leads to, each once."""
    found = {record.index: record}
    waiting = [record]
    while waiting:
        for target in _facts(chart, waiting.pop()).references:
            named = chart.find(target)
            if named is not None and named.index not in found and named is not chart.patient:
                found[named.index] = named
                waiting.append(named)
    return list(found.values())


class _Facts(NamedTuple):
    """What one resource holds, wherever it holds it."""

    codings: list[CodeKey]
    texts: list[str]  # attachments as the text that they hold
    references: list[str]  # without the administrative ones


def _facts(chart: Chart, record: Record) -> _Facts:
    key = ("facts", record.index)
    found: _Facts | None = chart.memo.get(key)
    if found is None:
        found = chart.memo[key] = _walk(chart.resource(record))
    return found


def _walk(resource: dict[str, Any]) -> _Facts:
    facts = _Facts([], [], [])
    waiting: list[tuple[Any, str, bool]] = [(resource, "", True)]
    while waiting:
        value, key, clinical = waiting.pop()
        if isinstance(value, str):
            if key not in _UNREAD:
                facts.texts.append(value)
        elif isinstance(value, list):
            waiting += [(item, key, clinical) for item in value]
        elif isinstance(value, dict):
            _note_object(value, facts, clinical)
            for name, item in value.items():
                waiting.append((item, name, clinical and name not in _ADMINISTRATIVE))
    return facts


def _note_object(value: dict[str, Any], facts: _Facts, clinical: bool) -> None:
    system, code, target = value.get("system"), value.get("code"), value.get("reference")
    if isinstance(code, str):
        facts.codings.append((system if isinstance(system, str) else "", code))
    if "questionnaire" in value:
        asked = questionnaire_code(value["questionnaire"])
        facts.codings.extend([asked] if asked is not None else [])
    if isinstance(value.get("linkId"), str):  # often the code of the question, after a slash
        facts.codings.append(("", value["linkId"].rpartition("/")[2]))
    if clinical and isinstance(target, str):
        facts.references.append(target)
    if "data" in value:
        text = attachment_text(value)
        if text is not None:
            facts.texts.append(text)


def _own(chart: Chart, record: Record, vocabulary: Vocabulary) -> frozenset[str]:
    key = ("own sensitivity", record.index, id(vocabulary))
    found: frozenset[str] | None = chart.memo.get(key)
    if found is None:
        found = chart.memo[key] = frozenset(_sensitivities(chart, record, vocabulary))
    return found


def _sensitivities(chart: Chart, record: Record, vocabulary: Vocabulary) -> Iterator[str]:
    yield from labels(chart.resource(record), vocabulary)
    facts = _facts(chart, record)
    for system, code in facts.codings:
        yield from _of_coding(system, code, vocabulary)
    if record.resource_type != "Patient":  # a surname or a street is no diagnosis
        for text in facts.texts:
            yield from _of_text(chart, text, vocabulary)


def labels(resource: dict[str, Any], vocabulary: Vocabulary) -> Iterator[str]:
    """The restricting codes of ``meta.security``; an unknown label restricts as ``SPI``."""
    meta = resource.get("meta")
    security = meta.get("security") if isinstance(meta, dict) else None
    if security is None:
        return
    for label in security if isinstance(security, list) else [security]:
        system = label.get("system") if isinstance(label, dict) else None
        code = label.get("code") if isinstance(label, dict) else None
        if isinstance(system, str) and system in _IGNORED_SYSTEMS:
            continue
        if system == CONFIDENTIALITY and isinstance(code, str):
            if code not in _OPEN:
                yield code
        elif system == ACT_CODE and isinstance(code, str):
            if code not in _HANDLING:
                yield _LAWS.get(code, code)
        else:
            yield "SPI"


def _of_coding(system: str, code: str, vocabulary: Vocabulary) -> Iterator[str]:
    if (system == ACT_CODE and code in vocabulary.labels) or (
        system == CONFIDENTIALITY and code not in _OPEN
    ):
        yield code
    else:
        yield from vocabulary.sensitivities_of_code(system, code)


def _of_text(chart: Chart, text: str, vocabulary: Vocabulary) -> frozenset[str]:
    key = ("words", id(vocabulary), text)
    found = chart.memo.get(key)
    if found is None:
        found = vocabulary.sensitivities_of_text(text)
        chart.memo[key] = found
    return frozenset(found)


def attachment_text(attachment: dict[str, Any]) -> str | None:
    """The text of an Attachment's data; None when it is not plain UTF-8 text."""
    data = attachment.get("data")
    if not isinstance(data, str):
        return None
    try:
        return base64.b64decode("".join(data.split()), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
