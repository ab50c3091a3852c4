"""MLflow scoring: one row out, one row in, and nothing of an error's words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from careweir_kit.adapter import Ask, VendorAnswer
from careweir_kit.errors import InputsMissing, ToolFileInvalid, VendorProtocolBroken
from careweir_kit.features import StayFact, look
from careweir_kit.payload import standing
from careweir_kit.registry import discover_adapters, replay
from careweir_kit.tool import Tool
from support import minimised as charts

ADAPTER = discover_adapters()["mlflow"]
HTTP = ADAPTER.http
assert ADAPTER.example_tool is not None
TOOL: Tool = ADAPTER.example_tool
RISK = TOOL.answer["findings"][0]["risk"]
Json = dict[str, Any]


def _tool(*, request: Json | None = None, **output: Any) -> Tool:
    findings = [{"kind": "risk", "risk": RISK} | output] if output else TOOL.answer["findings"]
    update = {"request": TOOL.request | (request or {}), "answer": {"findings": findings}}
    return TOOL.model_copy(update=update)


def _answer(predictions: Any, status: int = 200, **more: Any) -> VendorAnswer:
    body = json.dumps({"predictions": predictions} | more).encode()
    return VendorAnswer(status, {"content-type": "application/json"}, body)


def _stays() -> list[charts.Resource]:
    return [
        charts.stay("2024-12-01T08:00:00Z", "2024-12-09T08:00:00Z"),  # too long ago
        charts.stay("2025-11-01T08:00:00Z", "2025-11-04T08:00:00Z"),
        charts.stay("2025-12-24T08:00:00Z", "2025-12-25T08:00:00Z", kind="EMER"),
        charts.stay("2026-01-10T08:00:00Z", "2026-01-12T08:00:00Z"),
        charts.stay("2026-02-27T08:30:00Z", None),
        charts.stay("2026-04-01T08:00:00Z", None),  # not yet
    ]


def _ask() -> Ask:
    return charts.ask(*_stays())


@pytest.mark.parametrize(
    ("form", "framed"),
    [
        (
            "dataframe_split",
            {"columns": ["age", "los_days", "prior_adm"], "data": [[64.0, 3.0, 2.0]]},
        ),
        ("dataframe_records", [{"age": 64.0, "los_days": 3.0, "prior_adm": 2.0}]),
        ("instances", [{"age": 64.0, "los_days": 3.0, "prior_adm": 2.0}]),
        ("inputs", {"age": [64.0], "los_days": [3.0], "prior_adm": [2.0]}),
    ],
)
def test_one_row_goes_out_in_the_form_of_the_tool_file(form: str, framed: Any) -> None:
    tool = _tool(request={"form": form, "params": {"threshold": 0.5}})

    body = json.loads(HTTP.build_request(tool, _ask()).body)

    assert body == {form: framed, "params": {"threshold": 0.5}}


def test_a_column_without_a_value_is_null_only_where_the_model_takes_nulls() -> None:
    columns = [dict(column, required=False) for column in TOOL.request["columns"]]
    lenient = _tool(request={"columns": columns, "nulls": True, "inputs_min": 1})

    request = HTTP.build_request(lenient, charts.ask())

    assert json.loads(request.body)["dataframe_split"]["data"] == [[64.0, None, None]]
    assert request.without == ("los_days: not in the chart", "prior_adm: not in the chart")
    with pytest.raises(InputsMissing, match="los_days"):
        HTTP.build_request(TOOL, charts.ask())
    with pytest.raises(InputsMissing):
        HTTP.build_request(lenient, charts.ask(age_years=None))


@pytest.mark.parametrize(
    ("output", "row", "value"),
    [
        ({"index": 1, "width": 2}, [0.64, 0.36], 0.36),
        ({"index": 0, "width": 2}, [1, 0], 1.0),
        ({"key": "p"}, {"p": 0.25, "other": "x"}, 0.25),
        ({"key": "p", "per_cent": True}, {"p": 41}, 0.41),
        ({"per_cent": False}, 0.5, 0.5),
    ],
)
def test_the_probability_is_where_the_tool_file_says(output: Json, row: Any, value: float) -> None:
    parsed = HTTP.parse_findings(_tool(**output), _ask(), _answer([row]))

    (found,) = parsed.findings
    assert (found.kind, found.value, found.unit, found.horizon) == ("risk", value, "1", "P30D")
    assert found.tool_version == TOOL.version
    assert (parsed.model_version, parsed.echoes, found.confidence) == (None, (), None)


def test_a_class_without_a_probability_is_a_band_and_no_number() -> None:
    tool = _tool(kind="label", bands={"0": "low", "1": "high"})

    (found,) = HTTP.parse_findings(tool, None, _answer([1])).findings

    assert (found.value, found.threshold_band, found.unit) == ("high", "high", None)
    for other in ([2], [True], [None], [[1]]):
        with pytest.raises(VendorProtocolBroken, match="class"):
            HTTP.parse_findings(tool, None, _answer(other))


@pytest.mark.parametrize(
    ("output", "predictions"),
    [
        ({"index": 1, "width": 2}, []),
        ({"index": 1, "width": 2}, [[0.6, 0.4], [0.1, 0.9]]),
        ({"index": 1, "width": 2}, [[0.2, 0.5, 0.3]]),
        ({"index": 1, "width": 2}, [0.4]),
        ({"index": 1, "width": 2}, [["0.6", "0.4"]]),
        ({"index": 1, "width": 2}, [[-0.1, 0.4]]),
        ({"index": 1, "width": 2}, [[True, False]]),
        ({"index": 1, "width": 2}, {"0": [0.6, 0.4]}),
        ({"key": "p"}, [{"q": 0.4}]),
        ({"key": "p"}, [0.4]),
        ({"key": "p"}, [{"p": 41}]),
        ({"key": "p", "per_cent": True}, [{"p": 141}]),
        ({"per_cent": False}, [True]),
    ],
)
def test_what_the_tool_file_does_not_promise_is_refused(output: Json, predictions: Any) -> None:
    tool = _tool(**output)

    assert replay(ADAPTER, tool, _answer(predictions))["outcome"] == "protocol_broken"


def _error(status: int, media: str = "application/json", **more: Any) -> VendorAnswer:
    body = {"error_code": "BAD_REQUEST", "message": "CANARY 66", "sqlstate": "KAM00", **more}
    return VendorAnswer(status, {"content-type": media}, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (_error(400), "bad_request"),
        (_error(400, stack_trace="CANARY"), "vendor_fault"),
        (_error(415, "text/plain"), "bad_request"),
        (_error(404), "bad_request"),
        (_error(401), "unauthorised"),
        (_error(429), "throttled"),
        (_error(500, stack_trace="CANARY"), "vendor_fault"),
    ],
)
def test_a_crash_inside_the_model_is_told_from_a_request_that_is_refused(
    answer: VendorAnswer, outcome: str
) -> None:
    verdict = HTTP.classify_answer(TOOL, answer)

    assert verdict.answer_class == outcome
    assert "CANARY" not in verdict.note


@pytest.mark.parametrize(
    ("update", "said"),
    [
        ({"subject_echo": "required"}, "names nobody"),
        ({"request": TOOL.request | {"columns": TOOL.request["columns"] * 2}}, "twice"),
        (
            {"request": {"columns": [{"name": "age", "patient": "age_years"}]}},
            "every column is required",
        ),
        ({"answer": {"findings": [{"kind": "risk", "risk": RISK, "index": 2}]}}, "width"),
        (
            {"answer": {"findings": [{"kind": "risk", "risk": RISK, "index": 2, "width": 2}]}},
            "outside width",
        ),
    ],
)
def test_a_mapping_that_could_mean_two_things_is_refused(update: Json, said: str) -> None:
    with pytest.raises(ToolFileInvalid, match=said):
        HTTP.check_tool(TOOL.model_copy(update=update))


@pytest.mark.parametrize(
    ("as_of", "length", "prior"),
    [
        ("2026-03-02T08:30:00Z", 3.0, 2.0),  # in the stay that began on 27 February
        ("2026-01-11T08:00:00Z", 2.0, 1.0),  # the index stay's own end is known
        ("2024-01-01T00:00:00Z", None, None),
    ],
)
def test_stays_are_counted_back_from_the_index_stay(
    as_of: str, length: float | None, prior: float | None
) -> None:
    ask = charts.ask(*_stays(), as_of=as_of)
    chart = standing(ask.payload, as_of=as_of)

    assert look(StayFact(name="los", stay="length_days"), chart, ask).value == length
    assert look(StayFact(name="n", stay="prior_year"), chart, ask).value == prior
