"""Prior authorisation: an order out as a Claim, decisions in; pended is no approval."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import pytest

from careweir_kit.adapter import Ask, VendorAnswer
from careweir_kit.errors import InputsMissing, ToolFileInvalid, VendorProtocolBroken
from careweir_kit.registry import discover_adapters, replay
from careweir_kit.simulation.model import SimRequest, Twist
from careweir_kit.tool import Tool
from support import minimised as charts

ADAPTER = discover_adapters()["davinci_pas"]
CLAIM = import_module("careweir_adapters.davinci_pas.claim")
SIMULATOR = import_module("careweir_adapters.davinci_pas.simulator")
HTTP = ADAPTER.http
assert ADAPTER.example_tool is not None
TOOL: Tool = ADAPTER.example_tool
PAS = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/"
X12 = "https://codesystem.x12.org/005010/306"
Json = dict[str, Any]


def _ask(*more: Json) -> Ask:
    return charts.ask(charts.order(), charts.condition("M17.11", "Osteoarthritis"), *more)


def _item(code: str | None, sequence: int = 1, *, reason: str | None = None) -> Json:
    inner: list[Json] = []
    if code is not None:
        concept = {"coding": [{"system": X12, "code": code}]}
        inner.append({"url": f"{PAS}extension-reviewActionCode", "valueCodeableConcept": concept})
    if reason is not None:
        inner.append({"url": "reasonCode", "valueCodeableConcept": {"coding": [{"code": reason}]}})
    review = {"url": f"{PAS}extension-reviewAction", "extension": inner}
    return {"itemSequence": sequence, "adjudication": [{"extension": [review]}]}


def _response(*items: Json, ask: Ask | None = None, **more: Any) -> Json:
    named = CLAIM.claim_id(ask) if ask else "c1"
    return {
        "resourceType": "ClaimResponse",
        "status": "active",
        "use": "preauthorization",
        "patient": {"reference": f"Patient/{charts.SUBJECT}"},
        "request": {"reference": f"Claim/{named}"},
        "outcome": "complete",
        "preAuthRef": "PA-778",
        "item": list(items),
    } | more


def _send(value: Json, status: int = 200) -> VendorAnswer:
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": value}]}
    headers = {"content-type": "application/fhir+json"}
    return VendorAnswer(status, headers, json.dumps(bundle).encode())


def test_the_claim_stands_first_and_carries_order_and_problems() -> None:
    refuted = charts.condition("I10", "Hypertension", verification="refuted")
    cancelled = charts.order("73761001", "Colonoscopy", status="revoked")
    ask = _ask(refuted, cancelled)

    bundle = json.loads(HTTP.build_request(TOOL, ask).body)
    claim, patient = (entry["resource"] for entry in bundle["entry"])

    assert (bundle["type"], bundle["timestamp"]) == ("collection", charts.AS_OF)
    assert (claim["resourceType"], claim["use"]) == ("Claim", "preauthorization")
    assert claim["patient"] == {"reference": f"Patient/{charts.SUBJECT}"}
    assert [i["productOrService"]["coding"][0]["code"] for i in claim["item"]] == ["609588000"]
    codes = [d["diagnosisCodeableConcept"]["coding"][0]["code"] for d in claim["diagnosis"]]
    assert codes == ["M17.11"]
    assert patient["id"] == charts.SUBJECT
    assert {"name", "birthDate", "identifier"}.isdisjoint(patient)


def test_without_an_order_or_with_too_many_nobody_is_asked() -> None:
    with pytest.raises(InputsMissing, match="order"):
        HTTP.build_request(TOOL, charts.ask(charts.condition("M17.11")))
    with pytest.raises(InputsMissing, match="11 of at most 10"):
        HTTP.build_request(TOOL, charts.ask(*[charts.order()] * 11))


@pytest.mark.parametrize(
    ("code", "action"),
    [
        ("A1", "approve"),
        ("A2", "approve"),
        ("A3", "deny"),
        ("A4", None),
        ("A6", "approve"),
        ("C", None),
        ("CT", None),
        ("NA", None),
    ],
)
def test_a_decision_has_its_verb_its_code_and_its_service(code: str, action: str | None) -> None:
    ask = _ask()

    parsed = HTTP.parse_findings(TOOL, ask, _send(_response(_item(code), ask=ask)))

    (found,) = parsed.findings
    assert (found.kind, found.action, found.value) == ("recommendation", action, code)
    assert found.target is not None
    assert (found.target.code, found.code.code, found.id) == ("609588000", "609588000", "PA-778")
    assert bool(found.explanation) == (code not in ("A1", "A3"))
    assert found.confidence is None
    assert set(parsed.echoes) == {charts.SUBJECT}


def test_reasons_are_codes_and_never_words() -> None:
    ask = _ask()
    items = (_item("A3", reason="0V"), _item("A3", reason="CANARY words"))

    for item, said in zip(items, (("reason 0V",), ()), strict=True):
        parsed = HTTP.parse_findings(TOOL, ask, _send(_response(item, ask=ask)))
        assert parsed.findings[0].explanation == said


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        (_response(_item("A1")), "ok"),
        (_response(_item("A4")), "ok"),
        (_response(_item("A1"), _item(None, 2)), "partial"),
        (_response(_item("A1"), outcome="partial"), "partial"),
        (_response(_item("A1"), error=[{}]), "partial"),
        (_response(outcome="error", error=[{"code": {}}]), "refused"),
        (_response(error=[{"code": {}}]), "refused"),
        (_response(outcome="queued"), "pending"),
        (_response(), "protocol_broken"),
        (_response(_item("A9")), "protocol_broken"),
        (_response(_item("A1"), _item("A3")), "protocol_broken"),
        (_response(_item("A1"), status="cancelled"), "protocol_broken"),
        (_response(_item("A1"), use="claim"), "protocol_broken"),
        (_response(_item("A1"), preAuthRef="<b>PA</b>"), "protocol_broken"),
        ({"resourceType": "OperationOutcome", "issue": []}, "bad_request"),
        ({"resourceType": "Patient"}, "protocol_broken"),
    ],
)
def test_status_200_is_not_yet_a_decision(value: Json, outcome: str) -> None:
    assert HTTP.classify_answer(TOOL, _send(value)).answer_class == outcome
    assert replay(ADAPTER, TOOL, _send(value))["outcome"] == outcome


def test_two_decisions_on_one_item_are_none() -> None:
    both = _item("A1")
    both["adjudication"] += _item("A3")["adjudication"]

    assert replay(ADAPTER, TOOL, _send(_response(both)))["outcome"] == "protocol_broken"


def test_a_decision_on_another_request_or_item_is_refused() -> None:
    ask = _ask()

    with pytest.raises(VendorProtocolBroken, match="another request"):
        HTTP.parse_findings(TOOL, ask, _send(_response(_item("A1"))))
    with pytest.raises(VendorProtocolBroken, match="not asked about"):
        HTTP.parse_findings(TOOL, ask, _send(_response(_item("A1", 2), ask=ask)))


def test_an_item_that_is_left_out_is_not_approved() -> None:
    ask = _ask(charts.order("73761001", "Colonoscopy"))

    parsed = HTTP.parse_findings(TOOL, ask, _send(_response(_item("A1", 2), ask=ask)))

    (found,) = parsed.findings
    assert (parsed.completeness, found.completeness) == ("partial", "partial")
    assert found.target is not None
    assert found.target.code == "73761001"


def _simulated(ask: Ask, *, twist: Twist = "none") -> VendorAnswer:
    request = HTTP.build_request(TOOL, ask)
    sent = SimRequest("POST", f"/{request.path}", request.headers, request.body, 1, 7, twist)
    answer = SIMULATOR.answer(TOOL.model_dump(mode="json"), "strict", sent)
    return VendorAnswer(answer.status, {"content-type": answer.content_type}, answer.body)


def test_the_simulated_payer_decides_by_the_diagnoses() -> None:
    two = _ask(charts.condition("E66.9", "Obesity"))
    asks = (charts.ask(charts.order()), _ask(), two)

    values = [HTTP.parse_findings(TOOL, a, _simulated(a)).findings[0].value for a in asks]

    assert values == ["A4", "A3", "A1"]
    other = HTTP.parse_findings(TOOL, two, _simulated(two, twist="wrong_patient"))
    assert charts.SUBJECT not in other.echoes


@pytest.mark.parametrize(
    ("update", "said"),
    [
        ({"answer": {"code": {"code": "x"}}}, "needs words"),
        ({"needs": ()}, "no ServiceRequest"),
        ({"request": TOOL.request | {"path": "../x/$submit"}}, "path"),
    ],
)
def test_a_mapping_that_cannot_be_used_is_refused(update: Json, said: str) -> None:
    with pytest.raises(ToolFileInvalid, match=said):
        HTTP.check_tool(TOOL.model_copy(update=update))
