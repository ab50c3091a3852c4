"""A whole answer as one FHIR R4 Bundle: results, their makers, conflicts, what is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from careweir_fhir.context import Place, ResultContext, ToolOutcome
from careweir_fhir.detected_issue import detected_issue
from careweir_fhir.device import gateway_device, provenance, tool_device
from careweir_fhir.elements import Json
from careweir_fhir.identity import GATEWAY_DEVICE, device_id, full_url, resource_id
from careweir_fhir.model import Conflict, Finding, FindingKind
from careweir_fhir.observation import diagnostic_report, is_imaging, observation
from careweir_fhir.operation_outcome import missing_issues, operation_outcome
from careweir_fhir.proposal import (
    answered_without_findings,
    document_reference,
    flag,
    recommendation,
    review_task,
)
from careweir_fhir.risk import risk_assessment
from careweir_fhir.validate import FhirInvalid, Problem, check

__all__ = ["FhirInvalid", "ResultContext", "ToolOutcome", "result_bundle"]

_MAPPERS: dict[FindingKind, Callable[[Finding, Place], Json]] = {
    "risk": risk_assessment,
    "assertion": observation,
    "measurement": observation,
    "recommendation": recommendation,
    "triage": flag,
    "document": document_reference,
    "coding": review_task,
}
# A late answer is kept apart: without its findings here, it has said nothing in this answer.
_ANSWERED = frozenset({"answered", "partial"})


def result_bundle(
    context: ResultContext,
    findings: Sequence[Finding],
    conflicts: Sequence[Conflict],
    tools: Sequence[ToolOutcome],
) -> Json:
    """Map an answer and check it.

    Args:
        context: the question; its references are the caller's own.
        findings: of live tools and fallbacks only, in the order that conflicts count in.
        conflicts: ``between`` holds positions in ``findings``.
        tools: every tool of the answer; each finding's tool must be among them.

    Returns:
        A Bundle of type ``collection`` in plain dicts, in this order: results and reports, one
        DetectedIssue a conflict, one Provenance a tool that answered, Devices, and an
        OperationOutcome where something is missing. The same input gives the same Bundle.

    Raises:
        FhirInvalid: a defect of ours: a resource that R4 does not allow, a finding of a shadow
            tool or of one that was not asked, a conflict between findings that are not there.
    """
    _check_input(findings, conflicts, tools)
    answer = _Answer(context, tuple(tool for tool in tools if tool.mode != "shadow"))
    for position, finding in enumerate(findings):
        answer.add_finding(position, finding)
    for ordinal, tool in enumerate(answer.tools):
        answer.add_maker(ordinal, tool, findings)
    for position, conflict in enumerate(conflicts):
        answer.add_conflict(position, conflict)
    bundle = answer.bundle()
    check(bundle)
    return bundle


def _check_input(
    findings: Sequence[Finding], conflicts: Sequence[Conflict], tools: Sequence[ToolOutcome]
) -> None:
    named = {tool.tool for tool in tools if tool.mode != "shadow"}
    if any(finding.tool not in named for finding in findings):
        raise _defect("findings", "a finding of a shadow tool or of a tool that was not asked")
    positions = range(len(findings))
    if any(index not in positions for conflict in conflicts for index in conflict.between):
        raise _defect("conflicts", "a conflict between findings that are not there")
    if len({tool.tool for tool in tools}) != len(tools):
        raise _defect("tools", "one tool twice")


def _defect(path: str, text: str) -> FhirInvalid:
    return FhirInvalid((Problem(path, "input", text),))


@dataclass(slots=True)
class _Answer:
    """Collects the resources of one answer; lives for one call of ``result_bundle``."""

    context: ResultContext
    tools: tuple[ToolOutcome, ...]
    results: list[Json] = field(default_factory=list)
    issues: list[Json] = field(default_factory=list)
    provenances: list[Json] = field(default_factory=list)
    devices: dict[str, Json] = field(default_factory=dict)
    urls: list[str] = field(default_factory=list)  # the fullUrl of each finding's result

    @property
    def gateway(self) -> str:
        """The fullUrl of the gateway's Device."""
        return full_url("Device", GATEWAY_DEVICE)

    def add_finding(self, position: int, finding: Finding) -> None:
        """Add the result that says what one finding says."""
        tool = next(tool for tool in self.tools if tool.tool == finding.tool)
        place = self._place(f"f{position}", tool, finding.tool_version)
        self.urls.append(self._add(_MAPPERS[finding.kind](finding, place)))

    def add_maker(self, ordinal: int, tool: ToolOutcome, findings: Sequence[Finding]) -> None:
        """Add the report of one tool, where it has one, and the Provenance of all it made."""
        own = [(at, finding) for at, finding in enumerate(findings) if finding.tool == tool.tool]
        if not own and tool.status not in _ANSWERED:
            return
        place = self._place(f"r{ordinal}", tool, own[0][1].tool_version if own else None)
        made = [self.urls[at] for at, _ in own]
        seen = [
            self.urls[at]
            for at, finding in own
            if _MAPPERS[finding.kind] is observation and is_imaging(finding, place)
        ]
        if seen:
            made.append(self._add(diagnostic_report(place, seen)))
        elif not own:
            made.append(self._add(answered_without_findings(place)))
        authors = [self._device(tool, finding.tool_version) for _, finding in own]
        self.provenances.append(
            provenance(
                self._id(f"p{ordinal}"),
                self.context,
                tool,
                targets=made,
                authors=list(dict.fromkeys(authors or [place.device])),
                gateway=self.gateway,
            )
        )

    def add_conflict(self, position: int, conflict: Conflict) -> None:
        """Add one DetectedIssue."""
        self.issues.append(
            detected_issue(
                self._id(f"c{position}"),
                conflict,
                self.context,
                implicated=[self.urls[index] for index in dict.fromkeys(conflict.between)],
                gateway=self.gateway,
            )
        )

    def bundle(self) -> Json:
        """Everything that was added, as one collection."""
        resources = [*self.results, *self.issues, *self.provenances, *self.devices.values()]
        resources.append(gateway_device())
        if missing := missing_issues(self.tools):
            resources.append(operation_outcome(missing) | {"id": self._id("missing")})
        return {
            "resourceType": "Bundle",
            "id": self._id("bundle"),
            "type": "collection",
            "timestamp": self.context.recorded,
            "entry": [{"fullUrl": _url(r), "resource": r} for r in resources],
        }

    def _place(self, part: str, tool: ToolOutcome, version: str | None) -> Place:
        stands_in_for = self._missing() if tool.mode == "fallback" else ()
        device = self._device(tool, version)
        return Place(self._id(part), device, tool, self.context, stands_in_for)

    def _missing(self) -> tuple[str, ...]:
        """The tools that were to answer and did not."""
        live = (tool for tool in self.tools if tool.mode == "live")
        return tuple(tool.tool for tool in live if tool.status not in _ANSWERED)

    def _device(self, tool: ToolOutcome, version: str | None) -> str:
        stated = version or tool.version
        url = full_url("Device", device_id(tool.tool, stated))
        if url not in self.devices:
            self.devices[url] = tool_device(tool, stated)
        return url

    def _add(self, resource: Json) -> str:
        self.results.append(resource)
        return _url(resource)

    def _id(self, part: str) -> str:
        return resource_id(self.context.inference, part)


def _url(resource: Json) -> str:
    return full_url(resource["resourceType"], resource["id"])
