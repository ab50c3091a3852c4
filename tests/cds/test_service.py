"""The CDS Hooks services over real HTTP, as an EHR meets them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from careweir.demo import patients
from cds.conftest import SERVICE, Ehr

SECRETS = ("MRN-", "999-00-4321", "Okafor", "Weir Lane", "555-0100")


def feedback(card: str, /, **changes: Any) -> dict[str, Any]:
    item = {"card": card, "outcome": "overridden", "outcomeTimestamp": "2026-03-02T08:00:00Z",
            "overrideReason": {"reason": {"system": "urn:careweir:override-reason",
                                          "code": "disagree"},
                               "userComment": "COMMENT about the patient"}}  # fmt: skip
    return {"feedback": [item | changes]}


def test_discovery_is_open_and_lists_what_can_be_called(ehr: Ehr) -> None:
    found = ehr.gateway.client.get("/cds-services")

    assert found.status_code == 200
    assert found.headers["content-type"] == "application/json"
    for service in found.json()["services"]:
        assert {"hook", "id", "title", "description"} <= set(service)


def test_discovery_with_a_role_asks_for_what_that_role_may_send(ehr: Ehr) -> None:
    mine = ehr.gateway.get("/cds-services", role="hospitalist").json()["services"]
    theirs = ehr.gateway.get("/cds-services", role="scheduler").json()["services"]

    assert next(one for one in mine if one["id"] == "sepsis-risk")["prefetch"]
    assert "prefetch" not in next(one for one in theirs if one["id"] == "sepsis-risk")


def test_an_ehr_gets_a_card_from_every_tool_and_no_identifier_leaves(ehr: Ehr) -> None:
    before = ehr.gateway.calls()
    answer = ehr.call()

    assert answer.status_code == 200
    labels = [card["source"]["label"] for card in answer.json()["cards"]]
    assert any(label.startswith("Acme") for label in labels)
    assert any(label.startswith("Beacon") for label in labels)
    for tool in ("acme-sepsis", "beacon-sepsis"):
        assert ehr.gateway.calls()[tool] == before[tool] + 1
        received = json.dumps(ehr.gateway.seen(tool)["received"])
        assert not [secret for secret in SECRETS if secret in received]
    assert any(secret in json.dumps(ehr.body()) for secret in SECRETS)


def test_the_person_of_the_context_and_the_ehr_are_both_on_the_record(ehr: Ehr) -> None:
    card = ehr.call().json()["cards"][0]
    inference = card["extension"]["org.careweir.inference"]
    records = ehr.gateway.get(f"/v1/audit/records?inference={inference}").json()["records"]

    assert {(one["actor"], one["client"]) for one in records if one["actor"]} == {
        ("Practitioner/ehr-user", "main-ehr")
    }


def test_an_access_token_of_the_gateway_works_too(ehr: Ehr) -> None:
    token = {"Authorization": f"Bearer {ehr.gateway.tokens['hospitalist']}"}
    mine = ehr.call(headers=token)
    theirs = ehr.call(headers={"Authorization": f"Bearer {ehr.gateway.tokens['scheduler']}"})

    assert mine.status_code == 200
    assert theirs.status_code == 403
    assert theirs.json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize(
    ("claims", "status"),
    [({}, 200), ({"aud": "https://gate.example.org/cds-services"}, 401), ({"iss": "x"}, 401),
     ({"exp": 1}, 401), ({"jti": None}, 401)],
)  # fmt: skip
def test_a_token_must_be_for_this_very_service(ehr: Ehr, claims: Any, status: int) -> None:
    assert ehr.call(headers=ehr.bearer(**claims)).status_code == status


def test_a_token_works_once_and_none_at_all_not_at_all(ehr: Ehr) -> None:
    token = ehr.bearer()

    assert ehr.call(headers=token).status_code == 200
    assert ehr.call(headers=token).status_code == 401
    missing = ehr.gateway.client.post(SERVICE, json=ehr.body())
    assert missing.status_code == 401
    assert missing.json()["issue"][0]["code"] == "login"


def test_a_silent_tool_is_a_card_and_not_an_error(ehr: Ehr) -> None:
    for tool in ("acme-sepsis", "beacon-sepsis"):
        ehr.gateway.fault(tool, "http_500")

    answer = ehr.call()

    assert answer.status_code == 200
    last = answer.json()["cards"][-1]
    assert last["source"]["label"] == "careweir"
    assert "Acme Sepsis 6h: unavailable" in last["detail"]


@pytest.mark.parametrize("left_out", ["patient", "observation", "consent"])
def test_without_a_prefetch_key_nothing_is_asked(ehr: Ehr, left_out: str) -> None:
    body = ehr.body()
    del body["prefetch"][left_out]
    before = ehr.gateway.calls()

    answer = ehr.call(body)

    assert answer.status_code == 412
    assert left_out in answer.json()["issue"][0]["details"]["text"]
    assert ehr.gateway.calls() == before


def test_null_says_that_there_is_none_and_is_enough(ehr: Ehr) -> None:
    body = ehr.body()
    body["prefetch"] |= {"consent": None, "condition": None}

    assert ehr.call(body).status_code == 200


def test_another_patient_in_the_prefetch_is_refused_and_nothing_is_asked(ehr: Ehr) -> None:
    before = ehr.gateway.calls()
    other = ehr.call(ehr.body(context={"patientId": "other", "userId": "Practitioner/u"}))
    mixed = ehr.body()
    mixed["prefetch"]["observation"]["entry"][0]["resource"]["subject"] = {
        "reference": "Patient/somebody-else"
    }

    assert other.status_code == 422
    assert ehr.call(mixed).status_code == 422
    assert ehr.gateway.calls() == before


@pytest.mark.parametrize(
    ("changes", "status"),
    [({"hook": "order-sign"}, 400), ({"hookInstance": "1"}, 400), ({"context": {}}, 400)],
)
def test_a_call_that_breaks_the_standard_is_refused(ehr: Ehr, changes: Any, status: int) -> None:
    assert ehr.call(ehr.body(**changes)).status_code == status
    assert ehr.gateway.client.post("/cds-services/none", json={}).status_code == 404


def test_a_token_that_the_ehr_hands_over_goes_nowhere(ehr: Ehr) -> None:
    secret = "HANDED-OVER-TOKEN"
    body = ehr.body(
        fhirServer="https://ehr.example.org/r4",
        fhirAuthorization={"access_token": secret, "token_type": "Bearer", "expires_in": 300,
                           "scope": "patient/*.rs", "subject": "careweir"},
    )  # fmt: skip

    assert ehr.call(body).status_code == 200
    assert secret not in ehr.gateway.stderr.read_text()
    assert all(secret.encode() not in file.read_bytes()
               for file in ehr.gateway.data.rglob("*") if file.is_file())  # fmt: skip


def test_feedback_is_on_the_record_once_and_its_comment_never(ehr: Ehr) -> None:
    card = ehr.call().json()["cards"][0]
    inference = card["extension"]["org.careweir.inference"]
    path = f"{SERVICE}/feedback"

    for _ in range(2):
        told = ehr.gateway.client.post(path, json=feedback(card["uuid"]), headers=ehr.bearer(path))
        assert told.status_code == 200

    records = ehr.gateway.get(f"/v1/audit/records?inference={inference}").json()["records"]
    (said,) = [one for one in records if one["type"] == "feedback"]
    assert (said["outcome"], said["body"]["reason"]) == ("overridden", "disagree")
    assert said["tool"] == card["extension"]["org.careweir.tool"]
    assert all(b"COMMENT" not in file.read_bytes()
               for file in ehr.gateway.data.rglob("*") if file.is_file())  # fmt: skip


def test_feedback_is_counted_once_on_the_score_card_of_its_tool(ehr: Ehr) -> None:
    card = ehr.call().json()["cards"][0]
    path, tool = f"{SERVICE}/feedback", card["extension"]["org.careweir.tool"]

    def counted() -> dict[str, Any]:
        found = ehr.gateway.get(f"/v1/tools/{tool}").json()["score_card"]["feedback"]
        return {"accepted": found["accepted"], "overridden": found["overridden"],
                "disagree": found["reasons"].get("disagree", 0)}  # fmt: skip

    before = counted()
    for _ in range(2):
        ehr.gateway.client.post(path, json=feedback(card["uuid"]), headers=ehr.bearer(path))
    taken = {"outcome": "accepted", "acceptedSuggestions": [{"id": "s1"}]}
    ehr.gateway.client.post(path, json=feedback(card["uuid"], **taken), headers=ehr.bearer(path))

    assert counted() == {"accepted": before["accepted"] + 1,
                         "overridden": before["overridden"] + 1,
                         "disagree": before["disagree"] + 1}  # fmt: skip


def test_feedback_about_an_unknown_card_tells_nothing(ehr: Ehr) -> None:
    token = ehr.bearer()
    told = ehr.gateway.client.post(f"{SERVICE}/feedback", json=feedback("none"), headers=token)

    assert (told.status_code, told.json()) == (200, {})


@pytest.mark.parametrize(
    "changes",
    [{"outcome": "ignored"}, {"outcome": "accepted"}, {"outcomeTimestamp": "yesterday"},
     {"outcomeTimestamp": "2026-03-02T08:00:00"}, {"outcomeTimestamp": None}, {"card": None},
     {"outcome": "accepted", "acceptedSuggestions": [{}]},
     {"overrideReason": {}}, {"overrideReason": {"userComment": "x" * 4001}}],
)  # fmt: skip
def test_feedback_that_breaks_the_standard_is_refused(ehr: Ehr, changes: Any) -> None:
    body = feedback("none", **changes)

    told = ehr.gateway.client.post(f"{SERVICE}/feedback", json=body, headers=ehr.bearer())

    assert told.status_code == 400
    assert "yesterday" not in told.text


def test_feedback_is_an_object_that_holds_items(ehr: Ehr) -> None:
    def told(body: Any) -> int:
        path = f"{SERVICE}/feedback"
        return ehr.gateway.client.post(path, json=body, headers=ehr.bearer(path)).status_code

    assert told(feedback("none")) == 200
    for body in ([], {}, {"feedback": {}}, {"feedback": []}, feedback("none")["feedback"]):
        assert told(body) == 400


def test_a_browser_of_a_listed_origin_may_ask_and_no_other(ehr: Ehr) -> None:
    def preflight(origin: str, path: str = SERVICE) -> Any:
        asked = {
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        }
        return ehr.gateway.client.options(path, headers=asked)

    listed = preflight("https://sandbox.example.org")
    assert listed.status_code == 200
    assert listed.headers["access-control-allow-origin"] == "https://sandbox.example.org"
    assert "authorization" in listed.headers["access-control-allow-headers"].lower()
    other = preflight("https://evil.example.org")
    assert "access-control-allow-origin" not in other.headers
    elsewhere = preflight("https://sandbox.example.org", "/v1/inferences")
    assert "access-control-allow-origin" not in elsewhere.headers


def test_every_card_has_the_shape_that_clients_draw(ehr: Ehr) -> None:
    for card in ehr.call().json()["cards"]:
        assert 0 < len(card["summary"]) < 140
        assert card["indicator"] in ("info", "warning", "critical")
        assert card["source"]["label"]
        assert "suggestions" not in card
        assert all({"code", "system", "display"} <= set(one) for one in card["overrideReasons"])
        assert "<" not in card["detail"].replace("&lt;", "")


def test_a_chart_with_more_than_was_asked_for_is_still_minimised(ehr: Ehr) -> None:
    body = ehr.body()
    chart = patients.septic(datetime.now(UTC))
    body["prefetch"]["observation"]["entry"] += chart["entry"]

    assert ehr.call(body).status_code == 200
    received = json.dumps(ehr.gateway.seen("acme-sepsis")["received"][-1])
    assert not [secret for secret in SECRETS if secret in received]


def test_a_host_header_chooses_no_audience(ehr: Ehr) -> None:
    """A token that the EHR made for another service, replayed here under that service's name."""
    other = f"https://other.example{SERVICE}"
    for host in ("other.example", "evil.example", "127.0.0.1.evil.example", "localhost"):
        headers = ehr.bearer(aud=other.replace("https", "http")) | {"Host": host}
        assert ehr.call(headers=headers).status_code == 401
    assert ehr.call(headers=ehr.bearer()).status_code == 200
