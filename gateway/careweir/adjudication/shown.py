"""A dispute as callers see it: JSON, and FHIR."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from careweir.access.readers import READERS
from careweir.adjudication.dispute import Dispute
from careweir.adjudication.policy import AdjudicationPolicy
from careweir_fhir.adjudicated import Adjudicated, Step, adjudicated_bundle
from careweir_fhir.bundle import ResultContext, ToolOutcome
from careweir_fhir.model import Conflict, Finding
from careweir_kit.tool import Tool


def as_json(dispute: Dispute, role: str) -> dict[str, Any]:
    """The whole dispute; auditors see who did what and when, and nothing that a tool said."""
    ruling = dispute.ruling
    body: dict[str, Any] = {
        "id": dispute.id,
        "type": dispute.type,
        "severity": dispute.severity,
        "state": dispute.state,
        "queue": dispute.queue,
        "escalated": dispute.escalated,
        "override": dispute.override,
        "opened": dispute.opened,
        "due": dispute.due,
        "claimed_by": dispute.claimed_by,
        "site": dispute.site,
        "rule": dispute.rule,
        "tools": list(dispute.tools),
        "capabilities": sorted(dispute.capabilities),
        "verdict": ruling.verdict if ruling else None,
        "preferred_finding": ruling.preferred_finding if ruling else None,
        "history": [_event(event, role) for event in msgspec.to_builtins(dispute.history)],
    }
    if role in READERS:
        return body
    return body | {
        "subject": dispute.subject,
        "encounter": dispute.encounter,
        "study": dispute.study,
        "reasons": list(dispute.reasons),
        "findings": [
            {
                "finding": side.finding,
                "inference": side.inference,
                "capability": side.capability,
                "without": [{"path": path, "reason": reason} for path, reason in side.without],
            }
            for side in dispute.sides
        ],
    }


def _event(event: dict[str, Any], role: str) -> dict[str, Any]:
    return {k: v for k, v in event.items() if not (role in READERS and k == "rationale")}


def as_fhir(
    dispute: Dispute, tools: Mapping[str, Tool], policy: AdjudicationPolicy
) -> dict[str, Any]:
    """The dispute as a Bundle; raises FhirInvalid on a defect of ours."""
    findings = [Finding.model_validate(side.finding) for side in dispute.sides]
    context = ResultContext(
        inference=dispute.id,
        capability=dispute.sides[0].capability,
        subject=dispute.subject,
        encounter=dispute.encounter,
        study=dispute.study,
        as_of=dispute.opened,
        recorded=dispute.opened,
        policy_revision="adjudication",
    )
    steps = [
        Step(event.at, event.action, event.actor, _title(event.verdict, policy), event.rationale)
        for event in dispute.history
        if event.actor is not None
    ]
    return adjudicated_bundle(
        Adjudicated(
            conflict=Conflict(
                type=dispute.type,
                between=tuple(range(len(findings))),
                severity=dispute.severity,
                reason=" | ".join(dispute.reasons),
                rule=dispute.rule,
            ),
            findings=findings,
            tools=[_outcome(name, findings, tools) for name in dispute.tools],
            context=context,
            state=dispute.state,
            opened=dispute.opened,
            due=dispute.due,
            owner=steps[-1].actor if steps and dispute.state != "open" else None,
            steps=steps,
        )
    )


def _title(verdict: str | None, policy: AdjudicationPolicy) -> str | None:
    known = policy.verdicts.get(verdict) if verdict else None
    return known.title if known else verdict


def _outcome(name: str, findings: list[Finding], tools: Mapping[str, Tool]) -> ToolOutcome:
    tool = tools.get(name)
    said = next(finding for finding in findings if finding.tool == name)
    return ToolOutcome(
        tool=name,
        vendor=tool.vendor if tool else "unknown",
        product=tool.product if tool else name,
        version=said.tool_version,
        status="answered",
        reason=None,
        mode="fallback" if said.fallback else "live",
    )
