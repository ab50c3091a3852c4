"""CDS Hooks: prefetch from a chart, findings from cards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from careweir_kit.adapter import VendorAnswer
from careweir_kit.errors import InputsMissing, ToolFileInvalid, VendorProtocolBroken
from careweir_kit.registry import discover_adapters, load_tools, replay
from support import minimised as charts

ADAPTERS = discover_adapters()
TOOLS = load_tools(Path(__file__).resolve().parents[2] / "policies" / "tools", ADAPTERS)
HOOKS = ADAPTERS["cds_hooks"].http
BEACON = TOOLS["beacon-sepsis"]
Json = dict[str, Any]


def _card(risk: Any = 0.4, **changes: Any) -> Json:
    model = {"risk": risk, "version": "2.7.0", "subject": charts.SUBJECT}
    return {
        "summary": "Risk is rising",
        "indicator": "warning",
        "source": {"label": "Beacon"},
        "extension": {"example.beacon.model": model},
    } | changes


def _action(kind: str = "create", resource: Json | None = None, **changes: Any) -> Json:
    about = {
        "resourceType": "ServiceRequest",
        "subject": {"reference": f"Patient/{charts.SUBJECT}"},
        "code": {"coding": [{"system": charts.LOINC, "code": "600-7"}]},
    }
    found = {"type": kind, "description": "Blood culture", "resource": resource or about}
    return {key: value for key, value in (found | changes).items() if value is not None}


def _advice(*actions: Json, **changes: Any) -> Json:
    suggestion = {"label": "Do it", "actions": list(actions)}
    return _card(suggestions=[suggestion], selectionBehavior="any", **changes)


def _answer(*cards: Any, **more: Any) -> VendorAnswer:
    body = json.dumps({"cards": list(cards)} | more).encode()
    return VendorAnswer(200, {"content-type": "application/json"}, body)


def test_the_service_gets_its_prefetch_and_nothing_else() -> None:
    request = HOOKS.build_request(BEACON, charts.ask(*charts.septic()))
    body = json.loads(request.body)

    assert request.path == "cds-services/sepsis-watch"
    assert set(body) == {"hook", "hookInstance", "context", "prefetch"}
    assert body["context"] == {"userId": "Practitioner/careweir", "patientId": charts.SUBJECT}
    assert set(body["prefetch"]) == set(BEACON.request["prefetch"])
    assert body["prefetch"]["heartRate"]["type"] == "searchset"
    assert "2160-0" not in request.body.decode()


def test_searched_and_not_found_is_null_and_named() -> None:
    chart = charts.ask(*charts.septic()[:2])

    request = HOOKS.build_request(BEACON, chart)

    assert json.loads(request.body)["prefetch"]["lactate"] is None
    assert "lactate: not in the chart" in request.without


def test_retracted_and_future_observations_are_not_sent() -> None:
    chart = charts.ask(
        charts.number("8867-4", 126, "/min"),
        charts.number("9279-1", 29, "/min"),
        charts.number("2524-7", 4, "mmol/L", status="entered-in-error"),
        charts.number("2524-7", 5, "mmol/L", at="2026-03-02T09:00:00Z"),
    )

    assert json.loads(HOOKS.build_request(BEACON, chart).body)["prefetch"]["lactate"] is None


def test_with_too_little_in_the_chart_nobody_is_asked() -> None:
    with pytest.raises(InputsMissing, match="respiratoryRate"):
        HOOKS.build_request(BEACON, charts.ask(charts.number("8867-4", 126, "/min")))


def test_the_same_attempt_has_the_same_hook_instance() -> None:
    bodies = [
        json.loads(HOOKS.build_request(BEACON, charts.ask(*charts.septic())).body) for _ in range(2)
    ]

    assert bodies[0]["hookInstance"] == bodies[1]["hookInstance"]


@pytest.mark.parametrize(
    ("risk", "band"), [(0.1, "low"), (0.2, "medium"), (0.6, "high"), (1, "high")]
)
def test_the_configured_path_is_a_risk_with_its_band(risk: float, band: str) -> None:
    parsed = HOOKS.parse_findings(BEACON, None, _answer(_card(risk)))

    (found,) = parsed.findings
    assert (found.kind, found.value, found.threshold_band) == ("risk", risk, band)
    assert parsed.echoes == (charts.SUBJECT,)
    assert parsed.model_version == "2.7.0"


@pytest.mark.parametrize("risk", [1.2, -0.1, "0.4", True, [0.4]])
def test_a_risk_that_is_no_probability_is_broken(risk: Any) -> None:
    with pytest.raises(VendorProtocolBroken):
        HOOKS.parse_findings(BEACON, None, _answer(_card(risk)))


def test_no_cards_is_nothing_said_and_never_absent() -> None:
    answer = _answer()

    parsed = HOOKS.parse_findings(BEACON, None, answer)

    assert HOOKS.classify_answer(BEACON, answer).answer_class == "ok"
    assert parsed.findings == ()
    assert any("nothing to say" in note for note in parsed.notes)


@pytest.mark.parametrize(
    ("action", "verb"),
    [
        (_action(), "order"),
        (_action(resource={"resourceType": "MedicationRequest"}), "start"),
        (_action(resource={"resourceType": "CarePlan"}), "do"),
        (_action(resource={"resourceType": "ServiceRequest", "doNotPerform": True}), "avoid"),
        (_action("update"), "do"),
        ({"type": "delete", "description": "Stop it", "resourceId": "MedicationRequest/1"}, "stop"),
    ],
)
def test_an_action_is_a_recommendation_with_a_verb(action: Json, verb: str) -> None:
    parsed = HOOKS.parse_findings(BEACON, None, _answer(_advice(action)))

    assert [(f.kind, f.action) for f in parsed.findings] == [
        ("risk", None),
        ("recommendation", verb),
    ]


def test_the_target_is_the_first_code_of_the_resource_and_is_not_verified() -> None:
    parsed = HOOKS.parse_findings(BEACON, None, _answer(_advice(_action())))

    advice = parsed.findings[1]
    assert advice.target is not None
    assert (advice.target.system, advice.target.code) == (charts.LOINC, "600-7")
    assert advice.verified is False


@pytest.mark.parametrize(
    "card",
    [
        _card(summary="x" * 140),
        _card(summary=""),
        _card(indicator="fatal"),
        _card(source={}),
        _card(suggestions=[{"label": "Do it", "actions": []}]),
        _advice(_action()) | {"selectionBehavior": "all-of-them"},
        _advice(_action("delete")),
        _advice({"type": "create", "description": "Nothing"}),
        _advice({"type": "create", "resource": {}}),
        _card(links=[{"label": "a", "url": "b", "type": "absolute", "appContext": "c"}]),
        _card(
            selectionBehavior="at-most-one",
            suggestions=[
                {"label": "a", "isRecommended": True},
                {"label": "b", "isRecommended": True},
            ],
        ),
        "not a card",
        None,
    ],
)
def test_a_card_that_breaks_the_rules_is_an_error(card: Any) -> None:
    alone, beside = _answer(card), _answer(_card(), card)

    with pytest.raises(VendorProtocolBroken):
        HOOKS.parse_findings(BEACON, None, alone)
    parsed = HOOKS.parse_findings(BEACON, None, beside)
    assert parsed.completeness == "partial"
    assert {f.completeness for f in parsed.findings} == {"partial"}
    assert replay(ADAPTERS["cds_hooks"], BEACON, beside)["outcome"] == "partial"


def test_a_card_within_the_rules_is_not() -> None:
    card = _advice(
        _action(), summary="x" * 139, links=[{"label": "a", "url": "b", "type": "smart"}]
    )

    assert HOOKS.parse_findings(BEACON, None, _answer(card)).completeness == "full"


@pytest.mark.parametrize(
    "more",
    [
        {
            "cards": [
                _card(),
                _advice(_action(resource={"patient": {"reference": "Patient/other"}})),
            ]
        },
        {"cards": [_card(), _card(extension={"example.beacon.model": {"subject": "other"}})]},
        {
            "cards": [_card()],
            "systemActions": [_action(resource={"subject": {"reference": "Patient/other"}})],
        },
        {"cards": [_card()], "extension": {"example.beacon.answer": {"subject": "Patient/other"}}},
        {
            "cards": [
                _card(),
                _action(resource={"x": [{"for": {"reference": "http://h/Patient/other"}}]}),
            ]
        },
    ],
)
def test_every_patient_that_is_named_is_reported(more: Json) -> None:
    answer = _answer(**more)

    parsed = HOOKS.parse_findings(BEACON, None, answer)

    assert "other" in parsed.echoes
    assert replay(ADAPTERS["cds_hooks"], BEACON, answer)["outcome"] == "wrong_patient"
    assert replay(ADAPTERS["cds_hooks"], BEACON, answer)["findings"] == []


@pytest.mark.parametrize("reference", ["urn:uuid:0", "#p1", "Group/7", "", "Patients/1"])
def test_a_reference_that_is_no_patient_is_not_this_patient(reference: str) -> None:
    resource = {"resourceType": "ServiceRequest", "subject": {"reference": reference}}

    parsed = HOOKS.parse_findings(BEACON, None, _answer(_advice(_action(resource=resource))))

    assert set(parsed.echoes) == {charts.SUBJECT, reference}


def test_system_actions_are_noted_and_make_no_finding() -> None:
    parsed = HOOKS.parse_findings(BEACON, None, _answer(_card(), systemActions=[_action()]))

    assert [finding.kind for finding in parsed.findings] == ["risk"]
    assert any("never applied" in note for note in parsed.notes)


def test_markup_and_detail_are_never_passed_on() -> None:
    card = _card(summary="<img src=x onerror=alert(1)>", detail="<b>CANARY</b>")
    card["extension"]["example.beacon.model"].pop("risk")

    parsed = HOOKS.parse_findings(BEACON, None, _answer(card))

    assert parsed.findings == ()
    assert "CANARY" not in repr(parsed)


def test_a_card_that_only_speaks_is_a_document() -> None:
    card = _card(None, summary="No change since the last look")

    (found,) = HOOKS.parse_findings(BEACON, None, _answer(card)).findings

    assert (found.kind, found.value) == ("document", "No change since the last look")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(412, "refused"), (400, "bad_request"), (401, "unauthorised"), (500, "vendor_fault")],
)
def test_errors_have_their_class(status: int, outcome: str) -> None:
    assert HOOKS.classify_answer(BEACON, VendorAnswer(status, {}, b"")).answer_class == outcome


def test_a_tool_file_with_half_a_risk_is_refused() -> None:
    half = {key: value for key, value in BEACON.answer.items() if key != "risk_path"}

    with pytest.raises(ToolFileInvalid, match="risk_path"):
        HOOKS.check_tool(BEACON.model_copy(update={"answer": half}))
