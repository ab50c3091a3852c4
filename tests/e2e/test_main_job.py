"""The main job over real sockets: HTTP in, every tool's answer out, all of it on the record."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.charts import chest, sepsis
from support.running import Served


def statuses(body: dict[str, Any]) -> dict[str, str]:
    return {row["tool"]: row["status"] for row in body["tools"]}


def test_demo_json_names_url_tokens_simulators_and_database(gateway: Served) -> None:
    written = json.loads((gateway.data / "demo.json").read_bytes())

    assert set(written) == {"base_url", "tokens", "simulators", "database_url"}
    assert {"ed-physician", "radiologist", "scheduler", "auditor"} <= set(written["tokens"])
    assert all(set(one) == {"url", "control"} for one in written["simulators"].values())
    assert (gateway.data / "demo.json").stat().st_mode & 0o077 == 0


def test_every_live_tool_answers_and_the_answer_is_complete(gateway: Served) -> None:
    response = gateway.ask(sepsis())

    body = response.json()
    assert response.status_code == 200
    assert body["outcome"] == "complete"
    assert statuses(body) == {"acme-sepsis": "answered", "beacon-sepsis": "answered"}
    risks = {f["tool"]: f for f in body["findings"] if f["kind"] == "risk"}
    assert set(risks) == {"acme-sepsis", "beacon-sepsis"}
    assert all(0 <= risk["value"] <= 1 and risk["horizon"] == "PT6H" for risk in risks.values())
    assert all(risk["encounter"] == "Encounter/e1" for risk in risks.values())
    assert body["policy"]["revision"].startswith("sha256:")
    assert "roles.yaml" in body["policy"]["because"][0]
    assert set(body["audit"]) == {"writer", "seq", "hash"}


def test_two_tools_that_disagree_are_shown_with_the_reason(gateway: Served) -> None:
    body = gateway.ask(chest(), role="radiologist").json()

    assert body["outcome"] == "complete"
    contradictions = [c for c in body["conflicts"] if c["type"] == "assertion_contradiction"]
    assert contradictions
    for conflict in body["conflicts"]:
        tools = {body["findings"][i]["tool"] for i in conflict["between"]}
        assert tools == {"lumen-cxr", "radnote-cxr"}
        assert conflict["severity"] in ("high", "moderate", "low")
        assert conflict["reason"]
        assert conflict["rule"]


def test_a_published_score_stands_in_and_says_so(gateway: Served) -> None:
    gateway.fault("acme-sepsis", "http_503")

    body = gateway.ask(sepsis()).json()

    assert body["outcome"] == "degraded"
    assert statuses(body) == {
        "acme-sepsis": "unavailable", "beacon-sepsis": "answered", "news2": "answered",
        "qsofa": "answered",
    }  # fmt: skip
    news2 = [f for f in body["findings"] if f["tool"] == "news2"]
    assert news2
    assert all(finding["fallback"] for finding in news2)
    assert {f["tool"] for f in body["findings"] if f["fallback"]} == {"news2", "qsofa"}


def test_without_any_answer_the_gateway_fails_honestly(gateway: Served) -> None:
    for tool in ("lumen-cxr", "radnote-cxr"):
        gateway.fault(tool, "hang")

    response = gateway.ask(chest(deadline_ms=400), role="radiologist")

    assert response.status_code == 504
    assert response.json()["outcome"] == "failed"
    assert response.json()["findings"] == []
    assert int(response.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("hang", "timed_out"),
        ("slow_drip", "timed_out"),
        ("reset", "unavailable"),
        ("http_500", "unavailable"),
        ("http_503", "unavailable"),
        ("http_429", "throttled"),
        ("garbage", "protocol_error"),
        ("html_200", "protocol_error"),
        ("empty_200", "protocol_error"),
        ("wrong_schema", "protocol_error"),
        ("nan", "protocol_error"),
        ("duplicate_keys", "protocol_error"),
        ("huge_body", "protocol_error"),
        ("gzip_bomb", "protocol_error"),
        ("redirect", "protocol_error"),
        ("wrong_patient", "wrong_patient"),
    ],
)
def test_each_fault_of_one_vendor_has_its_status_and_leaves_the_others_alone(
    gateway: Served, fault: str, status: str
) -> None:
    gateway.fault("acme-sepsis", fault)

    body = gateway.ask(sepsis(deadline_ms=700)).json()

    assert statuses(body)["acme-sepsis"] == status
    assert statuses(body)["beacon-sepsis"] == "answered"
    assert not [f for f in body["findings"] if f["tool"] == "acme-sepsis"]


def test_a_scheduler_is_refused_and_no_vendor_hears_of_it(gateway: Served) -> None:
    before = gateway.calls()

    response = gateway.ask(sepsis(), role="scheduler")

    assert response.status_code == 403
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "access_denied"
    assert gateway.calls() == before


def test_a_radiologist_may_not_ask_for_a_sepsis_risk(gateway: Served) -> None:
    assert gateway.ask(sepsis(), role="radiologist").status_code == 403
    assert gateway.ask(chest(), role="radiologist").status_code == 200


def test_without_a_token_nothing_is_answered(gateway: Served) -> None:
    response = gateway.client.post("/v1/inferences", json=sepsis())

    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_the_answer_says_which_inputs_a_tool_went_without(gateway: Served) -> None:
    question = sepsis()
    entries = question["inputs"]["entry"]
    lactate = [
        e for e in entries
        if e["resource"].get("code", {}).get("coding", [{}])[0].get("code") == "2524-7"
    ]  # fmt: skip
    assert lactate
    entries.remove(lactate[0])

    body = gateway.ask(question).json()

    acme = next(row for row in body["tools"] if row["tool"] == "acme-sepsis")
    assert acme["status"] == "answered"
    assert any("lactate" in name for name in acme["without"])


def test_the_same_answer_comes_as_fhir(gateway: Served) -> None:
    response = gateway.ask(chest(), role="radiologist", headers={"Accept": "application/fhir+json"})

    assert response.headers["content-type"] == "application/fhir+json"
    bundle = response.json()
    kinds = [entry["resource"]["resourceType"] for entry in bundle["entry"]]
    assert bundle["type"] == "collection"
    assert {"Observation", "DiagnosticReport", "Device", "Provenance", "DetectedIssue"} <= set(
        kinds
    )
    assert kinds.count("Provenance") == 2


@pytest.mark.parametrize("strategy", ["first", "quorum", "primary"])
def test_other_strategies_answer_too(gateway: Served, strategy: str) -> None:
    body = gateway.ask(sepsis(strategy=strategy)).json()

    assert body["findings"]
    assert "answered" in statuses(body).values()


def test_primary_asks_the_others_only_when_the_named_tool_fails(gateway: Served) -> None:
    named = {"strategy": "primary", "tools": ["beacon-sepsis", "acme-sepsis"]}
    before = gateway.calls()
    gateway.ask(sepsis(**named))
    between = gateway.calls()
    gateway.fault("beacon-sepsis", "http_500")
    gateway.ask(sepsis(**named))

    assert between["acme-sepsis"] == before["acme-sepsis"]
    assert gateway.calls()["acme-sepsis"] > between["acme-sepsis"]


def test_capabilities_and_tools_can_be_read(gateway: Served) -> None:
    capabilities = gateway.get("/v1/capabilities").json()["capabilities"]
    tools = gateway.get("/v1/tools").json()["tools"]

    assert {"sepsis-risk", "chest-xray-findings"} <= {one["name"] for one in capabilities}
    assert capabilities[0]["fallbacks"] == ["news2", "qsofa"]
    assert {"acme-sepsis", "beacon-sepsis", "lumen-cxr", "radnote-cxr"} <= {
        one["tool"] for one in tools
    }
    assert gateway.get("/v1/tools/none-such").status_code == 404


def test_health_readiness_and_documents_load_nothing_from_outside(gateway: Served) -> None:
    assert gateway.client.get("/healthz").json() == {"status": "alive"}
    assert gateway.client.get("/readyz").status_code == 200
    assert "/v1/inferences" in gateway.client.get("/openapi.json").json()["paths"]
    page = gateway.client.get("/docs").text
    assert "/v1/inferences" in page
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page


@pytest.mark.parametrize(
    ("name", "inputs", "status"),
    [
        ("an empty Bundle", {"resourceType": "Bundle", "type": "collection"}, 422),
        ("not a Bundle", {"resourceType": "Patient", "id": "demo-septic"}, 422),
        ("entries without resource", {"resourceType": "Bundle", "entry": [{}, {"x": 1}]}, 422),
    ],
)
def test_a_chart_that_cannot_be_used_is_refused_clearly(
    gateway: Served, name: str, inputs: dict[str, Any], status: int
) -> None:
    before = gateway.calls()

    response = gateway.ask(sepsis(inputs=inputs))

    assert response.status_code == status
    assert response.json()["code"]
    assert gateway.calls() == before


def test_a_body_above_the_limit_is_413(gateway: Served) -> None:
    headers = {"Authorization": f"Bearer {gateway.tokens['ed-physician']}"}

    response = gateway.client.post("/v1/inferences", content=b" " * 25_000_001, headers=headers)

    assert response.status_code == 413


def test_the_same_key_gives_the_same_answer_and_no_second_call(gateway: Served) -> None:
    question, key = sepsis(), {"Idempotency-Key": "order-4711"}
    first = gateway.ask(question, headers=key)
    calls = gateway.calls()

    again = gateway.ask(question, headers=key)
    other = gateway.ask(question | {"deadline_ms": 2999}, headers=key)
    somebody_else = gateway.ask(question, headers=key, role="hospitalist")

    assert again.content == first.content
    assert other.status_code == 409
    assert other.json()["code"] == "idempotency_key_reused"
    assert somebody_else.json()["id"] != first.json()["id"]
    assert gateway.calls()["acme-sepsis"] == calls["acme-sepsis"] + 1


def test_a_refused_question_may_be_asked_again_with_its_key(gateway: Served) -> None:
    key = {"Idempotency-Key": "order-4712"}

    assert gateway.ask(sepsis(), headers=key, role="scheduler").status_code == 403
    assert gateway.ask(sepsis(), headers=key, role="scheduler").status_code == 403
    assert gateway.ask(sepsis(), headers={"Idempotency-Key": "a b"}).status_code == 422


def test_a_parameter_that_is_missing_is_a_problem_document(gateway: Served) -> None:
    response = gateway.get("/v1/audit/records")

    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["path"] == "inference"
