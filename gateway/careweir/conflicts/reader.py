"""JSON Lines in, JSON Lines out: a lenient reader for cases that come from anywhere.

A finding key that we do not know is ignored and a missing optional one is fine. A finding that
cannot be read is named and left out; a line that cannot be read gives an error line, and the
stream goes on. Errors carry our words only, never a value of the input.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import ValidationError

from careweir.conflicts.engine import detect
from careweir.conflicts.rulebook import RuleBook
from careweir.conflicts.words import number_from_text, plain
from careweir_fhir.model import ICD10CM, LOINC, RADLEX, RXNORM, Coding, Finding
from careweir_kit.strict_json import JsonRefused, decode

MEMBERS_MAX = 10_000_000  # of one line: a hundred thousand findings with every field, three times
_UNUSED = {"span", "explanation", "completeness", "fallback", "verified"}  # no rule asks for them
_FIELDS = frozenset(Finding.model_fields) - _UNUSED
_POLARITY = {
    "present": "present", "positive": "present", "affirmed": "present", "true": "present",
    "absent": "absent", "negative": "absent", "negated": "absent", "false": "absent",
    "indeterminate": "indeterminate", "uncertain": "indeterminate", "possible": "indeterminate",
    "unknown": "indeterminate", "equivocal": "indeterminate",
}  # fmt: skip
_LATERALITY = {
    "r": "right", "rt": "right", "right": "right", "l": "left", "lt": "left", "left": "left",
    "b": "bilateral", "both": "bilateral", "bilateral": "bilateral", "bilat": "bilateral",
    "none": "none", "midline": "none", "unknown": "unknown",
    "od": "right", "os": "left", "ou": "bilateral",  # eyes
    "24028007": "right", "7771000": "left", "51440002": "bilateral",  # SNOMED CT
}  # fmt: skip
_MAPPED = (ICD10CM, LOINC, RXNORM, RADLEX)  # of several codings, one that the tables know
_NUMBERS = ("confidence",)


class LineUnreadable(ValueError):
    """A line that is no case; ``code`` is stable, the text is ours."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def detect_lines(lines: Iterable[bytes], rules: RuleBook) -> Iterator[dict[str, Any]]:
    """One answer a line: ``{"id", "conflicts": [...]}`` or ``{"id", "error": {...}}``.

    ``unreadable`` is added where findings of the case could not be read: their positions.
    """
    for line in lines:
        if not line.strip():
            continue
        case_id, case, problem = _open(line)
        if problem is not None:
            yield {"id": case_id, "error": {"code": problem.code, "detail": problem.detail}}
            continue
        yield answer_case(case_id, case, rules)


def _open(line: bytes) -> tuple[Any, dict[str, Any], LineUnreadable | None]:
    case: Any = {}
    try:
        case = decode(line.strip().removeprefix(b"\xef\xbb\xbf"), members_max=MEMBERS_MAX)
    except JsonRefused as error:
        return None, {}, LineUnreadable("not_json", str(error))
    if not isinstance(case, dict):
        return None, {}, LineUnreadable("not_a_case", "the line is not a JSON object")
    case_id = case.get("id")
    if not isinstance(case_id, str | int) and case_id is not None:
        return None, {}, LineUnreadable("not_a_case", "id is neither text nor a whole number")
    if not isinstance(case.get("findings"), list):
        return case_id, {}, LineUnreadable("no_findings", "findings is missing or not a list")
    return case_id, case, None


def answer_case(case_id: Any, case: dict[str, Any], rules: RuleBook) -> dict[str, Any]:
    """Compare the findings of one decoded case."""
    findings, unreadable = read_findings(case["findings"])
    patient = case.get("patient")
    kept = [finding for _, finding in findings]
    positions = [position for position, _ in findings]
    conflicts = detect(kept, rules, patient=patient if isinstance(patient, str) else None)
    answer: dict[str, Any] = {
        "id": case_id,
        "conflicts": [
            {
                "type": conflict.type,
                "between": [positions[index] for index in conflict.between],
                "severity": conflict.severity,
                "reason": conflict.reason,
                "rule": conflict.rule,
            }
            for conflict in conflicts
        ],
    }
    if unreadable:
        answer["unreadable"] = unreadable
    return answer


def read_findings(raw: list[Any]) -> tuple[list[tuple[int, Finding]], list[dict[str, Any]]]:
    """Every finding that can be read with its position, and what could not be read and why."""
    findings: list[tuple[int, Finding]] = []
    unreadable: list[dict[str, Any]] = []
    for position, item in enumerate(raw):
        try:
            findings.append((position, read_finding(item)))
        except LineUnreadable as problem:
            unreadable.append({"at": position, "code": problem.code, "detail": problem.detail})
    for position, finding in findings:
        if _number_in_doubt(finding):
            unreadable.append(
                {
                    "at": position,
                    "code": "value_in_doubt",
                    "detail": "the number can be read in two ways and was not compared",
                }
            )
    return findings, unreadable


def _number_in_doubt(finding: Finding) -> bool:
    value = finding.value
    if finding.kind not in ("measurement", "risk") or not isinstance(value, str):
        return False
    return any(c.isdigit() for c in value) and "," in value and number_from_text(value) is None


def read_finding(item: Any) -> Finding:
    """One finding from foreign JSON. Raises LineUnreadable."""
    if not isinstance(item, dict):
        raise LineUnreadable("not_a_finding", "not a JSON object")
    known = {key: value for key, value in item.items() if key in _FIELDS and value is not None}
    try:
        return Finding.model_validate(known, strict=True)
    except ValidationError:
        return _read_loosely(known)


def _read_loosely(known: dict[str, Any]) -> Finding:
    """A finding that is not written exactly as the contract has it."""
    known["code"] = _coding(known.get("code"))
    known.setdefault("tool", "unnamed")
    for key in ("tool", "tool_version", "study", "encounter", "specimen", "effective", "horizon",
                "id", "replaces", "unit", "scale", "threshold_band", "status",
                "subject_context", "action"):  # fmt: skip
        if key in known:
            known[key] = _text(known[key])
    _soften(known)
    try:
        return Finding.model_validate({k: v for k, v in known.items() if v is not None})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"][:1])
        raise LineUnreadable("finding_invalid", f"{place} cannot be read") from None


def _soften(known: dict[str, Any]) -> None:
    """Other spellings of closed fields; what stays unknown is left out, not guessed."""
    if "polarity" in known:
        known["polarity"] = _POLARITY.get(str(known["polarity"]).casefold(), "indeterminate")
    if "laterality" in known:
        known["laterality"] = _laterality(known["laterality"])
    if "target" in known:
        known["target"] = _coding(known["target"])
    if isinstance(known.get("kind"), str):
        known["kind"] = known["kind"].strip().casefold()
    if isinstance(known.get("body_site"), dict | list):
        known["body_site"] = _coding(known["body_site"])
    if isinstance(known.get("value"), bool):
        known["value"] = "present" if known["value"] else "absent"
    elif not isinstance(known.get("value"), int | float | str):
        known.pop("value", None)
    for key in _NUMBERS:
        if isinstance(known.get(key), str):
            known[key] = number_from_text(known[key])
    if "confidence_kind" in known and known["confidence_kind"] not in _CONFIDENCE_KINDS:
        known["confidence_kind"] = "vendor_scale"
    confidence = known.get("confidence")
    if not isinstance(confidence, int | float) or not 0 <= confidence <= 1:
        known.pop("confidence", None)
    known["interval"] = _interval(known.get("interval"))
    known["dose"] = _dose(known.get("dose"))


def _laterality(value: Any) -> str | None:
    """``Left side``, ``OS``, SNOMED CT 7771000 or a coding of them; None if it is no side."""
    if isinstance(value, dict):
        coding = _coding(value)
        value = coding["code"] if coding.get("code") in _LATERALITY else coding.get("display")
    words = plain(str(value))
    if words in _LATERALITY:
        return _LATERALITY[words]
    sides = {_LATERALITY[word] for word in words.split() if len(word) > 1 and word in _LATERALITY}
    sides -= {"none", "unknown"}
    return "bilateral" if len(sides) > 1 else next(iter(sides), None)


_CONFIDENCE_KINDS = ("class_probability", "detection", "linking", "vendor_scale", "none")


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, dict) and isinstance(value.get("reference"), str):
        return str(value["reference"])
    return None


def _coding(value: Any) -> dict[str, Any]:
    """A Coding, a CodeableConcept or bare words, as the fields of our Coding."""
    if isinstance(value, Coding):
        return value.model_dump()
    if isinstance(value, str):
        return {"display": value}
    if isinstance(value, list):
        return _coding({"coding": value})
    if not isinstance(value, dict):
        return {}
    if isinstance(value.get("coding"), list) and value["coding"]:
        codings = [coding for coding in value["coding"] if isinstance(coding, dict)]
        mapped = [
            one for one in codings if str(one.get("system")).casefold().rstrip("/") in _MAPPED
        ]
        chosen = next(iter(mapped or codings), {})
        return _coding({"display": _text(value.get("text")), **chosen})
    fields = {key: _text(value.get(key)) for key in ("system", "code", "display")}
    if fields["display"] is None:
        fields["display"] = _text(value.get("text"))
    return fields


def _interval(value: Any) -> tuple[float, float] | None:
    if not isinstance(value, list) or len(value) != 2:
        return None
    ends = [number_from_text(end) if isinstance(end, str) else end for end in value]
    if any(not isinstance(end, int | float) or isinstance(end, bool) for end in ends):
        return None
    low, high = sorted(float(end) for end in ends if end is not None)
    return low, high


def _dose(value: Any) -> dict[str, Any] | None:
    if not isinstance(value, dict) or not isinstance(value.get("unit"), str):
        return None
    amount = value.get("value")
    if isinstance(amount, str):
        amount = number_from_text(amount)
    if not isinstance(amount, int | float) or isinstance(amount, bool):
        return None
    return {"value": float(amount), "unit": value["unit"]}
