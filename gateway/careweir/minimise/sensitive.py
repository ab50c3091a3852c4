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
from typing import Any, Final

from careweir.access.vocabulary import Vocabulary
from careweir.minimise.chart import Chart, Record

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


def sensitivities(chart: Chart, record: Record, vocabulary: Vocabulary) -> frozenset[str]:
    """Sensitivity and confidentiality codes of one record; remembered for the other tools."""
    key = ("sensitivity", record.index, id(vocabulary))
    found = chart.memo.get(key)
    if found is None:
        found = frozenset(_sensitivities(chart, record, vocabulary))
        chart.memo[key] = found
    return frozenset(found)


def _sensitivities(chart: Chart, record: Record, vocabulary: Vocabulary) -> Iterator[str]:
    resource = chart.resource(record)
    yield from labels(resource, vocabulary)
    demographic = record.resource_type == "Patient"  # a surname or a street is no diagnosis
    for part in _parts(resource):
        if isinstance(part, dict):
            system, code = part.get("system"), part.get("code")
            if isinstance(code, str) and isinstance(system, str):
                yield from _of_coding(system, code, vocabulary)
        elif not demographic:
            yield from _of_text(chart, part, vocabulary)


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
    if system == ACT_CODE and code in vocabulary.labels:
        yield code
    elif system == CONFIDENTIALITY and code not in _OPEN:
        yield code
    else:
        found = vocabulary.sensitivity_of_code(system, code)
        if found is not None:
            yield found


def _of_text(chart: Chart, text: str, vocabulary: Vocabulary) -> frozenset[str]:
    key = ("words", id(vocabulary), text)
    found = chart.memo.get(key)
    if found is None:
        found = vocabulary.sensitivities_of_text(text)
        chart.memo[key] = found
    return frozenset(found)


def _parts(value: Any, key: str = "") -> Iterator[dict[str, Any] | str]:
    """Every object and every text below a value; attachments as the text that they hold."""
    if isinstance(value, str):
        if key not in _UNREAD and value:
            yield value
    elif isinstance(value, dict):
        yield value
        for name, item in value.items():
            yield from _parts(item, name)
        if isinstance(value.get("data"), str):
            text = attachment_text(value)
            if text is not None:
                yield text
    elif isinstance(value, list):
        for item in value:
            yield from _parts(item, key)


def attachment_text(attachment: dict[str, Any]) -> str | None:
    """The text of an Attachment's data; None when it is not plain UTF-8 text."""
    data = attachment.get("data")
    if not isinstance(data, str):
        return None
    try:
        return base64.b64decode("".join(data.split()), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
