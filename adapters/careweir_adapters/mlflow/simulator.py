"""An MLflow scoring server: its answers have no model, no version and no row id.

Its errors quote what was sent, as the real server's do: what the gateway must not pass on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from careweir_kit.simulation.brains import NUMBER_BRAINS
from careweir_kit.simulation.model import SimRequest, SimResponse, json_response

_TYPES = "text/csv, application/json, application/vnd.apache.parquet"


def answer(tool: Mapping[str, Any], brain: str, request: SimRequest) -> SimResponse:
    """Score one row; a missing column is a 400, a null that the model cannot take another."""
    if request.path != "/" + tool["request"].get("path", "invocations"):
        return json_response(404, {"detail": "Not Found"})
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        words = f"This predictor only supports: {_TYPES}"
        return SimResponse(415, words.encode(), "text/plain; charset=utf-8")
    row = _row(request.json())
    wanted = [column["name"] for column in tool["request"]["columns"]]
    lacking = [name for name in wanted if name not in row]
    if lacking:
        return _error("INVALID_PARAMETER_VALUE", "SCHEMA_ENFORCEMENT_FAILED", row)
    if None in row.values() and not tool["request"].get("nulls"):
        return _error("BAD_REQUEST", "INVALID_PARAMETER_VALUE", row, crashed=True)
    values = {name: float(value) for name, value in row.items() if value is not None}
    risk = NUMBER_BRAINS[brain](values)
    return json_response(200, {"predictions": [_predicted(tool["answer"]["findings"][0], risk)]})


def _predicted(output: Mapping[str, Any], risk: float) -> Any:
    if output["kind"] == "label":
        names = list(output["bands"])
        return names[-1] if risk >= 0.5 else names[0]
    value = round(risk * 100, 2) if output.get("per_cent") else risk
    if output.get("width"):
        columns = [round(1 - risk, 4)] * output["width"]
        columns[output["index"]] = risk
        return columns
    return {output["key"]: value} if output.get("key") else value


def _row(body: Mapping[str, Any]) -> dict[str, Any]:
    """The one row of any of the four forms."""
    if "dataframe_split" in body:
        frame = body["dataframe_split"]
        return dict(zip(frame["columns"], frame["data"][0], strict=True))
    for form in ("dataframe_records", "instances"):
        if form in body:
            return dict(body[form][0])
    return {name: values[0] for name, values in body["inputs"].items()}


def _error(code: str, kind: str, row: Mapping[str, Any], *, crashed: bool = False) -> SimResponse:
    error = {"error_code": code, "message": f"Failed on {row}", "sqlstate": "KAM00"}
    trace = {"stack_trace": f"Traceback (most recent call last):\n  {row}"} if crashed else {}
    return json_response(400, error | {"error_class": kind} | trace)
