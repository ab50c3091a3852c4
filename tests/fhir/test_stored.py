"""The form in which a server keeps the resources of an answer."""

from __future__ import annotations

import json
from typing import Any

from careweir_fhir.stored import stored_resources
from careweir_fhir.validate import problems


def test_stored_resource_stands_alone(named_answer: tuple[str, Any]) -> None:
    _, answer = named_answer

    for resource in stored_resources(answer.bundle()):
        assert "urn:uuid:" not in json.dumps(resource)
        assert problems(resource) == ()


def test_stored_references_name_resources_of_the_same_answer(answers: dict[str, Any]) -> None:
    resources = stored_resources(answers["conflict"].bundle())
    names = {f"{r['resourceType']}/{r['id']}" for r in resources}

    (issue, _) = [r for r in resources if r["resourceType"] == "DetectedIssue"]

    assert {item["reference"] for item in issue["implicated"]} <= names
    assert issue["patient"] == {"reference": "Patient/123"}
