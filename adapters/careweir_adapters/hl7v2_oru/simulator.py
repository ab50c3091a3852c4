"""A report reader that takes an ORU^R01 with text and answers with one with coded results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from careweir_kit.simulation.brains import TEXT_BRAINS, Said
from careweir_kit.simulation.model import (
    OLD_MODEL,
    SOMEBODY_ELSE,
    SimRequest,
    SimResponse,
    json_response,
)

_CODES: Mapping[str, str] = {
    "pneumothorax": "36118008^Pneumothorax^SCT",
    "pleural effusion": "60046008^Pleural effusion^SCT",
    "pneumonia": "233604007^Pneumonia^SCT",
    "consolidation": "95436008^Lung consolidation^SCT",
    "cardiomegaly": "8186001^Cardiomegaly^SCT",
    "rib fracture": "33737001^Fracture of rib^SCT",
    "pulmonary nodule": "427359005^Solitary nodule of lung^SCT",
}
_SIDES: Mapping[str, str] = {
    "left": "7771000^Left^SCT",
    "right": "24028007^Right^SCT",
    "both": "51440002^Right and left^SCT",
}
_MARKS: Mapping[str, str] = {
    "\\.br\\": "\n",
    "\\F\\": "|",
    "\\S\\": "^",
    "\\T\\": "&",
    "\\R\\": "~",
    "\\E\\": "\\",
}


def answer(tool: Mapping[str, Any], brain: str, request: SimRequest) -> SimResponse:
    """Answer one message from the text in its OBX segments; AR for one without text."""
    if request.path.strip("/") != str(tool["request"].get("path", "")).strip("/"):
        return json_response(404, {"error": "no such path"})
    lines = request.body.decode().split("\r")
    segments = [line.split("|") for line in lines if line]
    header = next(fields for fields in segments if fields[0] == "MSH")
    subject = next(fields[3] for fields in segments if fields[0] == "PID").split("^")[0]
    placer = next(fields[2] for fields in segments if fields[0] == "OBR")
    observed = next(
        (fields[7] for fields in segments if fields[0] == "OBR" and len(fields) > 7), ""
    )
    text = "\n".join(_plain(fields[5]) for fields in segments if fields[0] == "OBX")
    if not text.strip():
        return _hl7([_head(tool, header, "ACK^R01^ACK", "0"), f"MSA|AR|{header[9]}"])
    if request.twist == "wrong_patient":
        subject = SOMEBODY_ELSE
    version = OLD_MODEL if request.twist == "old_model" else str(tool["version"])
    name = f"M{request.seed}-{request.call}"
    rows = [
        _head(tool, header, "ORU^R01^ORU_R01", name),
        f"PID|1||{subject}^^^CAREWEIR^PI",
        f"OBR|1|{placer}|{name}|18748-4^Diagnostic imaging study^LN|||{observed}" + "|" * 18 + "F",
    ]
    for group, said in enumerate(TEXT_BRAINS[brain](text), start=1):
        rows += _results(said, group, version, len(rows) - 2)
    return _hl7(rows)


def _results(said: Said, group: int, version: str, at: int) -> list[str]:
    flag = "POS" if said.probability >= 0.5 else "NEG"
    sure = round(max(said.probability, 1 - said.probability), 4)
    model = f"LINES^EXAMPLE^{version}"
    found = [
        f"OBX|{at}|CWE|18782-3^Radiology study observation^LN|{group}|{_CODES[said.label]}|||"
        f"{flag}|{sure:g}||F" + "|" * 7 + model
    ]
    if said.side in _SIDES:
        found.append(
            f"OBX|{at + 1}|CWE|20228-3^Anatomic part laterality^LN|{group}|{_SIDES[said.side]}"
            "||||||F"
        )
    return found


def _head(tool: Mapping[str, Any], asked: list[str], kind: str, name: str) -> str:
    sender = tool["answer"].get("sender", "EXAMPLE")
    return "|".join(
        ["MSH", "^~\\&", sender, "LAB", asked[2], asked[3], asked[6], "", kind, name, "P", "2.7"]
        + [""] * 5
        + ["UNICODE UTF-8"]
    )


def _plain(text: str) -> str:
    for mark, character in _MARKS.items():
        text = text.replace(mark, character)
    return text


def _hl7(rows: list[str]) -> SimResponse:
    return SimResponse(200, "".join(f"{row}\r" for row in rows).encode(), "application/hl7-v2")
