"""What a made case is, and short ways to write findings."""

from __future__ import annotations

from typing import Any, NamedTuple

from careweir_fhir.model import ICD10CM, LOINC, Coding, Dose, Finding

Expected = tuple[str, str] | None


class Made(NamedTuple):
    """Two findings (or more), what must be said of them, and why.

    ``expect`` is (type, severity), or None where the detector must stay silent.
    """

    id: str
    why: str
    findings: tuple[Finding, ...]
    expect: Expected


def tool(number: int) -> dict[str, Any]:
    """Another tool for each number."""
    return {"tool": f"tool-{number}", "tool_version": "1.0"}


def said(number: int, words: str, polarity: str = "present", **more: Any) -> Finding:
    """An assertion in words or, where they look like one, by ICD-10-CM code."""
    code = Coding(system=ICD10CM, code=words) if _icd(words) else Coding(display=words)
    fields: dict[str, Any] = {"kind": "assertion", "study": "ImagingStudy/s1"}
    return Finding(**tool(number), **{**fields, "code": code, "polarity": polarity, **more})


def coded(number: int, code: str, **more: Any) -> Finding:
    """A code that a coding tool assigns."""
    fields: dict[str, Any] = {"kind": "coding", "encounter": "Encounter/e1"}
    return Finding(**tool(number), **{**fields, "code": Coding(system=ICD10CM, code=code), **more})


def measured(number: int, loinc: str, value: float | str, unit: str | None, **more: Any) -> Finding:
    """A reading of one specimen."""
    fields: dict[str, Any] = {"kind": "measurement", "specimen": "Specimen/1", "unit": unit}
    code = Coding(system=LOINC, code=loinc) if loinc[0].isdigit() else Coding(display=loinc)
    return Finding(**tool(number), **{**fields, "code": code, "value": value, **more})


def advised(number: int, action: str, target: str, dose: Dose | None = None) -> Finding:
    """A recommendation."""
    code = Coding(display=target)
    return Finding(**tool(number), kind="recommendation", code=code, target=code, action=action,
                   dose=dose, encounter="Encounter/e1")  # fmt: skip


def _icd(words: str) -> bool:
    return len(words) < 9 and words[0].isupper() and words[1:3].isalnum() and words[1].isdigit()
