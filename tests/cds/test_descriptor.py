"""Discovery asks an EHR for what the tools need and the role may send, and for nothing else."""

from __future__ import annotations

import pytest

from careweir.access import Actor
from careweir.api.cds.descriptor import described, hooked, purpose_of, templates_for
from careweir.stages import House
from careweir.wiring.house import load_house


@pytest.fixture(scope="module")
def house() -> House:
    return load_house(None)


def actor(role: str, *purposes: str) -> Actor:
    scopes = frozenset({"capability/*.infer"})
    return Actor("Practitioner/p", "ehr", role, None, frozenset(purposes), scopes)


def test_every_capability_with_a_hook_is_a_service(house: House) -> None:
    names = {capability.name for capability in hooked(house)}
    asked = {name for tool in house.tools.values() for name in tool.capabilities}

    assert "sepsis-risk" in names
    assert names == {n for n, one in house.capabilities.items() if one.hook and n in asked}


def test_a_descriptor_has_what_the_standard_requires(house: House) -> None:
    for capability in hooked(house):
        found = described(house, capability, None)
        assert found["id"] == capability.name
        assert found["hook"] == capability.hook
        assert found["description"]
        assert all(value for value in found.values() if isinstance(value, str))


def test_the_templates_use_only_what_the_standard_recommends(house: House) -> None:
    found = templates_for(house, house.capabilities["sepsis-risk"], None)

    assert found["patient"] == "Patient/{{context.patientId}}"
    assert found["consent"].startswith("Consent?patient={{context.patientId}}")
    assert "http://loinc.org|8867-4" in found["observation"]
    assert all("_elements" not in query and "date=" not in query for query in found.values())
    assert "_sort=-date" in found["observation"]


def test_a_role_that_may_not_ask_is_asked_for_nothing(house: House) -> None:
    sepsis = house.capabilities["sepsis-risk"]

    assert templates_for(house, sepsis, actor("hospitalist", "TREAT"))
    assert templates_for(house, sepsis, actor("scheduler", "TREAT")) == {}


def test_what_no_tool_needs_is_not_asked_for(house: House) -> None:
    found = templates_for(house, house.capabilities["sepsis-risk"], None)

    assert "condition" in found  # the score that stands in asks for pregnancy alone
    assert "Z33" in found["condition"] or "O" in found["condition"]
    assert not {"documentReference", "medicationRequest", "allergyIntolerance"} & set(found)


def test_treatment_is_the_purpose_where_it_may_be(house: House) -> None:
    sepsis = house.capabilities["sepsis-risk"]

    assert purpose_of(house, sepsis, actor("hospitalist", "HPAYMT", "TREAT")) == "TREAT"
    assert purpose_of(house, sepsis, actor("hospitalist", "HPAYMT")) == "HPAYMT"
