"""Open Inference Protocol: tensors from a chart, findings from tensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from careweir_kit.adapter import VendorAnswer
from careweir_kit.errors import InputsMissing, ToolFileInvalid, VendorProtocolBroken
from careweir_kit.registry import discover_adapters, load_tool, load_tools
from careweir_kit.tool import Tool
from support import minimised as charts

ADAPTERS = discover_adapters()
TOOLS = load_tools(Path(__file__).resolve().parents[2] / "policies" / "tools", ADAPTERS)
OIP = ADAPTERS["oip_v2"].http
SEPSIS, LUMEN = TOOLS["acme-sepsis"], TOOLS["lumen-cxr"]
EXAMPLE = load_tool(Path(str(ADAPTERS["oip_v2"].folder.joinpath("example_tool.yaml"))), ADAPTERS)


def _body(tool: Tool, *resources: dict[str, Any], **options: Any) -> dict[str, Any]:
    request = OIP.build_request(tool, charts.ask(*resources, **options))
    found: dict[str, Any] = json.loads(request.body)
    return found


def _answer(tool: Tool, **changes: Any) -> VendorAnswer:
    proba = {"name": "proba", "shape": [1, 2], "datatype": "FP64", "data": [0.7, 0.3]}
    value = {
        "model_name": tool.request["model"],
        "model_version": tool.version,
        "id": f"{charts.SUBJECT}~att-01",
        "outputs": [proba],
    } | changes
    return VendorAnswer(200, {"content-type": "application/json"}, json.dumps(value).encode())


def _tensor(**changes: Any) -> list[dict[str, Any]]:
    return [{"name": "proba", "shape": [1, 2], "datatype": "FP64", "data": [0.7, 0.3]} | changes]


def test_values_stand_in_the_order_of_the_tool_file_in_its_units() -> None:
    septic = list(charts.septic())
    septic[2] = charts.number("8310-5", 102.2, "[degF]")
    septic[7] = charts.number("14682-9", 203.32, "umol/L")

    body = _body(SEPSIS, *septic, age_years=71)

    features, present = body["inputs"]
    assert features["shape"] == [1, 9]
    assert features["data"] == pytest.approx([71, 126, 29, 39.0, 84, 90, 21.5, 4.8, 2.3], rel=1e-4)
    assert present == {"name": "present", "shape": [1, 9], "datatype": "BOOL", "data": [True] * 9}
    assert body["id"] == f"{charts.SUBJECT}~att-01"


def test_what_is_missing_is_masked_and_named_and_never_filled_in() -> None:
    request = OIP.build_request(
        SEPSIS,
        charts.ask(
            charts.number("8867-4", 126, "/min"),
            charts.number("9279-1", 29, "/min"),
            charts.number("2524-7", 480, "mmol/L"),
        ),
    )
    body = json.loads(request.body)

    assert body["inputs"][1]["data"] == [True, True, True] + [False] * 6
    assert body["inputs"][0]["data"] == [64, 126, 29, 0, 0, 0, 0, 0, 0]
    assert "temperature: not in the chart" in request.without
    assert "lactate: outside the plausible range" in request.without


def test_below_the_least_number_of_inputs_nobody_is_asked() -> None:
    with pytest.raises(InputsMissing) as raised:
        _body(SEPSIS, charts.number("8867-4", 126, "/min"))

    assert "respiratory_rate: not in the chart" in raised.value.names
    assert _body(SEPSIS, charts.number("8867-4", 126, "/min"), charts.number("9279-1", 29, "/min"))[
        "inputs"
    ]


def test_a_required_input_that_is_missing_is_refused() -> None:
    with pytest.raises(InputsMissing, match="sodium"):
        _body(EXAMPLE, charts.number("718-7", 11, "g/dL"), charts.number("2160-0", 1, "mg/dL"))


def test_the_text_of_the_newest_report_is_sent_as_it_is() -> None:
    body = _body(LUMEN, charts.report("No effusion. Ünclear 🫁."))

    assert body["inputs"] == [
        {
            "name": "report",
            "shape": [1, 1],
            "datatype": "BYTES",
            "data": ["No effusion. Ünclear 🫁."],
        }
    ]
    with pytest.raises(InputsMissing, match="report text"):
        _body(LUMEN)


@pytest.mark.parametrize(
    "outputs",
    [
        _tensor(),
        _tensor(data=[[0.7, 0.3]]),
        _tensor(shape=[2]),
        _tensor(datatype="FP32"),
        [*_tensor(), {"name": "other", "shape": [3], "datatype": "INT64", "data": [1, 2, 3]}],
    ],
)
def test_flat_and_nested_data_are_read(outputs: list[Any]) -> None:
    parsed = OIP.parse_findings(SEPSIS, None, _answer(SEPSIS, outputs=outputs))

    (risk,) = parsed.findings
    assert (risk.value, risk.threshold_band, risk.horizon) == (0.3, "medium", "PT6H")
    assert (risk.confidence, risk.confidence_kind) == (None, "none")


@pytest.mark.parametrize(
    "changes",
    [
        {"outputs": _tensor(data=[0.7])},
        {"outputs": _tensor(shape=[1, 3])},
        {"outputs": _tensor(shape=[2, 2], data=[0.7, 0.3, 0.6, 0.4])},
        {"outputs": _tensor(shape=[1, 2], data=[[0.7], [0.3]])},
        {"outputs": _tensor(data=[0.7, True])},
        {"outputs": _tensor(data=["0.7", "0.3"])},
        {"outputs": _tensor(data=[0.7, None])},
        {"outputs": _tensor(data=[-0.7, 1.7])},
        {"outputs": _tensor(datatype="INT64")},
        {"outputs": _tensor(shape=[1, 0], data=[])},
        {"outputs": _tensor(shape=[1, 1], data=[0.3])},
        {"outputs": _tensor(shape=[-1, 2])},
        {"outputs": _tensor(name="other")},
        {"outputs": [*_tensor(), *_tensor()]},
        {"outputs": []},
        {"model_name": "another"},
        {"model_version": "4.0.9"},
    ],
)
def test_an_answer_that_does_not_fit_is_broken(changes: dict[str, Any]) -> None:
    with pytest.raises(VendorProtocolBroken):
        OIP.parse_findings(SEPSIS, None, _answer(SEPSIS, **changes))


def test_the_pseudonym_counts_as_echoed_only_with_the_whole_id() -> None:
    ask = charts.ask()
    right = OIP.parse_findings(SEPSIS, ask, _answer(SEPSIS))
    stranger = OIP.parse_findings(SEPSIS, ask, _answer(SEPSIS, id="psn-other~att-01"))
    other_call = OIP.parse_findings(SEPSIS, ask, _answer(SEPSIS, id=f"{charts.SUBJECT}~att-99"))
    made_up = OIP.parse_findings(SEPSIS, ask, _answer(SEPSIS, id="8f14e45f"))
    silent = OIP.parse_findings(SEPSIS, ask, _answer(SEPSIS, id=None))

    assert right.echoes == (charts.SUBJECT,)
    assert charts.SUBJECT not in {*stranger.echoes, *other_call.echoes, *made_up.echoes}
    assert silent.echoes == ()


@pytest.mark.parametrize(
    ("value", "polarity", "confidence"),
    [
        (0.9, "present", 0.9),
        (0.6, "present", 0.6),
        (0.5, "indeterminate", None),
        (0.4, "indeterminate", None),
        (0.39, "absent", 0.61),
        (0.0, "absent", 1.0),
    ],
)
def test_labels_become_assertions_by_the_thresholds(
    value: float, polarity: str, confidence: float | None
) -> None:
    parsed = OIP.parse_findings(LUMEN, None, _labels(value, "left"))

    first = parsed.findings[0]
    assert (first.polarity, first.confidence) == (polarity, confidence)
    assert first.laterality == ("left" if polarity == "present" else None)
    assert first.confidence_kind == ("none" if confidence is None else "class_probability")


def _labels(value: float, side: str, *, count: int = 7) -> VendorAnswer:
    outputs = [
        {"name": "label_probability", "shape": [1, count], "datatype": "FP32"}
        | {"data": [value] * count},
        {"name": "side", "shape": [1, count], "datatype": "BYTES", "data": [side] * count},
    ]
    return _answer(LUMEN, outputs=outputs)


def test_a_finding_has_the_time_of_the_report_that_was_sent() -> None:
    reports = (
        charts.report("Signed.", at="2026-03-02T07:00:00Z"),
        charts.report("Not signed yet.", at="2026-03-02T08:10:00Z", status="preliminary"),
    )
    early = LUMEN.model_copy(update={"request": LUMEN.request | {"preliminary": True}})

    for tool, text, time in (
        (LUMEN, "Signed.", "2026-03-02T07:00:00Z"),
        (early, "Not signed yet.", "2026-03-02T08:10:00Z"),
    ):
        assert _body(tool, *reports)["inputs"][0]["data"] == [text]
        parsed = OIP.parse_findings(tool, charts.ask(*reports), _labels(0.9, "left"))
        assert {finding.effective for finding in parsed.findings} == {time}


def test_an_organ_without_sides_gets_none() -> None:
    parsed = OIP.parse_findings(LUMEN, None, _labels(0.9, "left"))

    assert {f.code.code: f.laterality for f in parsed.findings}["I51.7"] is None


def test_a_side_that_the_tool_file_does_not_know_is_broken() -> None:
    with pytest.raises(VendorProtocolBroken, match="side"):
        OIP.parse_findings(LUMEN, None, _labels(0.9, "sinister"))


def test_another_number_of_labels_is_broken() -> None:
    with pytest.raises(VendorProtocolBroken, match="labels"):
        OIP.parse_findings(LUMEN, None, _labels(0.9, "left", count=6))


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"tensors": [{"name": "x", "elements": []}]}, "elements"),
        ({"model": "../../v2/repository"}, "model"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_tool_file_that_cannot_be_used_is_refused(request_: dict[str, Any], said: str) -> None:
    with pytest.raises(ToolFileInvalid, match=said):
        OIP.check_tool(SEPSIS.model_copy(update={"request": SEPSIS.request | request_}))


def test_a_filler_without_a_mask_is_refused() -> None:
    unmasked = SEPSIS.request | {"tensors": SEPSIS.request["tensors"][:1]}

    with pytest.raises(ToolFileInvalid, match="mask"):
        OIP.check_tool(SEPSIS.model_copy(update={"request": unmasked}))
    OIP.check_tool(SEPSIS)


@pytest.mark.parametrize(
    ("status", "content_type", "outcome"),
    [
        (404, "application/json", "bad_request"),
        (422, "application/json", "bad_request"),
        (500, "text/plain", "vendor_fault"),
        (503, "text/plain", "vendor_fault"),
        (401, "application/json", "unauthorised"),
        (429, "text/html", "throttled"),
        (204, "", "protocol_broken"),
        (307, "", "protocol_broken"),
    ],
)
def test_errors_are_classed_without_reading_their_words(
    status: int, content_type: str, outcome: str
) -> None:
    answer = VendorAnswer(status, {"content-type": content_type}, b"CANARY words of a vendor")

    verdict = OIP.classify_answer(SEPSIS, answer)

    assert verdict.answer_class == outcome
    assert "CANARY" not in verdict.note
