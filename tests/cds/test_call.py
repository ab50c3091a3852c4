"""A service call is read strictly where a patient is at stake, and tolerantly elsewhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from careweir.api.cds.call import CallInvalid, chart, missing, read_call
from careweir.capabilities import Capability
from careweir.minimise.chart import SubjectMismatch

SEPSIS = Capability(
    name="sepsis-risk", title="Sepsis", inputs=(), findings=("risk",), hook="patient-view"
)
ORDERS = SEPSIS.model_copy(update={"name": "prior-auth", "hook": "order-sign"})
SELECTED = SEPSIS.model_copy(update={"name": "orders", "hook": "order-select"})
LEAVING = SEPSIS.model_copy(update={"name": "leaving", "hook": "encounter-discharge"})
TEMPLATES = {"patient": "Patient/{{context.patientId}}", "observation": "Observation?…"}
PATIENT = {"resourceType": "Patient", "id": "p1"}
NONE_FOUND = {"resourceType": "Bundle", "type": "searchset", "entry": []}
FAILED = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "timeout"}]}


def body(**changes: Any) -> bytes:
    value = {
        "hook": "patient-view",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {"patientId": "p1", "userId": "Practitioner/u1", "encounterId": "e1"},
        "prefetch": {"patient": PATIENT, "observation": NONE_FOUND},
    } | changes
    return json.dumps({k: v for k, v in value.items() if v is not None}).encode()


def test_a_whole_call_is_read() -> None:
    found = read_call(body(), SEPSIS)

    assert (found.patient, found.user, found.encounter) == ("p1", "Practitioner/u1", "e1")
    assert missing(found, TEMPLATES) == []


def test_unknown_fields_are_tolerated() -> None:
    assert read_call(body(extension={"com.example": 1}, version="9"), SEPSIS).patient == "p1"


@pytest.mark.parametrize(
    "changes",
    [
        {"hook": "order-sign"},
        {"hook": None},
        {"hookInstance": "1"},
        {"hookInstance": None},
        {"context": None},
        {"context": {"userId": "Practitioner/u1"}},
        {"context": {"patientId": "Patient/p1", "userId": "Practitioner/u1"}},
        {"context": {"patientId": "p1"}},
        {"context": {"patientId": "p1", "userId": "u1"}},
        {"context": {"patientId": "p1", "userId": "Device/u1"}},
        {"context": {"patientId": "p1", "userId": "Practitioner/u1", "encounterId": "Encounter/1"}},
        {"fhirAuthorization": {"access_token": "t", "token_type": "Bearer"}},
        {"prefetch": []},
    ],
)
def test_a_call_that_breaks_the_standard_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(CallInvalid) as raised:
        read_call(body(**changes), SEPSIS)
    assert "p1" not in str(raised.value)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"hook":1}', b'{"hook":"a","hook":"b"}'])
def test_what_is_no_json_object_of_a_call_is_refused(raw: bytes) -> None:
    with pytest.raises(CallInvalid):
        read_call(raw, SEPSIS)


def test_a_hook_that_needs_an_encounter_is_refused_without() -> None:
    with_it = read_call(body(hook="encounter-discharge"), LEAVING)
    assert with_it.encounter == "e1"

    context = {"patientId": "p1", "userId": "Practitioner/u1"}
    with pytest.raises(CallInvalid):
        read_call(body(hook="encounter-discharge", context=context), LEAVING)


@pytest.mark.parametrize(
    ("prefetch", "lacking"),
    [
        ({"patient": PATIENT, "observation": NONE_FOUND}, []),
        ({"patient": PATIENT, "observation": None}, []),
        ({"patient": PATIENT}, ["observation"]),
        ({"patient": PATIENT, "observation": FAILED}, ["observation"]),
        ({"patient": PATIENT, "observation": NONE_FOUND | {"entry": [{"resource": FAILED}]}},
         ["observation"]),
        ({"patient": None, "observation": None}, ["patient"]),
        ({}, ["patient", "observation"]),
    ],
)  # fmt: skip
def test_absent_null_and_empty_are_three_things(prefetch: Any, lacking: list[str]) -> None:
    assert missing(read_call(body(prefetch=prefetch), SEPSIS), TEMPLATES) == lacking


def test_a_call_without_any_prefetch_lacks_everything() -> None:
    assert missing(read_call(body(prefetch=None), SEPSIS), TEMPLATES) == list(TEMPLATES)


def test_the_chart_holds_what_was_asked_for_as_it_was_given() -> None:
    pulse = b'{"resourceType":"Observation","id":"o1","valueQuantity":{"value":0.870}}'
    raw = body(prefetch={"patient": PATIENT, "observation": "HERE", "secret": PATIENT}).replace(
        b'"HERE"',
        b'{"resourceType":"Bundle","type":"searchset","entry":[{"fullUrl":"urn:x","resource":'
        + pulse + b'}]}',
    )  # fmt: skip

    found = chart(read_call(raw, SEPSIS), TEMPLATES)

    assert pulse in found.bundle
    assert len(json.loads(found.bundle)["entry"]) == 2
    assert found.cut == ()


def test_a_first_page_alone_is_told() -> None:
    page = NONE_FOUND | {"link": [{"relation": "next", "url": "https://ehr.example/next"}]}

    found = chart(read_call(body(prefetch={"patient": PATIENT, "observation": page}), SEPSIS),
                  TEMPLATES)  # fmt: skip

    assert found.cut == ("observation",)


@pytest.mark.parametrize("patient", [{"resourceType": "Patient", "id": "p2"},
                                     {"resourceType": "Patient"},
                                     {"resourceType": "Observation", "id": "p1"}])  # fmt: skip
def test_another_patient_than_that_of_the_context_is_refused(patient: dict[str, Any]) -> None:
    given = read_call(body(prefetch={"patient": patient, "observation": None}), SEPSIS)

    with pytest.raises(SubjectMismatch):
        chart(given, TEMPLATES)


def test_draft_orders_join_the_chart_and_of_a_selection_only_what_was_selected() -> None:
    orders = [{"resource": {"resourceType": "ServiceRequest", "id": name}} for name in "ab"]
    context = {
        "patientId": "p1",
        "userId": "Practitioner/u1",
        "draftOrders": {"resourceType": "Bundle", "type": "collection", "entry": orders},
    }
    signed = read_call(body(hook="order-sign", context=context), ORDERS)
    chosen = context | {"selections": ["ServiceRequest/b"]}
    selected = read_call(body(hook="order-select", context=chosen), SELECTED)

    assert len(signed.drafts) == 2
    assert [json.loads(draft)["id"] for draft in selected.drafts] == ["b"]
    with pytest.raises(CallInvalid):
        read_call(body(hook="order-sign"), ORDERS)
    with pytest.raises(CallInvalid):
        read_call(body(hook="order-select", context=context), SELECTED)


def test_an_access_token_that_is_handed_over_is_dropped() -> None:
    given = read_call(
        body(fhirServer="https://ehr.example/r4", fhirAuthorization={"access_token": "SECRET"}),
        SEPSIS,
    )

    assert given.fhir_server == "https://ehr.example/r4"
    assert "SECRET" not in repr(given)
