"""MLflow scoring: one row of columns goes out, one prediction comes in.

The answer names neither model, version nor row, so one row is sent and exactly one is accepted.
An error quotes the values that were sent: of its body only the presence of a stack trace is read,
which tells a crash inside the model from a request that the server refused.

Source: MLflow, scoring server protocol 2.0; measured with mlflow 3.17.2.
"""

from __future__ import annotations

from typing import Any

import orjson

from careweir_adapters.mlflow.mapping import (
    Label,
    Probability,
    Request,
    answer_of,
    check,
    request_of,
)
from careweir_fhir.model import Finding
from careweir_kit.adapter import Ask, Parsed, VendorAnswer, VendorRequest, Verdict
from careweir_kit.classify import json_object, verdict_of_status
from careweir_kit.errors import InputsMissing, VendorProtocolBroken
from careweir_kit.features import look
from careweir_kit.mapping import risk_finding
from careweir_kit.payload import standing
from careweir_kit.tool import Tool


def check_tool(tool: Tool) -> None:
    """Refuse a tool file whose mapping cannot be used. Raises ToolFileInvalid."""
    check(tool)


def build_request(tool: Tool, ask: Ask) -> VendorRequest:
    """One row for one patient. Raises InputsMissing."""
    mapping = request_of(tool)
    chart = standing(ask.payload, as_of=ask.as_of, preliminary=mapping.preliminary)
    looked = [(column, look(column, chart, ask)) for column in mapping.columns]
    without = tuple(f"{c.name}: {found.missing}" for c, found in looked if found.missing)
    lacking = any(c.required and found.missing for c, found in looked)
    if lacking or len(looked) - len(without) < mapping.inputs_min:
        raise InputsMissing(without)
    row = {column.name: found.value for column, found in looked}
    body: dict[str, Any] = {mapping.form: _framed(mapping, row)}
    if mapping.params:
        body["params"] = mapping.params
    return VendorRequest(
        "POST",
        mapping.path,
        orjson.dumps(body),
        {"content-type": "application/json", "accept": "application/json"},
        without=without,
    )


def _framed(mapping: Request, row: dict[str, float | None]) -> Any:
    match mapping.form:
        case "dataframe_split":
            return {"columns": list(row), "data": [list(row.values())]}
        case "dataframe_records" | "instances":
            return [row]
        case "inputs":
            return {name: [value] for name, value in row.items()}


def classify_answer(tool: Tool, answer: VendorAnswer) -> Verdict:
    """Say what kind of answer this is; never raises."""
    verdict = verdict_of_status(answer)
    if answer.status == 400 and _has_trace(answer):
        return Verdict("vendor_fault", "the model failed on the request")
    if verdict.answer_class != "ok":
        return verdict
    try:
        _prediction(answer)
    except VendorProtocolBroken as broken:
        return Verdict("protocol_broken", str(broken))
    return verdict


def _has_trace(answer: VendorAnswer) -> bool:
    try:
        return bool(json_object(answer).get("stack_trace"))
    except VendorProtocolBroken:
        return False


def _prediction(answer: VendorAnswer) -> Any:
    """The one row of the answer. Raises VendorProtocolBroken."""
    rows = json_object(answer).get("predictions")
    if not isinstance(rows, list):
        raise VendorProtocolBroken("not an answer with predictions")
    if len(rows) != 1:
        raise VendorProtocolBroken("another number of rows came back than was sent")
    return rows[0]


def parse_findings(tool: Tool, ask: Ask | None, answer: VendorAnswer) -> Parsed:
    """Read findings by the tool file's outputs. Raises VendorProtocolBroken."""
    row, effective = _prediction(answer), ask.as_of if ask else None
    return Parsed(
        tuple(
            _labelled(tool, output, row, effective)
            if isinstance(output, Label)
            else _risk(tool, output, row, effective)
            for output in answer_of(tool).findings
        )
    )


def _risk(tool: Tool, output: Probability, row: Any, effective: str | None) -> Finding:
    value = _cell(row, output.key) if output.index is None else _place(output, row)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise VendorProtocolBroken("a prediction is not a number")
    share = round(value / 100, 9) if output.per_cent else float(value)
    return risk_finding(tool, output.risk, share, version=None, effective=effective)


def _place(output: Probability, row: Any) -> Any:
    """One of the probabilities of a row, which must be one for each class."""
    if not isinstance(row, list) or len(row) != output.width or output.index is None:
        raise VendorProtocolBroken("a row has another number of classes than the tool file")
    if not all(_is_share(value, 100 if output.per_cent else 1) for value in row):
        raise VendorProtocolBroken("a row holds something else than probabilities")
    return row[output.index]


def _is_share(value: object, whole: int) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= whole


def _labelled(tool: Tool, output: Label, row: Any, effective: str | None) -> Finding:
    value = _cell(row, output.key)
    known = isinstance(value, str | int) and not isinstance(value, bool)
    band = output.bands.get(str(value)) if known else None
    if band is None:
        raise VendorProtocolBroken("the model named a class that the tool file does not know")
    return Finding(
        tool=tool.tool,
        tool_version=tool.version,
        kind="risk",
        code=output.risk.code,
        value=band,
        horizon=output.risk.horizon,
        threshold_band=band,
        effective=effective,
        verified=True,
    )


def _cell(row: Any, key: str | None) -> Any:
    """The row itself, or one of its columns."""
    if key is None:
        return row
    if not isinstance(row, dict) or key not in row:
        raise VendorProtocolBroken("a configured column is not in the answer")
    return row[key]
