"""``careweir minimise``: exactly what a tool would receive, and why not more. Sends nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from careweir.access import Decision, PolicySet
from careweir.minimise.chart import read_chart
from careweir.minimise.manifest import Manifest
from careweir.minimise.minimise import minimise
from careweir_kit.tool import Tool

_FORMS: Final = {
    "pseudonymise": "under a pseudonym",
    "redact_text": "with identifiers scrubbed",
    "age_years": "as an age in years",
    "age_band": "as an age band of ten years",
    "year": "as a year",
    "postal_3": "as its first three digits",
    "lead_days": "as the number of days from its booking",
    "shift_dates": "moved by the same number of days as all its dates",
}
EXIT_SENT = 0
EXIT_DENIED = 3


def minimise_document(
    bundle: bytes,
    *,
    role: str,
    purpose: str,
    tool: Tool,
    policies: PolicySet,
    site: str | None,
    as_of: datetime | None,
    explain: bool,
    break_glass: bool = False,
) -> tuple[dict[str, Any], int]:
    """The document that the command prints, and its exit code (0, or 3 when denied).

    The subject is the one Patient of the Bundle. Pseudonyms are the same for every run, so that
    two outputs can be compared; a real disclosure draws its own. Raises QuestionInvalid.
    """
    chart = read_chart(bundle, subject=None)
    decision = decide_for_tool(
        policies, tool, role=role, purpose=purpose, site=site, break_glass=break_glass
    )
    minimised = minimise(
        chart,
        tool,
        decision,
        subject_pseudonym="subject",
        pseudonyms=numbered(),
        as_of=as_of or datetime.now(UTC),
        study=None,
        purpose=purpose,
        role=role,
        site=site,
    )
    document: dict[str, Any] = {
        "payload": minimised.payload,
        "manifest": minimised.manifest.model_dump(mode="json"),
    }
    if explain:
        document["explain"] = explanation(decision, minimised.manifest)
    return document, EXIT_SENT if minimised.payload is not None else EXIT_DENIED


def decide_for_tool(
    policies: PolicySet,
    tool: Tool,
    *,
    role: str,
    purpose: str,
    site: str | None,
    break_glass: bool = False,
) -> Decision:
    """The decision for the first capability of the tool that is permitted, else for its first."""
    decisions = [
        policies.decide(
            role=role, purpose=purpose, capability=capability, site=site, break_glass=break_glass
        )
        for capability in tool.capabilities
    ]
    return next((one for one in decisions if one.effect == "permit"), decisions[0])


def numbered() -> Callable[[str, str], str]:
    """Pseudonyms by order of first use: ``encounter-1``, ``encounter-2`` …"""
    seen: dict[tuple[str, str], str] = {}
    counts: dict[str, int] = {}

    def pseudonym(kind: str, real: str) -> str:
        if (kind, real) not in seen:
            counts[kind] = counts.get(kind, 0) + 1
            seen[kind, real] = f"{kind.lower()}-{counts[kind]}"
        return seen[kind, real]

    return pseudonym


def explanation(decision: Decision, manifest: Manifest) -> list[str]:
    """The manifest in sentences: the rules that decided, what goes, what stays and why."""
    verb = {"permit": "Permitted", "deny": "Denied"}[decision.effect]
    lines = [f"{verb}: {rule}." for rule in decision.because]
    if decision.break_glass:
        lines.append(
            "This is an emergency override: it is flagged and listed for the privacy officer."
        )
    if manifest.sent:
        lines.append(f"{manifest.tool} receives {', '.join(manifest.sent)}.")
    else:
        lines.append(f"{manifest.tool} receives nothing.")
    lines += [f"{row.path} leaves {_FORMS[row.transform]}." for row in manifest.transformed]
    lines += [
        f"{row.path} stays here, {row.count} times: {row.rule} ({row.reason})."
        if row.count > 1
        else f"{row.path} stays here: {row.rule} ({row.reason})."
        for row in manifest.withheld
    ]
    return lines
