"""``POST /fhir/$infer``: the same question and the same answer, for clients that speak FHIR."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from careweir.api.fhir.infer import question_body
from careweir.errors import QuestionInvalid
from careweir_fhir import validate
from support.charts import sepsis
from support.running import Served

FHIR_JSON = "application/fhir+json"


def parameters(*, without: str = "", **changes: Any) -> dict[str, Any]:
    question = sepsis()
    rows: dict[str, Any] = {
        "capability": {"valueCode": question["capability"]},
        "subject": {"valueReference": {"reference": question["subject"]}},
        "purpose": {"valueCode": question["purpose"]},
        "inputs": {"resource": question["inputs"]},
        "site": {"valueString": "north"},
        "deadline-ms": {"valuePositiveInt": 3000},
    } | changes
    return {
        "resourceType": "Parameters",
        "parameter": [{"name": name, **row} for name, row in rows.items() if name != without],
    }


def ask(gateway: Served, body: Any, role: str = "ed-physician", **headers: str) -> Any:
    sent = {"Authorization": f"Bearer {gateway.tokens[role]}", "Content-Type": FHIR_JSON}
    content = body if isinstance(body, str) else json.dumps(body)
    return gateway.client.post("/fhir/$infer", content=content, headers=sent | headers)


def kinds(bundle: dict[str, Any]) -> list[str]:
    return [entry["resource"]["resourceType"] for entry in bundle["entry"]]


def test_the_answer_is_a_valid_bundle_of_every_tools_results(gateway: Served) -> None:
    answer = ask(gateway, parameters())

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(FHIR_JSON)
    bundle = answer.json()
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "collection")
    assert kinds(bundle).count("Provenance") == 2
    assert "RiskAssessment" in kinds(bundle)
    validate.check(bundle)


def test_when_no_tool_answers_the_body_says_why(gateway: Served) -> None:
    for tool in ("acme-sepsis", "beacon-sepsis"):
        gateway.fault(tool, "http_500")
    bare = parameters()
    bare["parameter"].append({"name": "tool", "valueString": "acme-sepsis"})

    answer = ask(gateway, bare)

    assert answer.status_code in (200, 502)  # the published score may stand in
    found = answer.json()
    issues = found if found["resourceType"] == "OperationOutcome" else next(
        entry["resource"] for entry in found["entry"]
        if entry["resource"]["resourceType"] == "OperationOutcome"
    )  # fmt: skip
    assert "acme-sepsis" in json.dumps(issues)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (parameters(without="capability"), 422),
        (parameters(without="inputs"), 422),
        (parameters(purpose={"valueCode": "NOT-A-PURPOSE"}), 422),
        (parameters(purpose={}), 422),
        (parameters(purpose={"valueCode": "TREAT", "valueString": "TREAT"}), 422),
        (parameters(unheard={"valueString": "SECRET-VALUE"}), 422),
        (parameters(subject={"valueReference": {"reference": "Patient/another"}}), 422),
        ({"resourceType": "Bundle", "parameter": []}, 422),
        ("not JSON", 422),
        ('{"resourceType":"Parameters","resourceType":"Parameters","parameter":[]}', 422),
    ],
)
def test_what_cannot_be_used_is_an_operation_outcome_without_the_callers_values(
    gateway: Served, body: Any, status: int
) -> None:
    before = gateway.calls()
    answer = ask(gateway, body)

    assert answer.status_code == status
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert "SECRET-VALUE" not in answer.text
    assert gateway.calls() == before


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (parameters(purpose={}), "where(name='purpose')"),
        (parameters(purpose={"valueCode": "NOT-A-PURPOSE"}), "where(name='purpose')"),
        (parameters(site={"valueString": "nowhere"}), "where(name='site')"),
        (parameters(unheard={"valueString": "x"}), ""),
        (parameters(subject={"valueReference": {"reference": "Group/1"}}),
         "where(name='subject')"),
        (parameters(inputs={"resource": {"resourceType": "Bundle", "entry": 1}}),
         "where(name='inputs')"),
        (parameters(inputs={"resource": {"resourceType": "Patient", "id": "p1"}}),
         "where(name='inputs').resource.resourceType"),
    ],
)  # fmt: skip
def test_a_refusal_says_where_by_fhirpath(gateway: Served, body: Any, place: str) -> None:
    (issue,) = ask(gateway, body).json()["issue"]

    assert issue["expression"] == ["Parameters.parameter" + (f".{place}" if place else "")]
    assert "location" not in issue


@pytest.mark.parametrize(
    ("version", "status"),
    [("", 200), ("; fhirVersion=4.0", 200), ('; fhirVersion="4.0"', 200),
     ("; fhirVersion=3.0", 415), ("; FHIRVersion=5.0", 415)],
)  # fmt: skip
def test_only_r4_is_read_and_served(gateway: Served, version: str, status: int) -> None:
    kind = FHIR_JSON + version
    assert ask(gateway, parameters(), **{"Content-Type": kind}).status_code == status

    served = gateway.get("/fhir/Device", role="ed-physician").status_code
    told = gateway.client.get("/fhir/metadata", headers={"Accept": kind}).status_code
    asked = gateway.client.get("/fhir/metadata", params={"_format": kind}).status_code
    assert served == 200
    assert told == asked == (200 if status == 200 else 406)


def test_a_question_may_be_answered_later(gateway: Served) -> None:
    begun = ask(gateway, parameters(), Prefer="respond-async")
    place = begun.headers["content-location"]

    assert begun.status_code == 202
    assert place.startswith(str(gateway.client.base_url))
    headers = {"Authorization": f"Bearer {gateway.tokens['ed-physician']}", "Accept": FHIR_JSON}
    answer = gateway.client.get(place, headers=headers)
    for _ in range(600):
        if answer.status_code != 202:
            break
        time.sleep(0.05)
        answer = gateway.client.get(place, headers=headers)
    assert answer.status_code == 200
    validate.check(answer.json())
    assert kinds(answer.json()).count("Provenance") == 2


def test_who_may_not_ask_is_refused_in_fhir(gateway: Served) -> None:
    denied = ask(gateway, parameters(), role="scheduler")
    unknown = gateway.client.post("/fhir/$infer", json=parameters())

    assert (denied.status_code, denied.json()["issue"][0]["code"]) == (403, "forbidden")
    assert (unknown.status_code, unknown.json()["issue"][0]["code"]) == (401, "login")


def test_only_json_is_spoken(gateway: Served) -> None:
    assert ask(gateway, parameters(), Accept="application/fhir+xml").status_code == 406
    assert (
        ask(gateway, "<Parameters/>", **{"Content-Type": "application/fhir+xml"}).status_code == 415
    )


def test_the_operation_is_defined_and_told_in_the_capability_statement(gateway: Served) -> None:
    stated = gateway.client.get("/fhir/metadata").json()["rest"][0]["operation"]
    defined = gateway.client.get("/fhir/OperationDefinition/infer").json()

    assert {"name": "infer", "definition": defined["url"]} in stated
    names = {row["name"] for row in defined["parameter"] if row["use"] == "in"}
    assert {row["name"] for row in parameters()["parameter"]} <= names
    validate.check(defined)


def test_a_chart_keeps_its_decimals_as_they_were_written() -> None:
    chart = '{"resourceType":"Bundle","entry":[{"resource":{"valueDecimal":0.870}}]}'
    body = (
        '{"resourceType":"Parameters","parameter":[{"name":"inputs","resource":' + chart + "},"
        '{"name":"as-of","valueDateTime":"2026-03-02T08:00:00Z"},'
        '{"name":"tool","valueString":"a"},{"name":"tool","valueString":"b"}]}'
    )

    question = question_body(body.encode())

    assert chart.encode() in question
    assert json.loads(question)["tools"] == ["a", "b"]
    assert json.loads(question)["context"]["as_of"] == "2026-03-02T08:00:00Z"


def test_a_parameter_that_may_stand_once_may_not_stand_twice() -> None:
    twice = parameters()
    twice["parameter"].append({"name": "capability", "valueCode": "x"})

    with pytest.raises(QuestionInvalid):
        question_body(json.dumps(twice).encode())
