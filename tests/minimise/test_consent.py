"""The patient's own rules, and the rules of the place: consent and residency."""

from __future__ import annotations

from typing import Any

import pytest

from minimise.charts import (
    SEPSIS,
    bundle,
    decision,
    everything,
    observation,
    patient,
    policies,
    reasons,
    resources,
    run,
)

REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"


def consent(provision: Any = None, **extra: Any) -> dict[str, Any]:
    return {
        "resourceType": "Consent",
        "id": "CANARY-consent",
        "status": "active",
        "scope": {"coding": [{"code": "patient-privacy"}]},
        "patient": {"reference": "Patient/p1"},
        **({} if provision is None else {"provision": provision}),
        **extra,
    }


def purpose(*codes: str) -> list[dict[str, str]]:
    return [{"system": REASON, "code": code} for code in codes]


def label(code: str) -> list[dict[str, str]]:
    return [{"system": CONFIDENTIALITY, "code": code}]


def about(meaning: str, target: str) -> dict[str, Any]:
    return {"type": "deny", "data": [{"meaning": meaning, "reference": {"reference": target}}]}


RATE = observation("8867-4", 80, encounter={"reference": "Encounter/e1"})
STAY = {"resourceType": "Encounter", "id": "e1", "subject": {"reference": "Patient/p1"}}


def leaves_with(*consents: dict[str, Any]) -> bool:
    found = run(bundle(patient(), STAY, RATE, *consents))
    assert "CANARY" not in everything(found)
    if found.payload is None:
        assert {row.reason for row in found.manifest.withheld} == {"consent"}
        return False
    sent = bool(resources(found, "Observation"))
    if not sent:
        assert reasons(found)["Observation"] == {"consent"}
    return sent


@pytest.mark.parametrize(
    ("provision", "leaves"),
    [
        ({"type": "permit"}, True),
        ({"type": "deny"}, False),
        ({"type": "permit", "purpose": purpose("TREAT")}, True),
        ({"type": "permit", "purpose": purpose("HPAYMT", "TREAT")}, True),
        ({"type": "permit", "purpose": purpose("HPAYMT")}, False),
        ({"type": "permit", "purpose": purpose("BTG")}, False),
        ({"type": "deny", "purpose": purpose("HRESCH")}, True),
        ({"type": "deny", "purpose": purpose("TREAT")}, False),
        ({"type": "permit", "period": {"start": "2026-01-01", "end": "2026-12-31"}}, True),
        ({"type": "deny", "period": {"end": "2026-03-01"}}, True),
        ({"type": "deny", "period": {"end": "2026-03-02"}}, False),
        ({"type": "deny", "period": {"end": "2026-03"}}, False),
        ({"type": "deny", "period": {"start": "2026-03-03"}}, True),
        ({"type": "deny", "period": {"end": "whenever"}}, False),
        ({"type": "deny", "dataPeriod": {"end": "2020"}}, True),
        ({"type": "deny", "dataPeriod": {"start": "2026"}}, False),
        ({"type": "permit", "dataPeriod": {"end": "2020"}}, False),
        ({"type": "permit", "securityLabel": label("N")}, True),
        ({"type": "permit", "securityLabel": label("R")}, False),
        ({"type": "deny", "securityLabel": label("R")}, True),
        ({"type": "deny", "securityLabel": label("N")}, False),
        (about("related", "Encounter/e1"), False),
        (about("related", "Encounter/e9"), False),
        (about("instance", "Encounter/e1"), True),
        (about("authoredby", "Encounter/e1"), False),
        ({"type": "permit", "actor": [{"reference": {"reference": "Practitioner/x"}}]}, False),
        ({"type": "deny", "actor": [{"reference": {"reference": "Practitioner/x"}}]}, False),
        ({"type": "permit", "class": [{"code": "Observation"}]}, False),
        ({"type": "deny", "provision": [{"type": "permit", "purpose": purpose("TREAT")}]}, True),
        ({"type": "deny", "provision": [{"type": "permit", "purpose": purpose("HPAYMT")}]}, False),
        ({"type": "permit", "provision": [{"type": "deny", "purpose": purpose("TREAT")}]}, False),
        ({"type": "permit", "provision": [{"type": "deny", "purpose": purpose("HPAYMT")}]}, True),
        ({"type": "permit", "provision": [{"type": "deny", "securityLabel": label("R")}]}, True),
        ({"type": "permit", "provision": [{"type": "deny", "actor": [{}]}]}, False),
        ({"type": "deny", "provision": [{"type": "permit", "purpose": purpose("TREAT")},
                                        {"type": "deny", "purpose": purpose("TREAT")}]}, False),
        ({"type": "permit", "provision": [{"purpose": purpose("TREAT")}]}, False),
        ({"type": "perhaps"}, False),
        ("nonsense", False),
    ],
)  # fmt: skip
def test_a_consent_decides(provision: Any, leaves: bool) -> None:
    assert leaves_with(consent(provision)) is leaves


@pytest.mark.parametrize(
    "extra",
    [
        {"status": "draft"},
        {"status": "rejected"},
        {"status": "inactive"},
        {"scope": {"coding": [{"code": "research"}]}},
    ],
)
def test_a_consent_that_is_not_in_force_decides_nothing(extra: dict[str, Any]) -> None:
    assert leaves_with(consent({"type": "deny"}, **extra))


def test_without_a_consent_the_policy_of_the_house_holds() -> None:
    assert leaves_with()


def test_of_several_consents_the_strictest_wins_and_is_named() -> None:
    both = (consent({"type": "permit"}), consent({"type": "deny"}))

    assert not leaves_with(*both)
    found = run(bundle(patient(), RATE, *both))
    assert {row.rule for row in found.manifest.withheld} == {"consent 2 of the chart"}


@pytest.mark.parametrize(
    ("policy", "leaves"),
    [
        ({"policy": [{"uri": "https://profiles.ihe.net/ITI/PCF/Policy-basic-normal"}]}, True),
        ({"policy": [{"uri": "https://profiles.ihe.net/ITI/PCF/Policy-deny"}]}, False),
        ({"policy": [{"uri": "https://profiles.ihe.net/ITI/PCF/Policy-break-glass-only"}]}, False),
        ({"policy": [{"uri": {"odd": 1}}]}, False),
        ({"policyRule": {"coding": [{"system": ACT, "code": "OPTIN"}]}}, True),
        ({"policyRule": {"coding": [{"system": ACT, "code": "OPTOUT"}]}}, False),
        ({}, False),
    ],
)
def test_a_consent_that_points_to_a_policy_is_read(policy: dict[str, Any], leaves: bool) -> None:
    assert leaves_with(consent(**policy)) is leaves


def test_a_consent_by_label_keeps_some_and_lets_others_go() -> None:
    rule = consent(
        {
            "type": "permit",
            "provision": [{"type": "deny", "dataPeriod": {"end": "2026-03-02T07:30:00Z"}}],
        }
    )
    older = observation("9279-1", 16, at="2026-03-02T07:00:00Z")

    found = run(bundle(patient(birthDate="1957-03-03"), RATE, older, rule))

    codes = [r["code"]["coding"][0]["code"] for r in resources(found, "Observation")]
    assert codes == ["8867-4"]
    assert reasons(found)["Observation"] == {"consent"}


@pytest.mark.parametrize(
    ("region", "site", "leaves"),
    [
        ("local", None, True),
        ("local", "south", True),
        ("us", "north", True),
        ("us", "south", False),
        ("us", None, False),
        ("us", "nowhere", False),
        ("mars", "north", False),
    ],
)
def test_a_chart_goes_only_to_regions_that_are_open_to_its_site(
    region: str, site: str | None, leaves: bool
) -> None:
    by = policies().decide(
        role="ed-physician", purpose="TREAT", capability="sepsis-risk", site=site
    )

    found = run(bundle(patient(), RATE), SEPSIS.model_copy(update={"region": region}), by=by)

    assert (found.payload is not None) is leaves
    if not leaves:
        assert {row.reason for row in found.manifest.withheld} == {"residency"}
        assert all("sites.yaml:" in row.rule for row in found.manifest.withheld)


def reference(kind: str, name: str) -> dict[str, Any]:
    return {"reference": f"{kind}/{name}"}


SECRET = {
    "resourceType": "Observation",
    "id": "secret",
    "subject": reference("Patient", "p1"),
    "code": {"text": "HIV viral load"},
}


@pytest.mark.parametrize(
    "link",
    [
        {"derivedFrom": [reference("Observation", "secret")]},
        {"hasMember": [reference("Observation", "secret")]},
        {"extension": [{"url": "x", "valueReference": reference("Observation", "secret")}]},
        {"basedOn": [reference("ServiceRequest", "order")]},
        {"derivedFrom": [reference("Observation", "secret/_history/2")]},
    ],
)
def test_what_refers_to_something_sensitive_is_as_sensitive(link: dict[str, Any]) -> None:
    order = {
        "resourceType": "ServiceRequest",
        "id": "order",
        "subject": reference("Patient", "p1"),
        "reasonReference": [reference("Observation", "secret")],
    }

    found = run(bundle(patient(), observation("8867-4", 80, **link), SECRET, order))

    assert reasons(found)["Observation"] >= {"sensitivity:HIV"}
    assert resources(found, "Observation") == []


def test_references_in_a_circle_end() -> None:
    one = observation("8867-4", 80, id="a", derivedFrom=[reference("Observation", "b")])
    other = observation("9279-1", 16, id="b", derivedFrom=[reference("Observation", "a")])

    assert len(resources(run(bundle(patient(), one, other)), "Observation")) == 2


def test_a_stay_in_a_sensitive_place_does_not_hide_vital_signs() -> None:
    stay = {**STAY, "reasonCode": [{"text": "Overdose, drug abuse"}]}

    found = run(bundle(patient(), stay, RATE), by=decision())

    assert len(resources(found, "Observation")) == 1
    assert "abuse" not in everything(found)
