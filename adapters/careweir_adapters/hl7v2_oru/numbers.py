"""From one numeric OBX to a measurement or a risk."""

from __future__ import annotations

from typing import Any

from careweir_adapters.hl7v2_oru.er7 import Segment
from careweir_adapters.hl7v2_oru.values import NotRead, Reader, Row, number_of
from careweir_adapters.hl7v2_oru.vocabulary import pair
from careweir_fhir.model import Finding
from careweir_kit.errors import VendorProtocolBroken
from careweir_kit.mapping import Risk, risk_finding
from careweir_kit.units import unit_of


def numeric(reader: Reader, row: Row, base: Finding, raw: str) -> Finding:
    value = number_of(row.obx.text(raw))
    for risk in reader.mapping.risks:
        if pair(risk.result) == pair(row.code):
            return _risk(reader, row, base, value, risk.risk)
    return base.model_copy(update={"kind": "measurement", "value": value, "unit": _unit(row.obx)})


def _risk(reader: Reader, row: Row, base: Finding, value: float, risk: Risk) -> Finding:
    fraction = value / 100 if row.obx.part(6) == "%" else value
    try:
        found = risk_finding(
            reader.tool, risk, fraction, version=base.tool_version, effective=base.effective
        )
    except VendorProtocolBroken as broken:
        raise NotRead(str(broken)) from None
    kept = ("id", "replaces", "status", "explanation")
    return found.model_copy(update={name: getattr(base, name) for name in kept})


def _unit(obx: Segment) -> str | None:
    code, text = obx.part(6, 1), obx.part(6, 2)
    if not code and not text:
        return None
    if obx.part(6, 3).upper() == "UCUM":
        return code
    known = unit_of({"code": code, "unit": text}) or unit_of({"unit": text})
    if known is None:
        raise NotRead("a unit that is not known")
    return known


def structured(row: Row, base: Finding, parts: list[str]) -> Finding:
    """SN: a comparator and a number, or two numbers with a separator between them."""
    comparator, first, separator, second = [*(p.strip() for p in parts), "", "", "", ""][:4]
    update: dict[str, Any] = {"kind": "measurement", "unit": _unit(row.obx)}
    match (comparator, separator):
        case ("" | "=", ""):
            update["value"] = number_of(first)
        case ("" | "=", "-"):
            low, high = number_of(first), number_of(second)
            if low > high:
                raise NotRead("a range that ends before it begins")
            update["interval"] = (low, high)
        case ("<" | ">" | "<=" | ">=", ""):
            update["value"] = f"{comparator}{number_of(first):g}"
        case _:
            raise NotRead("a structured number of a form that is not read")
    return base.model_copy(update=update)
