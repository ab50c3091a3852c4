"""The FHIR base ``/fhir``: one module a concern.

    base          what every route of the base shares: media types, errors, who reads
    parameters    search parameters as they come: prefixes, tokens, escapes, handling
    audit_search  AuditEvent's parameters as queries of the record
    audit_event   the routes of AuditEvent
    searchset     Bundles of what was found, with their links
    infer         the operation $infer, and its definition
    results       the routes of what the gateway made: RiskAssessment, Observation and others
    result_types  their search parameters, and where these look
    answers       what of a kept answer its reader may see
    includes      _include and _revinclude
    export        $export: the same as NDJSON, by the asynchronous pattern
    forms         searches that come as a form
    metadata      the CapabilityStatement, made from what the modules say they serve

What is served stands in ``SERVED``, from which the CapabilityStatement is made.
"""

from fastapi import APIRouter

from careweir.api.fhir import audit_event, export, infer, metadata, results
from careweir.api.fhir.base import FhirBase, FhirRoute

SERVED = (audit_event.SERVED, *results.SERVED)

router = APIRouter(prefix="/fhir")
router.include_router(metadata.router_of(SERVED))
router.include_router(infer.router)
router.include_router(export.router)
router.include_router(export.files)
router.include_router(audit_event.router)
router.include_router(results.router)

__all__ = ["SERVED", "FhirBase", "FhirRoute", "router"]
