"""Refusals below ``/fhir`` and ``/cds-services``: OperationOutcomes with the codes of problems."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response

from careweir_fhir.operation_outcome import Issue, IssueCode, IssueSeverity, operation_outcome

FHIR_JSON = "application/fhir+json"
BASES = ("/fhir", "/cds-services")
_CODES = "urn:careweir:problem"
# Source: FHIR R4 IssueType; which one for which of our codes is ours to choose.
_ISSUES: dict[str, IssueCode] = {
    "not_authenticated": "login",
    "access_denied": "forbidden",
    "not_found": "not-found",
    "method_not_allowed": "not-supported",
    "not_acceptable": "not-supported",
    "parameter_unsupported": "not-supported",
    "parameter_invalid": "value",
    "search_too_costly": "too-costly",
    "body_too_large": "too-long",
    "body_too_slow": "timeout",
    "unsupported_media_type": "not-supported",
    "audit_unavailable": "no-store",
    "answer_unrecorded": "no-store",
    "overloaded": "throttled",
    "rate_exceeded": "throttled",
    "idempotency_key_reused": "conflict",
    "internal_error": "exception",
    "cds_call_invalid": "invalid",
    "prefetch_missing": "processing",
    "state_unavailable": "transient",
    "keys_unavailable": "transient",
}


def is_below(path: str) -> bool:
    """Does this path speak OperationOutcome?"""
    return any(path == base or path.startswith(f"{base}/") for base in BASES)


def fhir_json(body: Any, *, status: int = 200) -> Response:
    """A resource as an answer."""
    return Response(
        orjson.dumps(body), status_code=status, media_type=f"{FHIR_JSON}; charset=utf-8"
    )


def refused(
    status: int, code: str, title: str, detail: str = "", *, place: str | None = None
) -> Response:
    """An OperationOutcome with one issue: our own words, never the caller's values.

    Source: FHIR R4 OperationOutcome: a parameter stands in ``location`` as ``http.name``, an
    element of what was sent in ``expression``.
    """
    severity: IssueSeverity = "fatal" if status >= 500 else "error"
    kind: IssueCode = _ISSUES.get(code, "exception" if status >= 500 else "invalid")
    text = f"{title}: {detail}" if detail else title
    places = (place,) if place else ()
    by_http = place is not None and place.startswith("http.")
    issue = Issue(
        severity, kind, text, coding=(_CODES, code),
        location=places if by_http else (), expression=() if by_http else places,
    )  # fmt: skip
    return fhir_json(operation_outcome([issue]), status=status)
