"""The further questions of the contract, end to end: two tools each that overlap."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from support.running import Served

NOTE = (
    "Mother had heart failure. Shortness of breath and cough since Sunday. Denies fever. "
    "Assessment: pneumonia is likely. Plan: continue oxygen."
)
AS_OF = "2026-03-02T09:00:00Z"
PATIENT = {"reference": "Patient/p1"}
Json = dict[str, Any]


def _vital(loinc: str, value: float, unit: str) -> Json:
    return {
        "resourceType": "Observation",
        "id": f"o{loinc}",
        "status": "final",
        "subject": PATIENT,
        "code": {"coding": [{"system": "http://loinc.org", "code": loinc}]},
        "effectiveDateTime": "2026-03-02T08:00:00Z",
        "valueQuantity": {
            "value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit,
        },
    }  # fmt: skip


def _stay(name: str, start: str, end: str | None) -> Json:
    act = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    return {
        "resourceType": "Encounter",
        "id": name,
        "status": "finished" if end else "in-progress",
        "class": {"system": act, "code": "IMP"},
        "subject": PATIENT,
        "period": {"start": start} | ({"end": end} if end else {}),
    }


def _chart() -> Json:
    data = base64.b64encode(NOTE.encode()).decode()
    note = {
        "resourceType": "DocumentReference",
        "id": "n1",
        "status": "current",
        "type": {"coding": [{"system": "http://loinc.org", "code": "34111-5"}]},
        "subject": PATIENT,
        "date": "2026-03-02T08:00:00Z",
        "content": [{"attachment": {"contentType": "text/plain", "data": data}}],
    }
    knee = {"system": "http://snomed.info/sct", "code": "609588000"}
    order = {
        "resourceType": "ServiceRequest",
        "id": "s1",
        "status": "active",
        "intent": "order",
        "subject": PATIENT,
        "code": {"coding": [knee]},
    }
    resources = [
        {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1951-03-02"},
        *(
            _vital(*one)
            for one in (
                ("8867-4", 118, "/min"), ("9279-1", 26, "/min"), ("59408-5", 90, "%"),
                ("8310-5", 38.4, "Cel"), ("718-7", 10.2, "g/dL"), ("2160-0", 1.6, "mg/dL"),
            )
        ),
        _stay("e1", "2025-11-01T08:00:00Z", "2025-11-04T08:00:00Z"),
        _stay("e2", "2026-02-27T08:00:00Z", None),
        note,
        order,
    ]  # fmt: skip
    entry = [{"resource": resource} for resource in resources]
    return {"resourceType": "Bundle", "type": "collection", "entry": entry}


def _ask(gateway: Served, capability: str, role: str, purpose: str) -> Json:
    question = {
        "capability": capability,
        "subject": "Patient/p1",
        "purpose": purpose,
        "inputs": _chart(),
        "context": {"as_of": AS_OF},
    }
    response = gateway.ask(question, role=role)
    assert response.status_code == 200, response.text
    body: Json = response.json()
    return body


@pytest.mark.parametrize(
    ("capability", "role", "purpose", "tools", "kind"),
    [
        ("deterioration-risk", "hospitalist", "TREAT",
         {"acme-deterioration", "sentinel-deterioration"}, "risk"),
        ("readmission-risk", "hospitalist", "TREAT",
         {"harbour-readmission", "meridian-readmission"}, "risk"),
        ("coding-suggestion", "coder", "HPAYMT", {"codify-coding", "ledger-coding"}, "coding"),
        ("prior-auth", "utilisation-review", "HPAYMT",
         {"criteria-prior-auth", "keystone-prior-auth"}, "recommendation"),
        ("note-summary", "hospitalist", "TREAT",
         {"brevia-summary", "precis-summary"}, "document"),
    ],
)  # fmt: skip
def test_two_tools_answer_each_question(
    gateway: Served, capability: str, role: str, purpose: str, tools: set[str], kind: str
) -> None:
    body = _ask(gateway, capability, role, purpose)

    answered = {row["tool"] for row in body["tools"] if row["status"] == "answered"}
    assert tools <= answered, body["tools"]
    assert {finding["kind"] for finding in body["findings"]} == {kind}
    assert {finding["tool"] for finding in body["findings"]} >= tools


def test_suggested_codes_and_decisions_are_preliminary(gateway: Served) -> None:
    for capability, role in (("coding-suggestion", "coder"), ("prior-auth", "utilisation-review")):
        body = _ask(gateway, capability, role, "HPAYMT")

        assert body["findings"]
        assert {finding["status"] for finding in body["findings"]} == {"preliminary"}


def test_a_relatives_illness_is_coded_by_the_quick_coder_alone(gateway: Served) -> None:
    body = _ask(gateway, "coding-suggestion", "coder", "HPAYMT")

    codes: dict[str, set[str]] = {}
    for finding in body["findings"]:
        assert finding["span"]["text"] in NOTE
        codes.setdefault(finding["tool"], set()).add(finding["code"]["code"])
    assert codes["ledger-coding"] - codes["codify-coding"] == {"I50.9"}
