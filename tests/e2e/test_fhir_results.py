"""Results can be read and searched as FHIR by those who were given them, and by nobody else."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from careweir_fhir import validate
from support.charts import chest, sepsis
from support.running import Served

TYPES = ("RiskAssessment", "Observation", "DiagnosticReport", "DocumentReference",
         "DetectedIssue", "Provenance", "Task", "Device",
         "ServiceRequest", "Flag", "GuidanceResponse")  # fmt: skip


def found(gateway: Served, kind: str, role: str = "ed-physician", **params: str) -> Any:
    given = {name.replace("__", "."): value for name, value in params.items()}
    response = gateway.get(f"/fhir/{kind}", role=role, params=given)
    assert response.status_code == 200, response.text
    bundle = response.json()
    validate.check(bundle)
    return bundle


def resources(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    return [one["resource"] for one in bundle.get("entry", []) if one["search"]["mode"] == "match"]


def about(patient: str) -> dict[str, Any]:
    """A septic patient of this id, about whom no other test asks."""
    question = sepsis()
    text = json.dumps(question).replace(question["subject"].removeprefix("Patient/"), patient)
    asking: dict[str, Any] = json.loads(text)
    return asking


def asked(gateway: Served, question: dict[str, Any], **more: Any) -> tuple[str, str]:
    """Ask, and give the patient and the prefix of the ids of the results."""
    answer = gateway.ask(question, **more).json()
    return question["subject"], answer["id"].replace("_", "-")


def test_a_result_is_found_by_patient_and_read_by_its_id(gateway: Served) -> None:
    patient, prefix = asked(gateway, sepsis())

    mine = [one for one in resources(found(gateway, "RiskAssessment", patient=patient))
            if one["id"].startswith(prefix)]  # fmt: skip

    assert len(mine) == 2
    read = gateway.get(f"/fhir/RiskAssessment/{mine[0]['id']}", role="ed-physician")
    assert read.status_code == 200
    assert read.json() == mine[0]
    assert read.json()["subject"]["reference"] == patient


def test_a_resource_that_has_not_changed_is_not_sent_again(gateway: Served) -> None:
    patient, _ = asked(gateway, sepsis())
    (first, *_) = resources(found(gateway, "RiskAssessment", patient=patient))
    path = f"/fhir/RiskAssessment/{first['id']}"
    tag = gateway.get(path, role="ed-physician").headers["etag"]

    headers = {"Authorization": f"Bearer {gateway.tokens['ed-physician']}", "If-None-Match": tag}

    assert tag == f'W/"{first["meta"]["versionId"]}"'
    assert gateway.client.get(path, headers=headers).status_code == 304


def test_references_between_results_lead_somewhere(gateway: Served) -> None:
    _, prefix = asked(gateway, sepsis())
    provenances = [one for one in resources(found(gateway, "Provenance"))
                   if one["id"].startswith(prefix)]  # fmt: skip

    targets = [target["reference"] for one in provenances for target in one["target"]]
    devices = [agent["who"]["reference"] for one in provenances for agent in one["agent"]]

    assert targets
    for reference in {*targets, *devices}:
        assert gateway.get(f"/fhir/{reference}", role="ed-physician").status_code == 200, reference
    (named,) = resources(found(gateway, "Provenance", target=targets[0]))
    assert named["id"].startswith(prefix)


def test_another_role_application_or_stranger_finds_nothing(gateway: Served) -> None:
    patient, _ = asked(gateway, sepsis())
    (one, *_) = resources(found(gateway, "RiskAssessment", patient=patient))

    assert resources(found(gateway, "RiskAssessment", role="radiologist")) == []
    denied = gateway.get(f"/fhir/RiskAssessment/{one['id']}", role="radiologist")
    unknown = gateway.get("/fhir/RiskAssessment/inf-00000000000000000000000000-f0",
                          role="radiologist")  # fmt: skip
    assert denied.status_code == unknown.status_code == 404
    assert denied.json() == unknown.json()
    assert gateway.client.get("/fhir/RiskAssessment").status_code == 401


def test_totals_count_what_the_reader_may_see(gateway: Served) -> None:
    patient, _ = asked(gateway, about("totals"))
    before = found(gateway, "RiskAssessment", patient=patient, _total="accurate")["total"]
    asked(gateway, about("totals"))

    def count(role: str) -> int:
        bundle = found(gateway, "RiskAssessment", role, patient=patient, _summary="count")
        return int(bundle["total"])

    assert count("ed-physician") == before + 2
    assert count("hospitalist") == 0
    assert "total" not in found(gateway, "RiskAssessment")


def test_pages_go_on_where_they_ended_and_lose_nothing(gateway: Served) -> None:
    patient, _ = asked(gateway, about("pages"))
    asked(gateway, about("pages"))
    asked(gateway, about("pages"))
    whole = [one["id"] for one in resources(found(gateway, "RiskAssessment", patient=patient))]
    paged: list[str] = []
    url: str | None = f"/fhir/RiskAssessment?_count=2&patient={patient}"
    while url is not None:
        bundle = gateway.get(url, role="ed-physician").json()
        paged += [one["id"] for one in resources(bundle)]
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        url = links.get("next")

    assert len(whole) == 6
    assert paged == whole
    oldest = resources(found(gateway, "RiskAssessment", patient=patient, _sort="date"))[0]
    assert oldest["id"] in whole[-2:]


def test_a_patient_stands_in_no_link(gateway: Served) -> None:
    patient, _ = asked(gateway, sepsis())
    bundle = found(gateway, "RiskAssessment", patient=patient, _count="1")
    links = [link["url"] for link in bundle["link"]]

    assert len(links) > 1
    assert all(patient.partition("/")[2] not in url for url in links)
    following = next(link["url"] for link in bundle["link"] if link["relation"] == "next")
    assert resources(gateway.get(following, role="ed-physician").json())


def test_a_form_searches_as_an_address_does(gateway: Served) -> None:
    patient, _ = asked(gateway, sepsis())
    headers = {"Authorization": f"Bearer {gateway.tokens['ed-physician']}"}

    by_form = gateway.client.post(
        "/fhir/RiskAssessment/_search", data={"patient": patient}, headers=headers
    ).json()

    assert resources(by_form) == resources(found(gateway, "RiskAssessment", patient=patient))


@pytest.mark.parametrize(
    ("params", "some"),
    [
        ({"code": "http://hl7.org/fhir/sid/icd-10-cm|J90"}, True),
        ({"code": "http://loinc.org|J90"}, False),
        ({"status": "preliminary"}, True),
        ({"status": "cancelled"}, False),
        ({"date": "gt2020-01-01"}, True),
        ({"date": "lt2020-01-01"}, False),
        ({"encounter": "Encounter/e1"}, True),
        ({"encounter": "e2"}, False),
        ({"_id": "none"}, False),
    ],
)
def test_parameters_narrow(gateway: Served, params: dict[str, str], some: bool) -> None:
    asked(gateway, chest())

    assert bool(resources(found(gateway, "Observation", **params))) is some


@pytest.mark.parametrize(
    ("params", "status"),
    [({"date": "yesterday"}, 400), ({"status:exact": "x"}, 400), ({"_cursor": "nowhere"}, 400),
     ({"_count": "many"}, 400), ({"unheard-of": "x"}, 200)],
)  # fmt: skip
def test_what_cannot_be_used_is_refused(
    gateway: Served, params: dict[str, str], status: int
) -> None:
    response = gateway.get("/fhir/Observation", role="ed-physician", params=params)

    assert response.status_code == status
    if status == 400:
        assert response.json()["resourceType"] == "OperationOutcome"
        assert "yesterday" not in response.text


def test_unknown_parameters_are_told_and_refused_when_strict(gateway: Served) -> None:
    headers = {"Authorization": f"Bearer {gateway.tokens['ed-physician']}",
               "Prefer": "handling=strict"}  # fmt: skip
    strict = gateway.client.get("/fhir/Task?unheard-of=x", headers=headers)
    lenient = found(gateway, "Task", **{"unheard-of": "x"})

    assert strict.status_code == 400
    assert lenient["entry"][-1]["search"]["mode"] == "outcome"


def test_devices_are_the_tools_in_use(gateway: Served) -> None:
    devices = resources(found(gateway, "Device", role="auditor"))
    names = {one["identifier"][0]["value"] for one in devices if "identifier" in one}

    assert {"acme-sepsis", "news2"} <= names


def test_every_type_that_is_served_is_told_and_answers(gateway: Served) -> None:
    stated = {
        row["type"]: row
        for row in gateway.client.get("/fhir/metadata").json()["rest"][0]["resource"]
    }

    assert {*TYPES, "AuditEvent"} == set(stated)
    for kind in TYPES:
        assert {one["code"] for one in stated[kind]["interaction"]} == {"read", "search-type"}
        found(gateway, kind)


def test_every_reading_is_on_the_record(gateway: Served) -> None:
    patient, _ = asked(gateway, sepsis())
    found(gateway, "RiskAssessment", patient=patient)

    reads = found(gateway, "AuditEvent", role="auditor", patient=patient, _count="5")

    assert any("RiskAssessment" in str(event) for event in resources(reads))


def test_a_tool_points_to_its_model_card_and_a_score_has_none(gateway: Served) -> None:
    devices = gateway.get("/fhir/Device?_count=200", role="ed-physician").json()["entry"]
    found = {one["resource"]["identifier"][0]["value"]: one["resource"] for one in devices
             if "identifier" in one["resource"]}  # fmt: skip
    place = found["acme-sepsis"]["extension"][0]["valueReference"]["reference"]
    card = gateway.get(f"/fhir/{place}", role="ed-physician").json()
    text = base64.b64decode(card["content"][0]["attachment"]["data"]).decode()

    assert "extension" not in found["news2"]
    assert "- answers: sepsis-risk" in text
    assert "Observation: " in text
    assert "ask its maker" in text
    assert "subject" not in card
    validate.check(card)


def test_model_cards_are_in_no_search_about_a_patient(gateway: Served) -> None:
    def found(query: str, role: str = "ed-physician") -> set[str]:
        answer = gateway.get(f"/fhir/DocumentReference?_count=200{query}", role=role).json()
        return {entry["resource"]["id"] for entry in answer.get("entry", [])}

    cards = {one for one in found("&type=AIModelCard") if one.startswith("card-")}
    assert len(cards) > 10
    assert cards <= found("")
    assert not cards & found("&patient=Patient/demo-septic")
    assert not cards & found("&type=http://loinc.org|11506-3")
    assert gateway.get("/fhir/DocumentReference/card-none").status_code == 404
