"""fhirpy and SMART's fhirclient, unmodified, against a running gateway."""

from __future__ import annotations

from typing import Any

import pytest

from support.charts import sepsis
from support.running import Served

fhirpy = pytest.importorskip("fhirpy", reason="needs fhirpy (requirements-dev.in)")
smart = pytest.importorskip("fhirclient.client", reason="needs fhirclient (requirements-dev.in)")


def by_fhirpy(gateway: Served, role: str) -> Any:
    url = f"{gateway.client.base_url}/fhir"
    return fhirpy.SyncFHIRClient(url, authorization=f"Bearer {gateway.tokens[role]}")


def test_fhirpy_searches_pages_and_reads_results(gateway: Served) -> None:
    for _ in range(2):
        gateway.ask(sepsis())
    client = by_fhirpy(gateway, "ed-physician")

    found = client.resources("RiskAssessment").limit(2).fetch_all()
    assert len(found) >= 6
    assert len({one["id"] for one in found}) == len(found)
    patient = found[0]["subject"]["reference"]
    assert client.resources("RiskAssessment").search(patient=patient).first() is not None
    read = client.reference("RiskAssessment", found[0]["id"]).to_resource()
    assert read.serialize()["prediction"]
    assert client.resources("RiskAssessment").search(patient="Patient/other").fetch() == []
    assert client.resources("RiskAssessment").count() == len(
        client.resources("RiskAssessment").fetch_all()
    )


def test_fhirpy_reads_the_record_as_an_auditor(gateway: Served) -> None:
    client = by_fhirpy(gateway, "auditor")

    events = client.resources("AuditEvent").search(type="110106").limit(5).fetch()

    assert events
    assert events[0]["action"] == "R"


def test_fhirpy_calls_the_operation(gateway: Served) -> None:
    asked = sepsis()
    parameters = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "capability", "valueCode": "sepsis-risk"},
            {"name": "subject", "valueReference": {"reference": asked["subject"]}},
            {"name": "purpose", "valueCode": "TREAT"},
            {"name": "inputs", "resource": {k: v for k, v in asked["inputs"].items() if k != "id"}},
        ],
    }

    bundle = by_fhirpy(gateway, "ed-physician").execute("$infer", data=parameters)

    kinds = {entry["resource"]["resourceType"] for entry in bundle["entry"]}
    assert {"RiskAssessment", "Provenance", "Device"} <= kinds


def test_fhirpy_understands_refusals(gateway: Served) -> None:
    from fhirpy.base.exceptions import ForbiddenError, OperationOutcome, ResourceNotFound

    client = by_fhirpy(gateway, "ed-physician")

    with pytest.raises(ResourceNotFound):
        client.reference("RiskAssessment", "inf-none").to_resource()
    with pytest.raises(ForbiddenError, match="OperationOutcome"):
        client.resources("AuditEvent").fetch()
    with pytest.raises(OperationOutcome):
        client.resource("Observation", status="final", code={"text": "x"}).save()


def by_smart(gateway: Served, role: str) -> Any:
    url = f"{gateway.client.base_url}/fhir"
    client = smart.FHIRClient(settings={"app_id": "tests", "api_base": url})
    client.server.session.headers["Authorization"] = f"Bearer {gateway.tokens[role]}"
    return client


def test_smarts_client_reads_the_capabilities_and_the_results(gateway: Served) -> None:
    from fhirclient.models.device import Device
    from fhirclient.models.riskassessment import RiskAssessment

    client = by_smart(gateway, "ed-physician")
    statement = client.server.capabilityStatement
    assert {one.type for one in statement.rest[0].resource} >= {"RiskAssessment", "AuditEvent"}

    bundle: Any = next(RiskAssessment.where({"_count": "2"}).perform_iter(client.server))
    assert bundle.type == "searchset"
    first = bundle.entry[0].resource
    again: Any = RiskAssessment.read(first.id, client.server)
    assert again.as_json() == first.as_json()
    assert 0 <= again.prediction[0].probabilityDecimal <= 100
    devices: list[Any] = list(Device.where({}).perform_resources_iter(client.server))
    assert any(one.manufacturer for one in devices)


def test_smarts_client_parses_every_type_that_is_served(gateway: Served) -> None:
    """Its models are R4 and strict: a resource that is not raises."""
    from fhirclient.models import fhirelementfactory

    client = by_smart(gateway, "ed-physician")
    seen = set()
    for kind in ("RiskAssessment", "ServiceRequest", "DetectedIssue", "Provenance", "Device"):
        for entry in client.server.request_json(f"{kind}?_count=20").get("entry", ()):
            resource = entry["resource"]
            made = fhirelementfactory.FHIRElementFactory.instantiate(kind, resource)
            assert made.as_json()["id"] == resource["id"]
            seen.add(kind)
    assert {"RiskAssessment", "Provenance", "Device"} <= seen
