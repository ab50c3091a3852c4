"""No resource that a gateway emits has a fault: every capability, in every way that it can end.

``fhir.resources`` and our own validator always look; ``test_npm_validators.py`` and
``test_hl7_validator.py`` show the same resources to three that share no code with either.
"""

from __future__ import annotations

from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from careweir_fhir.validate import problems
from support.emitted import ASKED_BY, CONFLICTS, Emitting, single
from support.held import broken, profile_of, published

HOW = ("complete", "degraded", "failed", "conflicting 0", "refused to a role")


def named(resources: dict[str, Any], how: str) -> set[str]:
    return {name.partition(":")[0] for name in resources if name.endswith(f": {how}")}


@pytest.mark.parametrize("how", HOW)
def test_every_capability_was_asked_in_every_way(emitted: Emitting, how: str) -> None:
    assert named(emitted.resources, how) == set(ASKED_BY)
    assert set(emitted.outcomes) == set(ASKED_BY) == set(emitted.statement())


def test_every_way_is_what_its_name_says(emitted: Emitting) -> None:
    assert set(emitted.outcomes.values()) == {"complete"}
    for capability in ASKED_BY:
        kinds = {how: emitted.kinds(f"{capability}: {how}") for how in HOW}
        assert "OperationOutcome" not in kinds["complete"] or emitted.informs(capability)
        assert "OperationOutcome" in kinds["degraded"] & kinds["failed"]
        assert kinds["refused to a role"] == {"OperationOutcome"}
        for number in range(len(CONFLICTS)):
            assert "DetectedIssue" in emitted.kinds(f"{capability}: conflicting {number}")


def test_nothing_that_is_emitted_has_a_fault(emitted: Emitting) -> None:
    assert len(emitted.resources) > 300
    for name, resource in emitted.resources.items():
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
        assert list(problems(resource)) == [], name


def test_what_is_emitted_holds_its_published_profile(emitted: Emitting) -> None:
    seen: set[str] = set()
    for name, resource in single(emitted.resources):
        url = profile_of(resource)
        if url is not None:
            assert broken(resource, url) == [], name
            seen.add(url)

    definitions = [one for one in published().values()
                   if one["resourceType"] == "StructureDefinition"]  # fmt: skip
    profiles = {one["url"] for one in definitions if one["type"] != "Extension"}
    # No shipped tool gives advice about drugs: an example stands for it.
    assert seen == profiles - {"urn:careweir:profile:guidance-response"}
