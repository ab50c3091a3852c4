"""A conflict becomes a DetectedIssue that names every result it is between, and no winner."""

from __future__ import annotations

from collections.abc import Sequence

from careweir_fhir import systems
from careweir_fhir.context import ResultContext
from careweir_fhir.elements import Json, compact, patient, to, words
from careweir_fhir.model import Conflict

# Source: HL7 v3 ActCode, detected-issue codes. They are about drugs and supply: no code says that
# two tools disagree, so ours comes first and these stand second where they fit. A contraindication
# has none here: its code depends on what the drug is at odds with. ``CONTRAIND`` does not exist.
_SECOND_CODES = {
    "assertion_contradiction": ("VALIDAT", "validation issue"),
    "drug_interaction": ("DRG", "Drug Interaction Alert"),
    "duplicate_therapy": ("DUPTHPY", "Duplicate Therapy Alert"),
    "subject_mismatch": ("KEY206", "non-matching identification"),
}


def detected_issue(
    identifier: str,
    conflict: Conflict,
    context: ResultContext,
    *,
    implicated: Sequence[str],
    gateway: str,
) -> Json:
    """Map a conflict; ``implicated`` and ``gateway`` are fullUrls.

    Source: FHIR R4 DetectedIssue; its status has no ``mitigated``, that is R5.
    """
    title = conflict.type.replace("_", " ")
    own = {
        "system": systems.CONFLICT_TYPE,
        "code": conflict.type.replace("_", "-"),
        "display": title.capitalize(),
    }
    second = _SECOND_CODES.get(conflict.type)
    other = [compact(system=systems.ACT_CODE, code=second[0], display=second[1])] if second else []
    return compact(
        resourceType="DetectedIssue",
        id=identifier,
        status="preliminary",
        code={"coding": [own, *other], "text": f"Tools disagree: {title}"},
        severity=conflict.severity,
        patient=patient(context.subject),
        identifiedDateTime=context.recorded,
        author=to(gateway),
        implicated=[to(url) for url in implicated],
        evidence=[
            {"code": [{"coding": [_rule(conflict)]}], "detail": [to(url) for url in implicated]}
        ],
        detail=words(conflict.reason),
    )


def _rule(conflict: Conflict) -> Json:
    return {"system": systems.CONFLICT_RULE, "code": " ".join(conflict.rule.split()) or "unnamed"}
