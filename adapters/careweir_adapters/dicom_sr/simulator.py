"""An archive that holds one structured report for whoever is asked about."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from careweir_kit.simulation.brains import TEXT_BRAINS, Said
from careweir_kit.simulation.model import (
    OLD_MODEL,
    SOMEBODY_ELSE,
    SimRequest,
    SimResponse,
    json_response,
)

# What the simulated reader saw in the images; it is not sent any.
_SEEN: Final = "Small left pneumothorax. No pleural effusion."
_CODES: Final[Mapping[str, tuple[str, str]]] = {
    "pneumothorax": ("36118008", "Pneumothorax"),
    "pleural effusion": ("60046008", "Pleural effusion"),
}
_SIDES: Final[Mapping[str, tuple[str, str]]] = {"left": ("7771000", "Left")}
_SR: Final = "1.2.840.10008.5.1.4.1.1.88.33"
Json = dict[str, Any]


def answer(tool: Mapping[str, Any], brain: str, request: SimRequest) -> SimResponse:
    """The search gives one instance; its metadata is the report."""
    place = urlsplit(request.path)
    if place.path == "/instances":
        return _found(request, parse_qs(place.query))
    parts = place.path.strip("/").split("/")
    held = request.memory.get(parts[5] if len(parts) == 7 else "")
    if held is None or parts[6] != "metadata":
        return json_response(404, {"error": "no such instance"})
    twists = {request.twist, held["twist"]}
    version = OLD_MODEL if "old_model" in twists else str(tool["version"])
    patient = SOMEBODY_ELSE if "wrong_patient" in twists else held["patient"]
    report = _report(TEXT_BRAINS[brain](_SEEN), version, patient, parts)
    return _dicom([report])


def _found(request: SimRequest, query: Mapping[str, list[str]]) -> SimResponse:
    patient = query["PatientID"][0]
    if query["Modality"] != ["SR"]:
        return SimResponse(204, b"", "")
    number = int.from_bytes(hashlib.sha256(patient.encode()).digest()[:8], "big")
    uids = [f"2.25.{number}.{level}" for level in (1, 2, 3)]
    request.remember(uids[2], {"patient": patient, "twist": request.twist})
    tags = ("0020000D", "0020000E", "00080018")
    hit = {tag: _value("UI", uid) for tag, uid in zip(tags, uids, strict=True)}
    return _dicom([hit | {"00080016": _value("UI", _SR), "00100020": _value("LO", patient)}])


def _report(said: tuple[Said, ...], version: str, patient: str, parts: list[str]) -> Json:
    present = [one for one in said if one.probability >= 0.5]
    absent = [one for one in said if one.probability < 0.5]
    groups = [_group(one, version, at) for at, one in enumerate(present, start=1)]
    answers = [
        _coded(_CODES[one.label], ("2667000", "Absent")) for one in absent if one.label in _CODES
    ]
    content = [_container(("126010", "DCM", "Imaging Measurements"), groups)]
    content.append(_container(("C0034375", "UMLS", "Qualitative Evaluations"), answers))
    root = _container(("126000", "DCM", "Imaging Measurement Report"), content)
    return root | {
        "00080016": _value("UI", _SR),
        "00080018": _value("UI", parts[5]),
        "00080023": _value("DA", "20260302"),
        "00080033": _value("TM", "081500"),
        "00080201": _value("SH", "+0000"),
        "0020000D": _value("UI", parts[1]),
        "0020000E": _value("UI", parts[3]),
        "00100020": _value("LO", patient),
        "0040A491": _value("CS", "COMPLETE"),
        "0040A493": _value("CS", "UNVERIFIED"),
    }


def _group(one: Said, version: str, at: int) -> Json:
    site = _coded(("363698007", "Finding Site"), ("39607008", "Lung"))
    if one.side in _SIDES:
        site["0040A730"] = _value("SQ", _coded(("272741003", "Laterality"), _SIDES[one.side]))
    certainty = _item("NUM", ("111012", "DCM", "Certainty of Finding")) | {
        "0040A300": _value("SQ", {
            "0040A30A": _value("DS", f"{one.probability * 100:g}"),
            "004008EA": _value("SQ", _code("%", "UCUM", "percent")),
        })
    }  # fmt: skip
    return _container(
        ("125007", "DCM", "Measurement Group"),
        [
            _item("UIDREF", ("112040", "DCM", "Tracking Unique Identifier"))
            | {"0040A124": _value("UI", f"2.25.7.{at}")},
            _coded(("121071", "Finding"), _CODES[one.label], scheme="DCM"),
            site,
            certainty,
            _item("TEXT", ("111001", "DCM", "Algorithm Name"))
            | {"0040A160": _value("UT", "Chest SR")},
            _item("TEXT", ("111003", "DCM", "Algorithm Version"))
            | {"0040A160": _value("UT", version)},
        ],
    )


def _container(name: tuple[str, str, str], children: list[Json]) -> Json:
    return _item("CONTAINER", name) | {"0040A730": {"vr": "SQ", "Value": children}}


def _coded(name: tuple[str, str], value: tuple[str, str], *, scheme: str = "SCT") -> Json:
    code = {"0040A168": _value("SQ", _code(value[0], "SCT", value[1]))}
    return _item("CODE", (name[0], scheme, name[1])) | code


def _item(kind: str, name: tuple[str, str, str]) -> Json:
    return {"0040A040": _value("CS", kind), "0040A043": _value("SQ", _code(*name))}


def _code(code: str, scheme: str, words: str) -> Json:
    return {
        "00080100": _value("SH", code),
        "00080102": _value("SH", scheme),
        "00080104": _value("LO", words),
    }


def _value(vr: str, value: Any) -> Json:
    return {"vr": vr, "Value": [value]}


def _dicom(value: list[Json]) -> SimResponse:
    body = json_response(200, value).body
    return SimResponse(200, body, "application/dicom+json")
