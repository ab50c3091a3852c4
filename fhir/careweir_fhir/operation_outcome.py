"""What is missing from an answer, and what went wrong: OperationOutcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from careweir_fhir import systems
from careweir_fhir.context import ToolOutcome, ToolStatus
from careweir_fhir.elements import Json, compact

IssueSeverity = Literal["fatal", "error", "warning", "information"]
# Source: FHIR R4 IssueType: those that careweir uses.
IssueCode = Literal[
    "invalid",
    "structure",
    "required",
    "value",
    "invariant",
    "login",
    "expired",
    "forbidden",
    "suppressed",
    "processing",
    "not-supported",
    "duplicate",
    "multiple-matches",
    "not-found",
    "deleted",
    "too-long",
    "code-invalid",
    "too-costly",
    "business-rule",
    "conflict",
    "transient",
    "no-store",
    "exception",
    "timeout",
    "incomplete",
    "throttled",
    "informational",
]


@dataclass(frozen=True, slots=True)
class Issue:
    """One issue. ``text`` is our own words; ``expression`` is FHIRPath into what was sent.

    ``location`` names parameters of the address, as R4 has it: ``http.`` and the name. ``coding``
    is (system, code) for programs, where one issue type is not enough.
    """

    severity: IssueSeverity
    code: IssueCode
    text: str
    expression: tuple[str, ...] = ()
    coding: tuple[str, str] | None = None
    location: tuple[str, ...] = ()


def operation_outcome(issues: Sequence[Issue]) -> Json:
    """An OperationOutcome of one or more issues; R4 knows none without."""
    assert issues, "an OperationOutcome needs an issue"
    return {"resourceType": "OperationOutcome", "issue": [_issue(issue) for issue in issues]}


def _issue(issue: Issue) -> Json:
    system, code = issue.coding or (None, None)
    named = compact(system=system, code=code)
    return compact(
        severity=issue.severity,
        code=issue.code,
        details=compact(coding=[named] if named else None, text=issue.text),
        location=list(issue.location),
        expression=list(issue.expression),
    )


@dataclass(frozen=True, slots=True)
class _Fate:
    severity: IssueSeverity
    code: IssueCode
    words: str


# Source: FHIR R4 IssueType definitions; the choice for each status is ours.
_FATES: dict[ToolStatus, _Fate] = {
    "partial": _Fate("warning", "incomplete", "answered in part"),
    "late": _Fate("warning", "timeout", "answered after the deadline"),
    "timed_out": _Fate("warning", "timeout", "did not answer in time"),
    "unavailable": _Fate("warning", "transient", "could not be reached"),
    "throttled": _Fate("warning", "throttled", "asked to be left alone for a while"),
    "refused": _Fate("warning", "processing", "declined to answer"),
    "protocol_error": _Fate("warning", "exception", "answered in a form that cannot be read"),
    "wrong_patient": _Fate("error", "exception", "answered about another patient; set aside"),
    "circuit_open": _Fate("warning", "transient", "was not asked: it has failed too often lately"),
    "overloaded": _Fate("warning", "transient", "was not asked: too many calls are under way"),
    "withheld_by_policy": _Fate("information", "forbidden", "was not asked: policy forbids it"),
    "not_in_rollout": _Fate("information", "business-rule", "was not asked: not in use here yet"),
    "unknown": _Fate("warning", "incomplete", "was asked; whether it answered is not known"),
}


def missing_issues(tools: Sequence[ToolOutcome]) -> list[Issue]:
    """What the reader of an answer must know that it does not hold; shadow tools do not count."""
    return [issue for tool in tools if tool.mode != "shadow" for issue in _tool_issues(tool)]


def _tool_issues(tool: ToolOutcome) -> list[Issue]:
    said = []
    fate = _FATES.get(tool.status)
    if fate is not None:
        reason = f" ({tool.reason})" if tool.reason else ""
        said.append(_about(tool, fate.severity, fate.code, f"{fate.words}{reason}"))
    if tool.mode == "fallback" and tool.status in ("answered", "partial"):
        words = "stands in as a fallback: a published score, not the answer of an AI tool"
        said.append(_about(tool, "warning", "incomplete", words))
    if tool.without:
        words = f"went without: {', '.join(tool.without)}"
        said.append(_about(tool, "information", "incomplete", words))
    return said


def _about(tool: ToolOutcome, severity: IssueSeverity, code: IssueCode, words: str) -> Issue:
    text = f"{tool.tool} {words}."
    return Issue(severity, code, text, coding=(systems.TOOL_STATUS, tool.status.replace("_", "-")))
