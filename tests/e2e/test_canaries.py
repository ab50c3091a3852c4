"""A patient whose every field is a canary: none of it is anywhere that it should not be.

Each check first proves that the canary was really there and that the job was really done.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from careweir.demo import patients
from support.charts import question
from support.running import Served, careweir, serving

CANARIES = {
    "id": "canary-patient-5521",
    "family": "Canaryson",
    "given": "Featherlight",
    "mrn": "CANARY-MRN-990017",
    "ssn": "999-77-5522",
    "phone": "555-0173-88",
    "line": "41 Canary Row",
    "city": "Yellowbird",
    "birth": "1947-09-23",
    "note": "canary note: told the nurse about her divorce",
    "diagnosis": "Canary schizophrenia, paranoid type",
    "encounter": "Encounter/canary-enc-31",
}
NEEDED = 113.25


def chart(now: datetime) -> dict[str, Any]:
    """A full chart: identifiers, notes, a psychiatric diagnosis, a report with names in it."""
    patient = patients.person(CANARIES["id"], CANARIES["family"], CANARIES["birth"], "female")
    patient["identifier"] = [
        {"system": "urn:mrn", "value": CANARIES["mrn"]},
        {"system": "http://hl7.org/fhir/sid/us-ssn", "value": CANARIES["ssn"]},
    ]
    patient["name"] = [{"family": CANARIES["family"], "given": [CANARIES["given"]]}]
    patient["telecom"] = [{"system": "phone", "value": CANARIES["phone"]}]
    patient["address"] = [{"line": [CANARIES["line"]], "city": CANARIES["city"]}]
    values = {"heart rate": NEEDED, "respiratory rate": 26, "temperature": 38.9, "systolic": 97,
              "SpO2": 92, "oxygen flow": 3, "leukocytes": 15.5, "lactate": 3.3}  # fmt: skip
    rows = patients.vitals(CANARIES["id"], values, now)
    for row in rows:
        row["note"] = [{"text": CANARIES["note"]}]
        row["encounter"] = {"reference": CANARIES["encounter"]}
        row["code"]["text"] = CANARIES["note"]
        row["extension"] = [{"url": "urn:x", "valueString": CANARIES["mrn"]}]
        row["performer"] = [{"display": CANARIES["family"]}]
        row["contained"] = [{"resourceType": "Patient", "id": "p", "name": patient["name"]}]
    psychiatric = patients.depression(CANARIES["id"])
    psychiatric["code"]["text"] = CANARIES["diagnosis"]
    report = {
        "resourceType": "DiagnosticReport",
        "id": "canary-report",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "36643-5"}]},
        "subject": {"reference": f"Patient/{CANARIES['id']}"},
        "effectiveDateTime": patients.rfc3339(now),
        "presentedForm": [
            {
                "contentType": "text/plain",
                "title": CANARIES["family"],
                "data": base64.b64encode(
                    f"Patient {CANARIES['given']} {CANARIES['family']}, {CANARIES['mrn']}, born "
                    f"{CANARIES['birth']}, phone {CANARIES['phone']}. Small left pleural effusion. "
                    "No pneumothorax.".encode()
                ).decode(),
            }
        ],
    }
    return patients.chart(CANARIES["id"], [patient, psychiatric, report, *rows])


def leaks(text: str) -> list[str]:
    """The canaries in a text, as they are or in disguises that still give them away."""
    lowered = text.lower()
    found = []
    for name, secret in CANARIES.items():
        bare = secret.removeprefix("Encounter/")
        forms = {bare, bare.replace(" ", "%20"), bare.replace(" ", "+"), bare[::-1],
                 base64.b64encode(bare.encode()).decode()}  # fmt: skip
        found += [name for form in forms if form.lower() in lowered]
    return found


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Ask everything about the canary patient, well and badly; keep all outputs."""
    data = tmp_path_factory.mktemp("canary") / "data"
    outputs: dict[str, str] = {}
    with serving(data) as gateway:
        now = datetime.now(UTC)
        asked = question("sepsis-risk", chart(now), context={"encounter": CANARIES["encounter"]})
        answers = [gateway.ask(asked)]
        answers.append(gateway.ask(asked | {"capability": "chest-xray-findings"}))
        outputs["received"] = json.dumps({t: gateway.seen(t) for t in gateway.simulators})
        for fault in ("garbage", "http_500", "wrong_patient", "wrong_schema", "reset", "hang"):
            for tool in gateway.simulators:
                gateway.fault(tool, fault)
            answers.append(gateway.ask(asked | {"deadline_ms": 400}))
        gateway.heal()
        outputs["refusals"] = "".join(_refusals(gateway, asked))
        outputs["open"] = "".join(
            gateway.client.get(path).text for path in ("/readyz", "/openapi.json", "/docs")
        )
        disclosures = [row["disclosure"] for row in answers[0].json()["tools"]]
        outputs["manifests"] = "".join(
            gateway.get(f"/v1/disclosures/{one}").text for one in disclosures
        )
        outputs["records"] = gateway.get(
            "/v1/audit/records", params={"inference": answers[0].json()["id"]}
        ).text
        outputs["log"] = gateway.stderr.read_text()
    outputs["verify"] = careweir("audit", "verify", "--data", str(data)).stdout.decode()
    outputs["database"] = _bytes(data)
    return {"answers": answers, "outputs": outputs}


def _refusals(gateway: Served, asked: dict[str, Any]) -> list[str]:
    worse = [
        asked | {"subject": "Patient/another-one"},
        asked | {"capability": CANARIES["mrn"]},
        asked | {"purpose": "HMARKT"},
        asked | {"context": {"as_of": CANARIES["family"]}},
        asked | {"unknown": CANARIES["family"]},
    ]
    answers = [gateway.ask(one) for one in worse]
    answers.append(gateway.ask(asked, role="scheduler"))
    assert all(400 <= answer.status_code < 500 for answer in answers)
    return [answer.text for answer in answers]


def _bytes(data: Path) -> str:
    files = [file for file in data.rglob("*") if file.is_file()]
    assert any(file.name == "audit.db" for file in files)
    return "".join(file.read_bytes().decode("latin-1") for file in files)


def test_the_job_was_really_done_and_the_canaries_were_really_there(played: Any) -> None:
    sepsis, chest = played["answers"][0].json(), played["answers"][1].json()

    assert sepsis["outcome"] == "complete"
    assert chest["outcome"] == "complete"
    assert str(NEEDED) in played["outputs"]["received"]
    assert "pleural effusion" in played["outputs"]["received"]
    assert set(leaks(json.dumps(chart(datetime.now(UTC))))) >= set(CANARIES) - {"encounter"}


@pytest.mark.parametrize(
    "where",
    ["received", "refusals", "open", "manifests", "records", "log", "verify", "database"],
)
def test_no_canary_is_in(played: Any, where: str) -> None:
    assert leaks(played["outputs"][where]) == []


def test_an_answer_carries_the_callers_own_references_and_nothing_else(played: Any) -> None:
    for answer in played["answers"]:
        body = answer.json()
        assert body.pop("subject") == f"Patient/{CANARIES['id']}"
        for finding in body["findings"]:
            assert finding.pop("encounter") == CANARIES["encounter"]
        assert leaks(json.dumps(body)) == []
