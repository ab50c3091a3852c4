"""Radiology Insights: a job under our name, inferences without any confidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from careweir_kit.adapter import Parsed, VendorAnswer
from careweir_kit.errors import InputsMissing
from careweir_kit.registry import discover_adapters, load_tool
from support import minimised as charts

LOADED = discover_adapters()["azure_radiology_insights"]
INSIGHTS = LOADED.http
TOOL = load_tool(Path(str(LOADED.folder.joinpath("example_tool.yaml"))), {LOADED.name: LOADED})
JOBS = "health-insights/radiology-insights/jobs"
SNOMED = charts.SNOMED
Json = dict[str, Any]


def _concept(code: str, words: str | None = None, system: str = SNOMED) -> Json:
    return {"coding": [{"system": system, "code": code, "display": words}]}


def _observation(*more: Json, code: str = "36118008") -> Json:
    what = {"code": _concept("131195008"), "valueCodeableConcept": _concept(code, "Pneumothorax")}
    return {
        "resourceType": "Observation",
        "code": _concept("404684003"),
        "component": [what, *more],
    }


def _job(*inferences: Any, status: str = "succeeded", http: int = 200, **more: Any) -> VendorAnswer:
    patient = {"patientId": charts.SUBJECT, "inferences": list(inferences)}
    result = {"modelVersion": "2025-03-17", "patientResults": [patient]}
    value = {"id": "att-01", "status": status, "result": result} | more
    return VendorAnswer(http, {"content-type": "application/json"}, json.dumps(value).encode())


def _parse(*inferences: Any) -> Parsed:
    return INSIGHTS.parse_findings(TOOL, None, _job(*inferences))


def _follow_up(**more: Any) -> Json:
    image = {"modality": _concept("77477000", "CT"), "anatomy": _concept("39607008", "LUNG")}
    procedure = {"kind": "imagingProcedureRecommendation", "imagingProcedures": [image]}
    return {
        "kind": "followupRecommendation",
        "findings": [],
        "recommendedProcedure": procedure,
    } | more


def test_the_job_is_put_under_the_name_of_the_request() -> None:
    report = charts.report("Clear lungs.") | {"code": _concept("30745-4", system=charts.LOINC)}
    request = INSIGHTS.build_request(TOOL, charts.ask(report))
    (patient,) = json.loads(request.body)["jobData"]["patients"]

    assert (request.method, request.path) == ("PUT", f"{JOBS}/att-01?api-version=2024-10-01")
    assert patient["id"] == charts.SUBJECT
    (document,) = patient["patientDocuments"]
    assert document["content"]["value"] == "Clear lungs."
    (ordered,) = document["administrativeMetadata"]["orderedProcedures"]
    assert ordered["code"]["coding"] == [{"system": charts.LOINC, "code": "30745-4"}]
    assert "birthDate" not in request.body.decode()
    assert request.without == ("sex: not in the chart",)


def test_without_a_text_nobody_is_asked() -> None:
    with pytest.raises(InputsMissing, match="report text"):
        INSIGHTS.build_request(TOOL, charts.ask())


def test_a_running_job_is_asked_for_by_its_name_at_home() -> None:
    for status, http in (("notStarted", 201), ("running", 200), ("running", 202)):
        answer = _job(status=status, http=http)
        away = {"operation-location": "https://elsewhere.example/jobs/x", "retry-after": "3"}
        answer = VendorAnswer(answer.status, {**answer.headers, **away}, answer.body)
        verdict = INSIGHTS.classify_answer(TOOL, answer)

        assert (verdict.answer_class, verdict.retry_after_s) == ("pending", 3.0)
        assert verdict.follow_up is not None
        assert verdict.follow_up.path == f"{JOBS}/att-01?api-version=2024-10-01"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (_job(), "ok"),
        (_job({"kind": "criticalResult", "result": {"description": "x"}}), "ok"),
        (_job({"kind": "finding", "finding": _observation()}, {"kind": "new"}), "partial"),
        (_job({"kind": "finding", "finding": _observation()}, "broken"), "partial"),
        (_job("broken"), "protocol_broken"),
        (_job(status="failed"), "vendor_fault"),
        (_job(status="failed", error={"code": "InvalidRequest"}), "bad_request"),
        (_job(status="canceled"), "vendor_fault"),
        (_job(status="asleep"), "protocol_broken"),
        (_job(result=None), "protocol_broken"),
        (_job(id="../x"), "protocol_broken"),
        (_job(http=409), "bad_request"),
    ],
)
def test_a_job_has_its_class(answer: VendorAnswer, outcome: str) -> None:
    assert INSIGHTS.classify_answer(TOOL, answer).answer_class == outcome


def test_a_finding_is_what_its_component_says() -> None:
    side = {"code": _concept("45651917"), "valueCodeableConcept": _concept("7771000")}
    near = [
        {"code": _concept("722871000000108"), "valueCodeableConcept": _concept(code)}
        for code in ("39607008", "45653009")
    ]
    size = {"code": _concept("246115007"), "valueQuantity": {"value": 8, "unit": "MILLIMETER"}}
    found, measured = _parse(
        {"kind": "finding", "finding": _observation(side, *near, size)}
    ).findings

    assert (found.code.code, found.polarity, found.laterality) == ("36118008", "present", "left")
    assert getattr(found.body_site, "code", None) == "45653009"
    assert (found.confidence, found.confidence_kind) == (None, "none")
    assert (measured.kind, measured.value, measured.unit) == ("measurement", 8, "mm")


def test_a_side_is_known_by_its_words_too() -> None:
    side = {
        "code": _concept("1", "LATERALITY (ATTRIBUTE)"),
        "valueCodeableConcept": _concept("24028007"),
    }

    assert (
        _parse({"kind": "finding", "finding": _observation(side)}).findings[0].laterality == "right"
    )


@pytest.mark.parametrize(
    ("code", "polarity"),
    [
        ("52101004", "present"),
        ("2667000", "absent"),
        ("60022001", "indeterminate"),
        ("1", "indeterminate"),
    ],
)
def test_a_presence_that_is_stated_is_kept(code: str, polarity: str) -> None:
    presence = {"code": _concept("705057003"), "valueCodeableConcept": _concept(code)}

    assert (
        _parse({"kind": "finding", "finding": _observation(presence)}).findings[0].polarity
        == polarity
    )


def test_a_code_that_cannot_be_one_is_kept_and_not_verified() -> None:
    found = _parse({"kind": "finding", "finding": _observation(code="46150521")}).findings[0]

    assert (found.code.code, found.verified) == ("46150521", False)


def test_a_generic_finding_says_nothing_and_makes_the_answer_partial() -> None:
    empty = {"resourceType": "Observation", "code": _concept("404684003")}
    parsed = _parse({"kind": "finding", "finding": empty})

    assert (parsed.findings, parsed.completeness) == ((), "partial")


def test_no_follow_up_arranged_orders_nothing() -> None:
    image = {
        "modality": _concept("266750002", "NO FOLLOW-UP ARRANGED"),
        "anatomy": _concept("38266002"),
    }
    procedure = {"kind": "imagingProcedureRecommendation", "imagingProcedures": [image]}
    parsed = _parse(_follow_up(recommendedProcedure=procedure))

    assert (parsed.findings, parsed.completeness) == ((), "full")
    assert any("no follow-up" in note for note in parsed.notes)
    assert _parse(_follow_up()).findings[0].action == "order"


def test_the_strength_of_a_recommendation_is_said() -> None:
    weak = _follow_up(isOption=True, isHedging=True, isConditional=True, effectiveAt="2026-06-01")
    (found,) = _parse(weak).findings

    assert found.target is not None
    assert (found.target.code, found.target.display) == ("77477000", "CT of LUNG")
    assert found.explanation == (
        "due 2026-06-01",
        "recommended on a condition",
        "recommended as one option",
        "recommended in hedged words",
    )


@pytest.mark.parametrize(
    ("inference", "code"),
    [
        (
            {"kind": "lateralityDiscrepancy", "discrepancyType": "textLateralityMissing"},
            "textLateralityMissing",
        ),
        ({"kind": "sexMismatch", "sexIndication": _concept("248153007")}, "sexMismatch"),
        ({"kind": "ageMismatch"}, "ageMismatch"),
        (
            {"kind": "completeOrderDiscrepancy", "orderType": _concept("1")},
            "completeOrderDiscrepancy",
        ),
    ],
)
def test_what_is_wrong_with_a_report_is_a_finding_about_it(inference: Json, code: str) -> None:
    (found,) = _parse(inference).findings

    assert (found.code.system, found.code.code) == ("urn:careweir:report-discrepancy", code)


def test_a_score_is_a_level_on_its_scale() -> None:
    scored = {"kind": "scoringAndAssessment", "category": "BIRADS", "singleValue": "4A"}
    between = scored | {"singleValue": None, "rangeValue": {"minimum": "2", "maximum": "3"}}
    first, second = _parse(scored, between).findings

    assert (first.kind, first.scale, first.value) == ("triage", "BI-RADS", "4A")
    assert second.value == "2-3"


def test_every_patient_of_the_answer_is_an_echo() -> None:
    result = {"modelVersion": "x", "patientResults": [
        {"patientId": charts.SUBJECT, "inferences": []}, {"patientId": "other", "inferences": []}
    ]}  # fmt: skip

    assert INSIGHTS.parse_findings(TOOL, None, _job(result=result)).echoes == (
        charts.SUBJECT,
        "other",
    )
