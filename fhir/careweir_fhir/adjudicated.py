"""A conflict with what people did about it: DetectedIssue, Task, Provenance, and the results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from careweir_fhir import systems
from careweir_fhir.bundle import ResultContext, ToolOutcome, result_bundle
from careweir_fhir.elements import Json, coded, compact, inert, patient, reference, to, words
from careweir_fhir.identity import GATEWAY_DEVICE, full_url, resource_id
from careweir_fhir.model import Conflict, Finding, Severity
from careweir_fhir.validate import check

_TASK_CODE = "http://hl7.org/fhir/CodeSystem/task-code"
# Source: HL7 v3 ActCode, ActDetectedIssueManagementCode.
_OTHER_ACTION = ("8", "Other Action Taken")
_PRIORITY: dict[Severity, str] = {"high": "urgent", "moderate": "asap", "low": "routine"}
_TASK_STATUS = {"open": "requested", "claimed": "in-progress", "settled": "completed"}


@dataclass(frozen=True, slots=True)
class Step:
    """Something that a person did; ``verdict`` and ``rationale`` are what they gave."""

    at: str
    action: str
    actor: str
    verdict: str | None = None
    rationale: str | None = None


@dataclass(frozen=True, slots=True)
class Adjudicated:
    """A conflict on its way to a verdict. ``steps`` are people's, oldest first."""

    conflict: Conflict
    findings: Sequence[Finding]
    tools: Sequence[ToolOutcome]
    context: ResultContext
    state: Literal["open", "claimed", "settled"]
    opened: str
    due: str
    owner: str | None
    steps: Sequence[Step]


def adjudicated_bundle(case: Adjudicated) -> Json:
    """Map a conflict, the findings it is between, the work of settling it and who did what.

    Source: FHIR R4 DetectedIssue (its status has no ``mitigated``: a settled one is ``final`` and
    carries ``mitigation``), Task, Provenance. Raises FhirInvalid: a defect of ours.
    """
    bundle = result_bundle(case.context, case.findings, [case.conflict], case.tools)
    issue = next(
        entry["resource"]
        for entry in bundle["entry"]
        if entry["resource"]["resourceType"] == "DetectedIssue"
    )
    url = full_url("DetectedIssue", issue["id"])
    ruling = next((step for step in reversed(case.steps) if step.action == "settled"), None)
    issue["identifiedDateTime"] = case.opened
    if case.state == "settled" and ruling is not None:
        issue["status"] = "final"
        issue["mitigation"] = [_mitigation(ruling)]
    added = [_task(case, url, ruling), *_provenances(case, url)]
    bundle["entry"] += [
        {"fullUrl": full_url(one["resourceType"], one["id"]), "resource": one} for one in added
    ]
    check(bundle)
    return bundle


def _mitigation(ruling: Step) -> Json:
    code, display = _OTHER_ACTION
    said = f"{ruling.verdict}: {ruling.rationale}"
    return compact(
        action=coded(systems.ACT_CODE, code, display, text=words(said)),
        date=ruling.at,
        author=_person(ruling.actor),
    )


def _task(case: Adjudicated, issue: str, ruling: Step | None) -> Json:
    settled = case.state == "settled" and ruling is not None
    modified = case.steps[-1].at if case.steps else case.opened
    return compact(
        resourceType="Task",
        id=resource_id(case.context.inference, "settle"),
        status=_TASK_STATUS[case.state],
        intent="order",
        priority=_PRIORITY[case.conflict.severity],
        code=coded(_TASK_CODE, "fulfill", text="Settle a conflict between tools"),
        focus=to(issue),
        for_=patient(case.context.subject),
        authoredOn=case.opened,
        lastModified=max(modified, case.opened),
        requester=to(full_url("Device", GATEWAY_DEVICE)),
        owner=_person(case.owner) if case.owner else None,
        restriction={"period": {"end": case.due}},
        output=[{"type": {"text": "verdict"}, "valueString": ruling.verdict}]
        if settled and ruling is not None
        else None,
    )


def _provenances(case: Adjudicated, issue: str) -> list[Json]:
    return [
        compact(
            resourceType="Provenance",
            id=resource_id(case.context.inference, f"by{number}"),
            target=[to(issue)],
            recorded=step.at,
            activity=coded(systems.DATA_OPERATION, "UPDATE", "revise", text=step.action),
            reason=[{"text": inert(step.rationale)}] if step.rationale else None,
            agent=[
                {
                    "type": coded(systems.PARTICIPANT, "verifier", "Verifier"),
                    "who": _person(step.actor),
                }
            ],
        )
        for number, step in enumerate(case.steps)
    ]


def _person(actor: str) -> Json:
    """A Practitioner as the token names one, else what the token names as an identifier."""
    return reference(actor, "Practitioner") or {
        "type": "Practitioner",
        "identifier": {"value": words(actor) or "unknown"},
    }
