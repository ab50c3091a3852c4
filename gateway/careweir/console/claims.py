"""A finding and a deadline in a clinician's words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from careweir.console.words import counted
from careweir_fhir.model import ICD10CM, LOINC, RADLEX, SNOMED

Finding = Mapping[str, Any]
_SYSTEMS = {ICD10CM: "ICD-10-CM", LOINC: "LOINC", RADLEX: "RadLex", SNOMED: "SNOMED CT"}
_TONES = {"high": "bad", "moderate": "warn", "low": "plain"}


def severity_tone(severity: str) -> str:
    """The colour of a severity."""
    return _TONES.get(severity, "plain")


def concept_of(finding: Finding) -> str:
    """What a finding is about."""
    code = finding.get("target") or finding.get("code") or {}
    return str(code.get("display") or code.get("code") or "not named")


def claim_of(finding: Finding) -> str:
    """What a finding says, as briefly as it can be said."""
    value, unit = finding.get("value"), finding.get("unit")
    if finding.get("action"):
        dose = finding.get("dose")
        how_much = f" {_number(dose['value'])} {dose['unit']}" if dose else ""
        return f"{finding['action']}{how_much}"
    if finding.get("polarity"):
        side = finding.get("laterality")
        return f"{finding['polarity']}, {side}" if side else str(finding["polarity"])
    if finding.get("kind") == "coding":
        return str((finding.get("code") or {}).get("code") or "a code")
    if value is None:
        return str(finding.get("threshold_band") or "no value")
    scale = f"{finding['scale']} " if finding.get("scale") else ""
    shown_unit = f" {unit}" if unit and unit != "1" else ""
    return f"{scale}{_number(value)}{shown_unit}"


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def details_of(finding: Finding) -> list[tuple[str, str]]:
    """The rest of what a finding says: name and words."""
    site = finding.get("body_site")
    place = site.get("display") or site.get("code") if isinstance(site, Mapping) else site
    interval = finding.get("interval")
    sure = finding.get("confidence")
    kind = str(finding.get("confidence_kind") or "none").replace("_", " ")
    facts = [
        ("Side", finding.get("laterality")),
        ("Place", place),
        ("Within", finding.get("horizon")),
        ("Band", finding.get("threshold_band")),
        ("Interval", f"{_number(interval[0])} to {_number(interval[1])}" if interval else None),
        ("Confidence", f"{sure:.0%} ({kind})" if isinstance(sure, int | float) else None),
        ("Whose", finding.get("subject_context")),
        ("Specimen", finding.get("specimen")),
        ("Unsure", "its code could not be checked" if finding.get("verified") is False else None),
        ("Lacks", "part of its answer" if finding.get("completeness") == "partial" else None),
    ]
    return [(name, str(said)) for name, said in facts if said]


def evidence_of(finding: Finding) -> list[str]:
    """What a tool gives as its reasons: the words that it read, then what it says of them."""
    span = finding.get("span")
    words = [f"“{span['text']}”"] if isinstance(span, Mapping) and span.get("text") else []
    return [*words, *(str(line) for line in (finding.get("explanation") or ())[:12])]


def moment_of(text: str | None) -> str:
    """When a finding was, to the minute; as it was given where it is no moment of ours."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return text or "not stated"
    return moment.strftime("%-d %b %Y, %H:%M %Z").strip()


def system_of(system: str | None) -> str:
    """The short name of a code system."""
    return _SYSTEMS.get(system or "", system or "no system")


def due_in(due: str, now: datetime) -> str:
    """``due in 43 minutes``, ``12 minutes overdue``."""
    minutes = int((datetime.fromisoformat(due) - now).total_seconds() // 60)
    late, away = minutes < 0, abs(minutes)
    for size, unit in ((1440, "day"), (60, "hour"), (1, "minute")):
        if away >= size:
            span = counted(away // size, unit)
            return f"{span} overdue" if late else f"due in {span}"
    return "overdue" if late else "due now"
