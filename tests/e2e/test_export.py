"""Results as NDJSON, for the application and role that were given them."""

from __future__ import annotations

import json

from careweir_fhir import validate
from support.charts import sepsis
from support.running import Served


def test_results_are_exported_to_who_was_given_them_and_to_nobody_else(gateway: Served) -> None:
    gateway.ask(sepsis())
    found: dict[str, list[str]] = {}
    for role in ("ed-physician", "radiologist"):
        headers = {"Authorization": f"Bearer {gateway.tokens[role]}", "Prefer": "respond-async"}
        begun = gateway.client.get("/fhir/$export?_type=RiskAssessment,Device", headers=headers)
        assert begun.status_code == 202, begun.text
        manifest = gateway.get(begun.headers["content-location"], role=role).json()
        found[role] = []
        for output in manifest["output"]:
            answer = gateway.get(output["url"], role=role)
            assert answer.headers["content-type"] == "application/fhir+ndjson"
            for line in answer.text.splitlines():
                resource = json.loads(line)
                validate.check(resource)
                found[role].append(resource["resourceType"])

    assert found["ed-physician"].count("RiskAssessment") >= 2
    assert "RiskAssessment" not in found["radiologist"]
    assert found["ed-physician"].count("Device") == found["radiologist"].count("Device") > 5
