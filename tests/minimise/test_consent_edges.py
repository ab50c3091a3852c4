"""Consents at their edges: whose they are, which moment, what they refer to, and break-glass."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from careweir.minimise import Minimised, minimise, read_chart
from minimise.charts import AS_OF, SEPSIS, bundle, decision, observation, patient, resources

DENY = {"type": "deny"}
PCF = "https://profiles.ihe.net/ITI/PCF/Policy-"


def consent(provision: Any = None, **extra: Any) -> dict[str, Any]:
    return {
        "resourceType": "Consent",
        "status": "active",
        "scope": {"coding": [{"code": "patient-privacy"}]},
        "patient": {"reference": "Patient/p1"},
        **({} if provision is None else {"provision": provision}),
        **extra,
    }


def purpose(*codes: str) -> list[dict[str, str]]:
    return [{"code": code} for code in codes]


STAY = {"resourceType": "Encounter", "id": "e1", "subject": {"reference": "Patient/p1"}}
OTHER = STAY | {"id": "e2"}
RATE = observation("8867-4", 80, id="rate", encounter={"reference": "Encounter/e1"})


def asked(*consents: Any, observed: Any = RATE, why: str = "TREAT", wide: Any = ()) -> Minimised:
    by = decision(purpose=why)
    if why == "BTG":
        by = replace(decision(), break_glass=True)
    by = replace(by, rights=replace(by.rights, sensitivity=frozenset(wide), plans={}))
    return minimise(
        read_chart(bundle(patient(), STAY, OTHER, observed, *consents), subject=None),
        SEPSIS, by, subject_pseudonym="px", pseudonyms=lambda kind, real: "x", as_of=AS_OF,
        study=None, purpose=why, role="ed-physician", site=None,
    )  # fmt: skip


def leaves(*consents: Any, observed: Any = RATE, why: str = "TREAT", wide: Any = ()) -> bool:
    found = asked(*consents, observed=observed, why=why, wide=wide)
    return found.payload is not None and bool(resources(found, "Observation"))


@pytest.mark.parametrize(
    ("extra", "applies"),
    [
        ({}, True),
        ({"patient": None}, True),
        ({"patient": {"display": "her"}}, True),
        ({"patient": {"reference": "Group/family"}}, False),
        ({"scope": None}, True),
        ({"scope": {}}, True),
        ({"scope": {"coding": [{"code": "adr"}]}}, False),
        ({"scope": {"coding": [{"code": "adr"}, {"code": "patient-privacy"}]}}, True),
        ({"scope": {"coding": [{"code": 7}]}}, True),
        ({"status": None}, False),
        ({"status": "proposed"}, False),
    ],
)
def test_a_consent_applies_when_it_is_active_about_privacy_and_nobody_elses(
    extra: dict[str, Any], applies: bool
) -> None:
    assert leaves(consent(DENY, **extra)) is not applies


@pytest.mark.parametrize(
    ("period", "holds"),
    [
        (None, True),
        ({}, True),
        ({"start": "2026-03-02T08:30:00Z"}, True),
        ({"start": "2026-03-02T08:30:01Z"}, False),
        ({"end": "2026-03-02T08:30:00Z"}, True),
        ({"end": "2026-03-02T08:29:59Z"}, False),
        ({"start": "2020", "end": "2026"}, True),
        ({"start": "2020", "end": "2025"}, False),
        ({"start": "soon", "end": "2025"}, False),
        ({"start": "2027", "end": "some day"}, False),
    ],
)
def test_the_period_of_a_consent_includes_both_its_ends(period: Any, holds: bool) -> None:
    assert leaves(consent({**DENY, "period": period})) is not holds
    if holds:
        assert leaves(consent({"type": "permit", "period": period}))


@pytest.mark.parametrize("period", [{"start": "soon"}, {"end": "some day"}, "always"])
def test_a_period_that_cannot_be_read_keeps_both_a_permit_and_a_denial_from_letting_go(
    period: Any,
) -> None:
    assert not leaves(consent({**DENY, "period": period}))
    assert not leaves(consent({"type": "permit", "period": period}))


@pytest.mark.parametrize(
    ("data", "leaves_still"),
    [
        ({"meaning": "instance", "reference": {"reference": "Observation/rate"}}, False),
        ({"meaning": "instance", "reference": {"reference": "Encounter/e2"}}, True),
        ({"meaning": "related", "reference": {"reference": "Encounter/e1"}}, False),
        ({"meaning": "related", "reference": {"reference": "Encounter/e2"}}, True),
        ({"meaning": "related", "reference": {"reference": "Observation/rate"}}, False),
        ({"meaning": "dependents", "reference": {"reference": "Encounter/e2"}}, False),
        ({"meaning": "instance", "reference": {"reference": "Encounter/e9"}}, False),
        ({"meaning": "instance", "reference": "Encounter/e2"}, False),
        ({"meaning": "instance"}, False),
        ("nonsense", False),
    ],
)
def test_a_denial_about_named_data_keeps_what_it_names_and_what_cannot_be_told(
    data: Any, leaves_still: bool
) -> None:
    assert leaves(consent({**DENY, "data": [data]})) is leaves_still
    permit = {"type": "permit", "data": [data]}
    told = isinstance(data, dict) and data.get("meaning") in ("instance", "related")
    named = told and not leaves_still and "e9" not in str(data) and isinstance(
        data.get("reference"), dict
    )  # fmt: skip
    assert leaves(consent(permit)) is bool(named)


def test_one_of_several_named_data_is_enough() -> None:
    named = [
        {"meaning": "instance", "reference": {"reference": f"{target}"}}
        for target in ("Encounter/e2", "Observation/rate")
    ]

    assert not leaves(consent({**DENY, "data": named}))
    assert leaves(consent({**DENY, "data": named[:1]}))
    assert leaves(consent({"type": "permit", "data": named}))


def test_an_observation_without_a_readable_stay_is_related_to_none() -> None:
    named = [{"meaning": "related", "reference": {"reference": "Encounter/e1"}}]
    loose = observation("8867-4", 80, encounter="Encounter/e1")

    assert leaves(consent({**DENY, "data": named}), observed=loose)


@pytest.mark.parametrize(
    ("rule", "leaves_still"),
    [
        ({"purpose": purpose("TREAT"), "data": [
            {"meaning": "instance", "reference": {"reference": "Encounter/e2"}}]}, True),
        ({"purpose": purpose("HRESCH"), "data": [{"meaning": "?"}]}, True),
        ({"purpose": purpose("TREAT"), "data": [{"meaning": "?"}]}, False),
        ({"purpose": purpose("TREAT"), "actor": [{}]}, False),
        ({"purpose": purpose("HRESCH"), "actor": [{}]}, True),
        ({"dataPeriod": {"end": "2020"}, "data": [{"meaning": "?"}]}, True),
        ({"id": "one", "purpose": purpose("TREAT")}, False),
        ({"purpose": []}, True),
        ({"securityLabel": []}, True),
        ({"securityLabel": [{"code": "N"}, {"code": "R"}]}, True),
    ],
)  # fmt: skip
def test_a_denial_holds_only_when_no_condition_of_it_fails(
    rule: dict[str, Any], leaves_still: bool
) -> None:
    assert leaves(consent({**DENY, **rule})) is leaves_still
    assert leaves(consent({"type": "permit", "provision": [{**DENY, **rule}]})) is leaves_still


def test_data_without_a_date_is_kept_by_a_denial_about_a_period_of_data() -> None:
    need_no_window = observation("8867-4", 80, effectiveDateTime=None, issued=None)
    rule = consent({**DENY, "dataPeriod": {"end": "2020"}})

    assert not leaves(rule, observed=need_no_window)
    assert leaves(rule)


LABELLED = observation(
    "8867-4",
    80,
    meta={"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
                        "code": "HIV"}]},
)  # fmt: skip


@pytest.mark.parametrize(
    ("label", "kept"), [("HIV", True), ("R", True), ("PSY", False), ("N", False)]
)
def test_a_label_rule_reads_what_the_resource_is_about(label: str, kept: bool) -> None:
    rule = consent({"type": "permit", "provision": [{**DENY, "securityLabel": [{"code": label}]}]})

    assert leaves(observed=LABELLED, wide=["HIV"])
    assert leaves(rule, observed=LABELLED, wide=["HIV"]) is not kept


@pytest.mark.parametrize(
    ("one", "treat", "override"),
    [
        (consent(policy=[{"uri": f"{PCF}break-glass-only"}]), False, True),
        (consent(policy=[{"uri": f"{PCF}all-normal"}]), True, True),
        (consent(policy=[{"uri": f"{PCF}deny"}]), False, False),
        (consent(policyRule={"coding": [{"code": "OPTIN"}, {"code": "OPTOUT"}]}), False, False),
        (consent(policy=["nonsense"]), False, False),
        (consent(DENY), False, False),
        (consent({**DENY, "provision": [{"type": "permit", "purpose": purpose("BTG")}]}),
         False, True),
        (consent({"type": "permit", "provision": [
            {"type": "permit", "purpose": purpose("BTG")}, DENY]}), False, True),
        (consent({"type": "permit", "provision": ["nonsense"]}), False, False),
    ],
)  # fmt: skip
def test_an_override_opens_what_a_consent_keeps_for_emergencies_and_nothing_else(
    one: dict[str, Any], treat: bool, override: bool
) -> None:
    assert leaves(one) is treat
    assert leaves(one, why="BTG") is override


def test_a_consent_is_named_by_its_place_among_those_in_force() -> None:
    draft, permit = consent(DENY, status="draft"), consent({"type": "permit"})

    found = asked(draft, permit, consent(DENY), consent(DENY))

    assert {row.rule for row in found.manifest.withheld} == {"consent 2 of the chart"}


def test_an_exception_that_lets_some_data_go_keeps_the_rest() -> None:
    named = {"meaning": "instance", "reference": {"reference": "Observation/rate"}}
    rule = consent({**DENY, "provision": [{"type": "permit", "data": [named]}]})

    found = asked(rule)

    assert found.payload is not None
    assert len(resources(found, "Observation")) == 1
    assert resources(found, "Patient") == []
    assert not leaves(rule, observed=observation("8867-4", 80, id="another"))
