"""What the mapping promises a reader, one promise a test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from careweir_fhir.bundle import FhirInvalid, ResultContext, ToolOutcome, result_bundle
from careweir_fhir.elements import percentage
from careweir_fhir.model import RXNORM, SNOMED, Coding, Conflict, Finding, awaits_review

CONTEXT = ResultContext(
    inference="inf_1",
    capability="sepsis-risk",
    subject="Patient/123",
    encounter=None,
    study=None,
    as_of="2026-03-02T08:15:00Z",
    recorded="2026-03-02T08:15:02Z",
    policy_revision="sha256:0",
)
LIVE = ToolOutcome("tool", "Vendor", "Product", "1", "answered", None, "live")
SCORE = ToolOutcome("score", "RCP", "NEWS2", "2017", "answered", None, "fallback")
SEPSIS = Coding(display="Sepsis")


def mapped(finding: Finding, *tools: ToolOutcome, context: ResultContext = CONTEXT) -> Any:
    """The resource that one finding becomes."""
    bundle = result_bundle(context, [finding], [], tools or (LIVE, SCORE))
    return bundle["entry"][0]["resource"]


def finding(kind: Any = "risk", tool: str = "tool", **more: Any) -> Finding:
    return Finding(tool=tool, kind=kind, code=more.pop("code", SEPSIS), **more)


def of_type(bundle: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    resources = [entry["resource"] for entry in bundle["entry"]]
    return [resource for resource in resources if resource["resourceType"] == kind]


@pytest.mark.parametrize(
    ("probability", "expected"),
    [(0.87, 87), (0.07, 7), (0.29, 29), (0.575, 57.5), (0, 0), (1, 100), (0.1234, 12.34)],
)
def test_probability_becomes_an_exact_percentage(probability: float, expected: float) -> None:
    assert str(percentage(probability)) == str(expected)

    risk = mapped(finding(value=probability))

    assert risk["prediction"][0]["probabilityDecimal"] == expected


@pytest.mark.parametrize(
    "more",
    [
        {"value": 8, "scale": "NEWS2"},
        {"value": 1, "scale": "NEWS2"},
        {"value": 87.0, "scale": "0-100"},
        {"value": 0.5, "unit": "%"},
        {"value": 1.7},
        {"value": -0.2},
        {"value": "high"},
        {"value": None},
    ],
)
def test_what_is_no_probability_gets_no_percentage(more: dict[str, Any]) -> None:
    prediction = mapped(finding(**more))["prediction"][0]

    assert "probabilityDecimal" not in prediction


def test_fallback_points_are_words_and_never_a_percentage() -> None:
    risk = mapped(finding(tool="score", value=1, threshold_band="low", fallback=True))

    prediction = risk["prediction"][0]
    assert "probabilityDecimal" not in prediction
    assert prediction["qualitativeRisk"]["text"] == "1: low"
    assert prediction["qualitativeRisk"]["coding"][0]["code"] == "low"


def test_published_probability_of_a_fallback_is_a_percentage_when_its_unit_says_so() -> None:
    risk = mapped(finding(tool="score", value=0.052, unit="1", fallback=True))

    assert risk["prediction"][0]["probabilityDecimal"] == 5.2


def test_fallback_names_its_source_and_whom_it_stands_in_for() -> None:
    down = replace(LIVE, status="timed_out")

    risk = mapped(finding(tool="score", value=8, scale="NEWS2", fallback=True), down, SCORE)

    assert risk["method"] == {"text": "NEWS2 (RCP 2017)"}
    assert "It stands in for: tool." in risk["note"][0]["text"]
    assert "meta" not in risk


def test_answer_of_an_ai_tool_is_labelled_as_one() -> None:
    risk = mapped(finding(value=0.5))

    assert risk["meta"]["security"][0]["code"] == "AIAST"


def test_horizon_becomes_the_period_after_as_of() -> None:
    prediction = mapped(finding(value=0.5, horizon="3mo"))["prediction"][0]

    assert prediction["whenPeriod"] == {
        "start": "2026-03-02T08:15:00Z",
        "end": "2026-06-02T08:15:00Z",
    }


@pytest.mark.parametrize("horizon", ["soon", "P", "PT", "PT0H", "P99999Y", "", "6"])
def test_horizon_that_cannot_be_read_is_left_out(horizon: str) -> None:
    assert "whenPeriod" not in mapped(finding(value=0.5, horizon=horizon))["prediction"][0]


@pytest.mark.parametrize(
    ("polarity", "value", "code"), [("present", True, "POS"), ("absent", False, "NEG")]
)
def test_assertion_has_a_value_and_its_interpretation(
    polarity: Any, value: bool, code: str
) -> None:
    said = mapped(finding("assertion", polarity=polarity))

    assert said["valueBoolean"] is value
    assert said["interpretation"][0]["coding"][0]["code"] == code
    assert "dataAbsentReason" not in said


def test_indeterminate_has_no_value_and_says_why() -> None:
    said = mapped(finding("assertion", polarity="indeterminate"))

    assert "valueBoolean" not in said
    assert said["interpretation"][0]["coding"][0]["code"] == "IND"
    assert said["dataAbsentReason"]["coding"][0]["code"] == "unknown"


def test_assertion_without_polarity_is_never_absent() -> None:
    said = mapped(finding("assertion"))

    assert "valueBoolean" not in said
    assert "interpretation" not in said


@pytest.mark.parametrize("about", ["family", "history", "hypothetical", "Patient/other"])
def test_finding_about_someone_else_or_another_time_is_not_a_value_of_this_patient(
    about: str,
) -> None:
    said = mapped(finding("assertion", polarity="present", subject_context=about))

    assert "valueBoolean" not in said
    assert "interpretation" not in said
    assert said["modifierExtension"][0]["valueString"] == about


@pytest.mark.parametrize(
    ("stated", "status"),
    [(None, "preliminary"), ("entered-in-error", "entered-in-error"), ("superseded", "cancelled")],
)
def test_nothing_a_machine_says_is_final(stated: str | None, status: str) -> None:
    assert mapped(finding("assertion", polarity="present", status=stated))["status"] == status


def test_device_makes_an_observation_but_never_performs_it(answers: dict[str, Any]) -> None:
    bundle = answers["conflict"].bundle()

    for resource in of_type(bundle, "Observation") + of_type(bundle, "DiagnosticReport"):
        assert "performer" not in resource
        assert "resultsInterpreter" not in resource
    assert all("device" in observation for observation in of_type(bundle, "Observation"))


def test_picture_gets_one_preliminary_report_a_tool(answers: dict[str, Any]) -> None:
    bundle = answers["conflict"].bundle()

    reports = of_type(bundle, "DiagnosticReport")

    assert [len(report["result"]) for report in reports] == [2, 3]
    assert {report["status"] for report in reports} == {"preliminary"}
    assert reports[0]["imagingStudy"] == [{"reference": "ImagingStudy/cxr-1"}]


def test_every_tool_that_answered_has_one_provenance(named_answer: tuple[str, Any]) -> None:
    _, answer = named_answer

    made = of_type(answer.bundle(), "Provenance")

    answered = [t for t in answer.tools if t.status in ("answered", "partial")]
    assert len(made) == len(answered)


def test_every_result_is_the_target_of_exactly_one_provenance(
    named_answer: tuple[str, Any],
) -> None:
    _, answer = named_answer
    bundle = answer.bundle()
    apart = {"Device", "Provenance", "DetectedIssue", "OperationOutcome"}

    results = [e["fullUrl"] for e in bundle["entry"] if e["resource"]["resourceType"] not in apart]
    targets = [t["reference"] for p in of_type(bundle, "Provenance") for t in p["target"]]

    assert sorted(results) == sorted(targets)


def test_conflict_names_both_results_and_no_winner(answers: dict[str, Any]) -> None:
    bundle = answers["conflict"].bundle()
    urls = [entry["fullUrl"] for entry in bundle["entry"]]

    issue = of_type(bundle, "DetectedIssue")[1]

    assert [i["reference"] for i in issue["implicated"]] == [urls[1], urls[3]]
    assert [c["code"] for c in issue["code"]["coding"]] == ["assertion-contradiction", "VALIDAT"]
    assert issue["code"]["coding"][0]["system"] == "urn:careweir:conflict-type"
    assert issue["severity"] == "high"


def test_complete_answer_has_no_outcome_but_for_missing_inputs(answers: dict[str, Any]) -> None:
    (outcome,) = of_type(answers["complete"].bundle(), "OperationOutcome")

    (issue,) = outcome["issue"]
    assert issue["severity"] == "information"
    assert issue["details"]["text"] == "acme-sepsis went without: lactate."


def test_answer_in_full_has_no_outcome() -> None:
    bundle = result_bundle(CONTEXT, [finding(value=0.5)], [], [LIVE])

    assert of_type(bundle, "OperationOutcome") == []


def test_degraded_answer_says_what_is_missing_and_what_stands_in(answers: dict[str, Any]) -> None:
    (outcome,) = of_type(answers["degraded"].bundle(), "OperationOutcome")

    assert [(i["severity"], i["code"]) for i in outcome["issue"]] == [
        ("warning", "timeout"),
        ("warning", "exception"),
        ("warning", "incomplete"),
    ]


def test_late_tool_has_said_nothing_in_this_answer() -> None:
    late = replace(LIVE, status="late")

    bundle = result_bundle(CONTEXT, [], [], [late])

    assert [entry["resource"]["resourceType"] for entry in bundle["entry"]] == [
        "Device",
        "OperationOutcome",
    ]


def test_empty_answer_is_not_the_absence_of_anything(answers: dict[str, Any]) -> None:
    bundle = answers["proposals"].bundle()

    (silent,) = [r for r in of_type(bundle, "GuidanceResponse") if "reasonCode" not in r]

    assert "does not say that anything is absent" in silent["note"][0]["text"]


@pytest.mark.parametrize(
    ("action", "more", "resource_type"),
    [
        ("order", {}, "ServiceRequest"),
        ("do", {}, "ServiceRequest"),
        ("avoid", {}, "ServiceRequest"),
        ("start", {}, "GuidanceResponse"),
        ("approve", {}, "Task"),
        ("deny", {}, "Task"),
        (None, {}, "GuidanceResponse"),
        ("order", {"target": Coding(system=RXNORM, code="5224")}, "GuidanceResponse"),
    ],
)
def test_recommendation_is_a_proposal_only(
    action: str | None, more: dict[str, Any], resource_type: str
) -> None:
    made = mapped(finding("recommendation", action=action, **more))

    assert made["resourceType"] == resource_type
    assert made.get("intent", "proposal") == "proposal"
    assert made.get("doNotPerform", False) is (action == "avoid")


def test_vendor_scale_is_never_an_ai_confidence() -> None:
    own = mapped(finding(value=0.5, confidence=0.9, confidence_kind="vendor_scale"))
    told = mapped(finding(value=0.5, confidence=0.9, confidence_kind="detection"))
    bare = mapped(finding(value=0.5, confidence=0.9))

    assert own["extension"][0]["url"] == "urn:careweir:extension:vendor-scale-confidence"
    assert told["extension"][0]["url"].endswith("/AIconfidence")
    assert "extension" not in bare


def test_markup_of_a_vendor_does_not_come_alive() -> None:
    text = "<img src=x onerror=alert(1)> [more](http://example.org) ![x](http://example.org/p.png)"

    said = mapped(finding("assertion", polarity="present", explanation=(text,)))

    assert "<" not in said["note"][0]["text"]
    assert "](" not in said["note"][0]["text"]
    assert "text" not in said


def test_study_of_another_type_is_not_forced_into_derived_from() -> None:
    said = mapped(finding("assertion", polarity="present", study="DiagnosticReport/4"))

    assert "derivedFrom" not in said


def test_measurement_in_words_stays_words() -> None:
    said = mapped(finding("measurement", value="5,4", unit="mmol/L"))

    assert said["valueString"] == "5,4 mmol/L"
    assert "valueQuantity" not in said


def test_one_device_a_version_of_a_tool() -> None:
    found = [
        finding(value=0.5, tool_version="1"),
        finding(value=0.6, tool_version="2"),
        finding(value=0.7),
    ]

    bundle = result_bundle(CONTEXT, found, [], [LIVE])

    versions = [d["version"][0]["value"] for d in of_type(bundle, "Device") if "version" in d]
    assert versions == ["1", "2"]
    (provenance,) = of_type(bundle, "Provenance")
    assert len(provenance["agent"]) == 3


def test_long_or_odd_inference_ids_become_valid_and_stay_apart() -> None:
    first = mapped(finding(value=0.5), context=replace(CONTEXT, inference="x/" * 60))
    second = mapped(finding(value=0.5), context=replace(CONTEXT, inference="x/" * 61))

    assert len(first["id"]) <= 64
    assert first["id"] != second["id"]


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("Patient/123", {"reference": "Patient/123"}),
        ("urn:uuid:1f", {"reference": "urn:uuid:1f", "type": "Patient"}),
        ("Patient/a_b", {"type": "Patient", "identifier": {"value": "Patient/a_b"}}),
    ],
)
def test_patient_is_named_as_the_caller_names_them(subject: str, expected: Any) -> None:
    risk = mapped(finding(value=0.5), context=replace(CONTEXT, subject=subject))

    assert risk["subject"] == expected


def test_finding_of_a_shadow_tool_never_reaches_the_answer() -> None:
    shadow = replace(LIVE, mode="shadow")

    with pytest.raises(FhirInvalid, match="shadow"):
        result_bundle(CONTEXT, [finding(value=0.5)], [], [shadow])


def test_conflict_between_findings_that_are_not_there_is_refused() -> None:
    conflict = Conflict(type="x", between=(0, 1), severity="low", reason="r", rule="r")

    with pytest.raises(FhirInvalid, match="not there"):
        result_bundle(CONTEXT, [finding(value=0.5)], [conflict], [LIVE])


def test_resource_that_would_not_be_valid_never_leaves() -> None:
    bad = replace(CONTEXT, recorded="yesterday CANARY-7")

    with pytest.raises(FhirInvalid) as caught:
        result_bundle(bad, [finding(value=0.5)], [], [LIVE])

    assert "recorded" in str(caught.value)
    assert "CANARY" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("action", "value", "decision"),
    [
        ("approve", "A1", "approve (X12 306 A1)"),
        ("deny", "A3", "deny (X12 306 A3)"),
        (None, "A4", "nobody has decided (X12 306 A4)"),
        ("approve", "approve", "approve"),
        ("approve", None, "approve"),
    ],
)
def test_a_decision_waits_for_a_reviewer(
    action: str | None, value: str | None, decision: str
) -> None:
    knee = Coding(system=SNOMED, code="609588000", display="Total knee replacement")
    proposed = finding("recommendation", action=action, value=value, scale="X12 306", target=knee)

    made = mapped(proposed)

    assert (made["resourceType"], made["status"], made["intent"]) == (
        "Task",
        "requested",
        "proposal",
    )
    assert "preliminary" in made["businessStatus"]["text"]
    assert made["performerType"] == [{"text": "Utilisation reviewer"}]
    service, said = made["output"]
    assert service["valueCodeableConcept"]["coding"][0]["code"] == "609588000"
    assert said["valueString"] == decision


def test_a_withdrawn_decision_is_no_longer_asked_for() -> None:
    gone = mapped(finding("recommendation", action="approve", status="superseded"))

    assert gone["status"] == "cancelled"
    assert "businessStatus" not in gone


def test_only_codes_and_decisions_await_a_person() -> None:
    waiting = [
        finding("coding"),
        finding("recommendation", action="deny"),
        finding("recommendation", value="A4"),
    ]
    others = [
        finding("recommendation", action="order"),
        finding("recommendation"),
        finding("assertion", polarity="present"),
        finding("document", value="A note."),
    ]

    assert all(map(awaits_review, waiting))
    assert not any(map(awaits_review, others))
