"""Each rule of the validator: a resource that breaks it beside the same one that does not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from careweir_fhir.validate import FhirInvalid, check, problems
from support.whole_resources import (
    URL_A,
    VALID,
    Json,
    audit_event,
    bundle,
    consent,
    detected_issue,
    document,
    guidance,
    observation,
    outcome,
    parameters,
    provenance,
    report,
    request,
    risk,
    task,
)

GONE = object()
Edit = tuple[str, Any]


def edited(resource: Json, *edits: Edit) -> Json:
    """A copy with values set at dotted paths (``entry.0.fullUrl``); GONE removes."""
    made = copy.deepcopy(resource)
    for path, value in edits:
        *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        place: Any = made
        for step in steps:
            place = place[step]
        if value is GONE:
            del place[last]
        else:
            place[last] = value
    return made


# build, edits, rule, path of the problem
BROKEN: tuple[tuple[Callable[[], Json], tuple[Edit, ...], str, str], ...] = (
    # required bindings
    (risk, (("status", "done"),), "binding", "RiskAssessment.status"),
    (observation, (("status", "finall"),), "binding", "Observation.status"),
    (detected_issue, (("severity", "severe"),), "binding", "DetectedIssue.severity"),
    (detected_issue, (("status", "mitigated"),), "binding", "DetectedIssue.status"),
    (audit_event, (("action", "Z"),), "binding", "AuditEvent.action"),
    (audit_event, (("outcome", "1"),), "binding", "AuditEvent.outcome"),
    (outcome, (("issue.0.severity", "bad"),), "binding", "OperationOutcome.issue[0].severity"),
    (outcome, (("issue.0.code", "late"),), "binding", "OperationOutcome.issue[0].code"),
    (task, (("intent", "wish"),), "binding", "Task.intent"),
    (provenance, (("entity.0.role", "input"),), "binding", "Provenance.entity[0].role"),
    (bundle, (("type", "bag"),), "binding", "Bundle.type"),
    (document, (("docStatus", "draft"),), "binding", "DocumentReference.docStatus"),
    (
        observation,
        (("valueQuantity.comparator", "~"),),
        "binding",
        "Observation.valueQuantity.comparator",
    ),
    (report, (("text.status", "made"),), "binding", "DiagnosticReport.text.status"),
    # required elements and counts
    (risk, (("subject", GONE),), "required", "RiskAssessment.subject"),
    (audit_event, (("agent", []),), "required", "AuditEvent.agent"),
    (audit_event, (("agent.0.requestor", GONE),), "required", "AuditEvent.agent[0].requestor"),
    (provenance, (("target", []),), "required", "Provenance.target"),
    (provenance, (("agent.0.who", GONE),), "required", "Provenance.agent[0].who"),
    (outcome, (("issue", []),), "required", "OperationOutcome.issue"),
    (guidance, (("moduleUri", GONE),), "structure", "GuidanceResponse"),
    (task, (("output.0.valueString", GONE),), "structure", "Task.output[0]"),
    (risk, (("performer", [{"reference": "Device/1"}]),), "structure", "RiskAssessment.performer"),
    # structure
    (risk, (("colour", "red"),), "structure", "RiskAssessment.colour"),
    (observation, (("valueString", "x"),), "structure", "Observation"),
    (
        observation,
        (("valueQuantity.value", "CANARY"),),
        "format",
        "Observation.valueQuantity.value",
    ),
    # JSON types, which fhir.resources mends in silence
    (audit_event, (("agent.0.requestor", "true"),), "format", "AuditEvent.agent[0].requestor"),
    (audit_event, (("agent.0.requestor", 1),), "format", "AuditEvent.agent[0].requestor"),
    (observation, (("valueQuantity.value", "4"),), "format", "Observation.valueQuantity.value"),
    (observation, (("valueQuantity.value", True),), "format", "Observation.valueQuantity.value"),
    (
        risk,
        (("prediction.1.probabilityDecimal", "99"),),
        "format",
        "RiskAssessment.prediction[1].probabilityDecimal",
    ),
    (bundle, (("total", 1.5),), "format", "Bundle.total"),
    # dates, which fhir.resources also takes as numbers
    (task, (("authoredOn", 1_767_225_600),), "format", "Task.authoredOn"),
    (task, (("authoredOn", "2026-02-30"),), "format", "Task.authoredOn"),
    (task, (("authoredOn", "2026-01-01T00:00:00"),), "format", "Task.authoredOn"),
    (audit_event, (("recorded", "2026-01-01"),), "format", "AuditEvent.recorded"),
    (risk, (("meta", {"lastUpdated": "2026-01-01"}),), "format", "RiskAssessment.meta.lastUpdated"),
    (
        risk,
        (("prediction.0.whenPeriod.start", "now"),),
        "format",
        "RiskAssessment.prediction[0].whenPeriod.start",
    ),
    # ids
    (risk, (("id", "x" * 65),), "id", "RiskAssessment.id"),
    (risk, (("id", "inf_1"),), "id", "RiskAssessment.id"),
    # reference targets
    (
        observation,
        (("performer", [{"reference": "Device/1"}]),),
        "reference-target",
        "Observation.performer[0]",
    ),
    (risk, (("subject.reference", "Device/1"),), "reference-target", "RiskAssessment.subject"),
    (risk, (("subject", {"type": "Device"}),), "reference-target", "RiskAssessment.subject"),
    (risk, (("subject.reference", "the patient"),), "reference-shape", "RiskAssessment.subject"),
    (report, (("result.0.reference", "#none"),), "ref-1", "DiagnosticReport.result[0]"),
    (
        bundle,
        (("entry.0.resource.agent.0.who.reference", URL_A),),
        "reference-target",
        "Bundle.entry[0].resource.agent[0].who",
    ),
    (
        bundle,
        (("entry.0.resource.agent.0.who.reference", URL_A[:-1] + "f"),),
        "reference-unresolved",
        "Bundle.entry[0].resource.agent[0].who",
    ),
    # invariants of resources
    (
        risk,
        (("prediction.1.probabilityDecimal", 100.5),),
        "ras-2",
        "RiskAssessment.prediction[1].probabilityDecimal",
    ),
    (
        risk,
        (("prediction.0.probabilityRange.low.code", "1"),),
        "ras-1",
        "RiskAssessment.prediction[0].probabilityRange.low",
    ),
    (observation, (("dataAbsentReason", {"text": "x"}),), "obs-6", "Observation.dataAbsentReason"),
    (observation, (("component.0.code.coding.0.code", "2524-7"),), "obs-7", "Observation"),
    (
        observation,
        (("referenceRange.0", {"type": {"text": "x"}}),),
        "obs-3",
        "Observation.referenceRange[0]",
    ),
    (
        observation,
        (("component.0.referenceRange", [{"type": {"text": "x"}}]),),
        "obs-3",
        "Observation.component[0].referenceRange[0]",
    ),
    (request, (("code", GONE),), "prr-1", "ServiceRequest.orderDetail"),
    (task, (("lastModified", "2025-12-31T23:59:59Z"),), "inv-1", "Task.lastModified"),
    (parameters, (("parameter.0.part", [{"name": "b"}]),), "inv-1", "Parameters.parameter[0]"),
    (audit_event, (("entity.0.query", "YQ=="),), "sev-1", "AuditEvent.entity[0]"),
    (consent, (("policyRule", GONE),), "ppc-1", "Consent"),
    (
        report,
        (("contained.0.contained", [{"resourceType": "Device", "id": "x"}]),),
        "dom-2",
        "DiagnosticReport.contained[0]",
    ),
    (report, (("result", GONE),), "dom-3", "DiagnosticReport.contained[0]"),
    (report, (("contained.0.meta", {"versionId": "1"}),), "dom-4", "DiagnosticReport.contained[0]"),
    (
        report,
        (("contained.0.meta", {"security": [{"code": "R"}]}),),
        "dom-5",
        "DiagnosticReport.contained[0]",
    ),
    # invariants of datatypes
    (
        risk,
        (("prediction.0.probabilityRange.low.value", 30),),
        "rng-2",
        "RiskAssessment.prediction[0].probabilityRange",
    ),
    (
        risk,
        (("prediction.0.whenPeriod.end", "2025-01-01T00:00:00Z"),),
        "per-1",
        "RiskAssessment.prediction[0].whenPeriod",
    ),
    (observation, (("valueQuantity.system", GONE),), "qty-3", "Observation.valueQuantity"),
    (
        document,
        (("content.0.attachment.contentType", GONE),),
        "att-1",
        "DocumentReference.content[0].attachment",
    ),
    (guidance, (("extension.0.valueCode", GONE),), "ext-1", "GuidanceResponse.extension[0]"),
    (guidance, (("extension.0.url", GONE),), "required", "GuidanceResponse.extension[0].url"),
    # nothing empty
    (risk, (("note", []),), "ele-1", "RiskAssessment.note"),
    (risk, (("encounter", {}),), "ele-1", "RiskAssessment.encounter"),
    (risk, (("mitigation", None),), "ele-1", "RiskAssessment.mitigation"),
    (risk, (("mitigation", ""),), "ele-1", "RiskAssessment.mitigation"),
    # Bundle
    (bundle, (("total", 2),), "bdl-1", "Bundle.total"),
    (bundle, (("entry.0.search", {"mode": "match"}),), "bdl-2", "Bundle.entry[0].search"),
    (
        bundle,
        (("entry.0.request", {"method": "GET", "url": "x"}),),
        "bdl-3",
        "Bundle.entry[0].request",
    ),
    (bundle, (("type", "transaction"),), "bdl-3", "Bundle.entry[0].request"),
    (bundle, (("entry.0.response", {"status": "200"}),), "bdl-4", "Bundle.entry[0].response"),
    (bundle, (("type", "batch-response"),), "bdl-4", "Bundle.entry[0].response"),
    (bundle, (("entry.0.resource", GONE),), "bdl-5", "Bundle.entry[0]"),
    (bundle, (("entry.1.fullUrl", URL_A),), "bdl-7", "Bundle.entry"),
    (
        bundle,
        (("entry.0.fullUrl", "https://x.example.org/Provenance/p/_history/1"),),
        "bdl-8",
        "Bundle.entry[0].fullUrl",
    ),
    (bundle, (("entry.0.fullUrl", "Provenance/p"),), "full-url", "Bundle.entry[0].fullUrl"),
    (bundle, (("type", "document"),), "bdl-9", "Bundle.identifier"),
    (bundle, (("type", "document"),), "bdl-10", "Bundle.timestamp"),
    (bundle, (("type", "document"),), "bdl-11", "Bundle.entry"),
    (bundle, (("type", "message"),), "bdl-12", "Bundle.entry"),
    (bundle, (("entry", []),), "ele-1", "Bundle.entry"),
    (bundle, (("entry", {"resource": {}}),), "ele-1", "Bundle.entry"),
    (bundle, (("entry.1", "x"),), "ele-1", "Bundle.entry"),
    (bundle, (("entry.1.colour", "red"),), "structure", "Bundle.entry[1].colour"),
    (
        bundle,
        (("entry.1.resource", provenance() | {"id": "p"}),),
        "duplicate-id",
        "Bundle.entry",
    ),
    (bundle, (("entry.1.resource.status", "on"),), "binding", "Bundle.entry[1].resource.status"),
    (bundle, (("entry.0.colour", "red"),), "structure", "Bundle.entry[0].colour"),
    (bundle, (("colour", "red"),), "structure", "Bundle.colour"),
    (
        bundle,
        (("entry.1.resource", {"resourceType": "Bundle", "type": "collection"}),),
        "type-unknown",
        "Bundle.entry[1].resource",
    ),
    (
        bundle,
        (("entry.1.resource.resourceType", "Medication"),),
        "type-unknown",
        "Bundle.entry[1].resource",
    ),
)


@pytest.mark.parametrize("build", VALID, ids=lambda build: build.__name__)
def test_valid_resource_has_no_problem(build: Callable[[], Json]) -> None:
    assert problems(build()) == ()


@pytest.mark.parametrize(
    ("build", "edits", "rule", "path"),
    BROKEN,
    ids=lambda part: part if isinstance(part, str) else None,
)
def test_broken_resource_is_caught_by_its_rule(
    build: Callable[[], Json], edits: tuple[Edit, ...], rule: str, path: str
) -> None:
    found = problems(edited(build(), *edits))

    assert (path, rule) in [(problem.path, problem.rule) for problem in found]


def test_every_resource_type_that_is_broken_here_is_also_shown_whole() -> None:
    assert {case[0] for case in BROKEN} <= set(VALID)


def test_message_of_an_invalid_resource_never_holds_a_value() -> None:
    broken = edited(risk(), ("status", "CANARY-1"), ("prediction.1.probabilityDecimal", "CANARY-2"))

    with pytest.raises(FhirInvalid) as caught:
        check(broken)

    assert "CANARY" not in str(caught.value)
    assert "CANARY" not in repr(caught.value.problems)
    assert len(caught.value.problems) == 2


def test_history_may_hold_two_versions_of_one_resource() -> None:
    request = {"method": "PUT", "url": "Provenance/p"}
    response = {"status": "200"}
    entries = [
        {
            "fullUrl": URL_A,
            "resource": provenance() | {"id": "p", "meta": {"versionId": version}},
            "request": request,
            "response": response,
        }
        for version in ("1", "2")
    ]

    assert problems({"resourceType": "Bundle", "type": "history", "entry": entries}) == ()


@pytest.mark.parametrize("kind", ["Patient", "Quantity", "Nonsense", ""])
def test_type_that_careweir_does_not_emit_does_not_leave(kind: str) -> None:
    (problem,) = problems({"resourceType": kind, "id": "1"})

    assert problem.rule == "type-unknown"
