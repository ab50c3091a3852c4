"""FHIR services: declared resources out, risks and guidance in, units never guessed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from careweir_kit.adapter import VendorAnswer
from careweir_kit.errors import InputsMissing, ToolFileInvalid, VendorProtocolBroken
from careweir_kit.registry import discover_adapters, replay
from careweir_kit.tool import Tool
from support import minimised as charts

ADAPTER = discover_adapters()["fhir_service"]
HTTP = ADAPTER.http
assert ADAPTER.example_tool is not None
TOOL: Tool = ADAPTER.example_tool
FHIR = {"content-type": "application/fhir+json"}
PATIENT = {"reference": f"Patient/{charts.SUBJECT}"}
Json = dict[str, Any]


def _tool(**answer: Any) -> Tool:
    return TOOL.model_copy(update={"answer": TOOL.answer | answer})


def _send(value: Any, status: int = 200, **headers: str) -> VendorAnswer:
    return VendorAnswer(status, FHIR | headers, json.dumps(value).encode())


def _prediction(**more: Any) -> Json:
    sepsis = {"system": charts.SNOMED, "code": "91302008", "display": "Sepsis"}
    return {"outcome": {"coding": [sepsis]}, "probabilityDecimal": 0.41} | more


def _risk(*predictions: Json, status: str = "preliminary", **more: Any) -> Json:
    return {
        "resourceType": "RiskAssessment",
        "status": status,
        "subject": PATIENT,
        "prediction": list(predictions or (_prediction(),)),
    } | more


def _guidance(status: str, *contained: Json) -> Json:
    value: Json = {"resourceType": "GuidanceResponse", "status": status, "subject": PATIENT}
    return value | ({"contained": list(contained)} if contained else {})


def _outcome(code: str, severity: str = "error") -> Json:
    issue = {"severity": severity, "code": code, "diagnostics": "CANARY-5"}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def test_the_declared_part_of_the_chart_goes_out_as_parameters() -> None:
    note = charts.note("CANARY words")
    request = HTTP.build_request(TOOL, charts.ask(*charts.septic(), note))
    subject, data = json.loads(request.body)["parameter"]

    assert request.path == "Library/news-ml/$evaluate"
    assert request.headers["accept"] == "application/fhir+json; fhirVersion=4.0"
    assert subject == {"name": "subject", "valueString": f"Patient/{charts.SUBJECT}"}
    kinds = {entry["resource"]["resourceType"] for entry in data["resource"]["entry"]}
    assert kinds == {"Patient", "Observation"}
    assert "prefer" not in request.headers
    with pytest.raises(InputsMissing, match="0 of at least 1"):
        HTTP.build_request(TOOL, charts.ask(note))


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda risk: risk,
        lambda risk: {"resourceType": "Parameters", "parameter": [{"name": "r", "resource": risk}]},
        lambda risk: {
            "resourceType": "Bundle",
            "type": "collection",
            "entry": [{"resource": risk}],
        },
        lambda risk: _guidance("success", risk),
    ],
)
def test_a_risk_is_found_wherever_the_service_puts_it(wrapped: Any) -> None:
    parsed = HTTP.parse_findings(TOOL, charts.ask(), _send(wrapped(_risk())))

    (found,) = parsed.findings
    assert (found.kind, found.value, found.unit, found.threshold_band) == (
        "risk",
        0.41,
        "1",
        "medium",
    )
    assert (found.confidence, found.confidence_kind, found.verified) == (None, "none", True)
    assert set(parsed.echoes) == {charts.SUBJECT}


def test_the_unit_of_a_probability_is_the_tool_files_and_never_guessed() -> None:
    as_per_cent = _tool(probability="per_cent")
    forty_one = _send(_risk(_prediction(probabilityDecimal=41)))

    assert HTTP.parse_findings(as_per_cent, None, forty_one).findings[0].value == 0.41
    assert HTTP.parse_findings(as_per_cent, None, _send(_risk())).findings[0].value == 0.0041
    with pytest.raises(VendorProtocolBroken, match="outside its range"):
        HTTP.parse_findings(TOOL, None, forty_one)
    for wrong in (-0.1, 100.5):
        answer = _send(_risk(_prediction(probabilityDecimal=wrong)))
        with pytest.raises(VendorProtocolBroken, match="outside its range"):
            HTTP.parse_findings(as_per_cent, None, answer)


def test_a_range_and_a_band_stand_where_there_is_no_probability() -> None:
    bounds = {"low": {"value": 10, "unit": "%"}, "high": {"value": 0.2, "code": "1"}}
    stroke = {"coding": [{"system": charts.SNOMED, "code": "422504002"}]}
    band = {"outcome": stroke, "qualitativeRisk": {"coding": [{"code": "moderate"}]}}
    between = {"outcome": {"text": "Transfer"}, "probabilityRange": bounds}

    first, second = HTTP.parse_findings(TOOL, None, _send(_risk(band, between))).findings

    assert (first.value, first.threshold_band, first.unit) == ("moderate", "moderate", None)
    assert (second.interval, second.value, second.code.display) == ((0.1, 0.2), None, "Transfer")
    assert second.verified is False


def test_the_horizon_is_the_tool_files_or_told_by_the_period() -> None:
    until = _prediction(whenPeriod={"end": "2026-03-03T08:30:00Z"})
    over = _prediction(whenPeriod={"end": "2026-03-01T00:00:00Z"})

    found = HTTP.parse_findings(TOOL, charts.ask(), _send(_risk(until, over))).findings

    assert [finding.horizon for finding in found] == ["PT24H", None]
    risks = [TOOL.answer["risks"][0] | {"horizon": "PT6H"}]
    fixed = HTTP.parse_findings(_tool(risks=risks), charts.ask(), _send(_risk(until)))
    assert fixed.findings[0].horizon == "PT6H"


def test_a_code_whose_words_are_another_things_is_not_verified() -> None:
    coding = {"system": charts.SNOMED, "code": "91302008", "display": "Ischaemic stroke"}
    slipped = {"system": charts.SNOMED, "code": "91302009", "display": "Sepsis"}
    predictions = (_prediction(outcome={"coding": [one]}) for one in (coding, slipped))

    found = HTTP.parse_findings(TOOL, None, _send(_risk(*predictions))).findings

    assert [finding.verified for finding in found] == [False, False]


def test_a_withdrawn_assessment_says_so() -> None:
    (found,) = HTTP.parse_findings(TOOL, None, _send(_risk(status="entered-in-error"))).findings

    assert found.status == "entered-in-error"


def test_proposals_are_recommendations_and_may_be_left_out() -> None:
    order = {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "subject": PATIENT,
        "code": {"coding": [{"system": charts.LOINC, "code": "2524-7"}]},
    }
    avoid = order | {"doNotPerform": True}
    group = {
        "resourceType": "RequestGroup",
        "action": [{"title": "Call the team"}, {"title": "x", "resource": {}}, {"title": "<b>x"}],
    }
    answer = _send(_guidance("success", _risk(), order, avoid, group))

    found = HTTP.parse_findings(TOOL, None, answer).findings[1:]

    assert [(f.action, f.target.code or f.target.display) for f in found if f.target] == [
        ("order", "2524-7"),
        ("avoid", "2524-7"),
        ("do", "Call the team"),
    ]
    assert len(HTTP.parse_findings(_tool(recommendations=False), None, answer).findings) == 1


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        (_risk(), "ok"),
        (_guidance("success"), "ok"),
        (_guidance("success", _risk()), "ok"),
        (_guidance("data-requested", _risk()), "partial"),
        (_guidance("data-required"), "refused"),
        (_guidance("in-progress"), "pending"),
        (_guidance("failure"), "vendor_fault"),
        (_guidance("entered-in-error", _risk()), "protocol_broken"),
        (_guidance("well"), "protocol_broken"),
        (_risk(status="registered"), "partial"),
        (_risk(status="new"), "protocol_broken"),
        (_risk(_prediction(probabilityDecimal="0.4")), "protocol_broken"),
        (_risk({"outcome": {"text": "x"}}), "protocol_broken"),
        (_risk({"probabilityDecimal": 0.4}), "protocol_broken"),
        (_outcome("throttled"), "throttled"),
        (_outcome("processing"), "bad_request"),
        (_outcome("processing", "information"), "protocol_broken"),
        ({"resourceType": "Patient"}, "protocol_broken"),
        ({"risk": 0.4}, "protocol_broken"),
    ],
)
def test_an_answer_is_what_its_status_elements_say(value: Json, outcome: str) -> None:
    assert replay(ADAPTER, TOOL, _send(value))["outcome"] == outcome


@pytest.mark.parametrize(
    ("answer", "outcome", "wait_s"),
    [
        (_send(_outcome("throttled"), 503, **{"retry-after": "4"}), "throttled", 4.0),
        (_send(_outcome("lock-error"), 409), "vendor_fault", None),
        (_send(_outcome("business-rule"), 422), "refused", None),
        (_send(_outcome("login"), 400), "unauthorised", None),
        (_send(_outcome("processing"), 500), "vendor_fault", None),
        (_send(_outcome("business-rule"), 500), "vendor_fault", None),
        (_send(_outcome("transient"), 401), "unauthorised", None),
        (_send({"resourceType": "Patient"}, 422), "bad_request", None),
        (VendorAnswer(502, {"content-type": "text/html"}, b"<p>"), "vendor_fault", None),
    ],
)
def test_the_issue_says_more_than_the_status_and_its_words_stay_here(
    answer: VendorAnswer, outcome: str, wait_s: float | None
) -> None:
    verdict = HTTP.classify_answer(TOOL, answer)

    assert (verdict.answer_class, verdict.retry_after_s) == (outcome, wait_s)
    assert "CANARY" not in verdict.note


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("http://127.0.0.1:9100/jobs/77?x=1", "jobs/77?x=1"),
        ("/jobs/77", "jobs/77"),
        ("jobs/77", "jobs/77"),
        ("http://127.0.0.1:91001/jobs/77", None),
        ("https://other.example/jobs/77", None),
        ("//other.example/jobs/77", None),
        ("http://127.0.0.1:9100/../jobs", None),
        ("", None),
    ],
)
def test_a_job_is_asked_for_below_the_endpoint_and_nowhere_else(
    location: str, path: str | None
) -> None:
    headers = {"content-location": location, "retry-after": "2"}

    verdict = HTTP.classify_answer(TOOL, VendorAnswer(202, headers, b""))

    if path is None:
        assert verdict.answer_class == "protocol_broken"
    else:
        assert verdict.follow_up is not None
        assert (verdict.answer_class, verdict.retry_after_s) == ("pending", 2.0)
        assert (verdict.follow_up.method, verdict.follow_up.path) == ("GET", path)


def test_the_version_is_that_of_the_one_device() -> None:
    device = {"resourceType": "Device", "version": [{"value": "4.1"}]}
    other = {"resourceType": "Device", "version": [{"value": "4.0"}]}

    one = HTTP.parse_findings(TOOL, None, _send(_guidance("success", _risk(), device)))
    two = HTTP.parse_findings(TOOL, None, _send(_guidance("success", _risk(), device, other)))

    assert (one.model_version, two.model_version) == ("4.1", None)
    pinned = _tool(model_versions=["4.1"], pin=True)
    with pytest.raises(VendorProtocolBroken, match="another model version"):
        HTTP.parse_findings(pinned, None, _send(_guidance("success", _risk(), other)))


def test_another_patient_anywhere_in_the_answer_is_reported() -> None:
    stranger = _risk() | {"subject": {"reference": "http://x/Patient/psn-other/_history/2"}}

    parsed = HTTP.parse_findings(TOOL, None, _send(_guidance("success", stranger)))

    assert set(parsed.echoes) == {charts.SUBJECT, "psn-other"}


@pytest.mark.parametrize(
    ("update", "said"),
    [
        ({"request": TOOL.request | {"data": "subject"}}, "one name"),
        ({"request": TOOL.request | {"operation": "../$evaluate"}}, "operation"),
        ({"answer": {"risks": []}}, "probability"),
        ({"answer": TOOL.answer | {"pin": True}}, "model_versions"),
        (
            {"answer": TOOL.answer | {"risks": [{"code": {"system": charts.SNOMED, "code": "7"}}]}},
            "one of its system",
        ),
    ],
)
def test_a_mapping_that_cannot_be_used_is_refused(update: Json, said: str) -> None:
    with pytest.raises(ToolFileInvalid, match=said):
        HTTP.check_tool(TOOL.model_copy(update=update))
