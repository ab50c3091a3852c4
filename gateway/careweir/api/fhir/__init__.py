"""The FHIR base ``/fhir``: one module a concern.

    base          what every route of the base shares: media types, errors, who reads
    parameters    search parameters as they come: prefixes, tokens, escapes, handling
    audit_search  AuditEvent's parameters as queries of the record
    audit_event   the routes of AuditEvent
    searchset     Bundles of what was found, with their links
    infer         the operation $infer, and its definition
    metadata      the CapabilityStatement, made from what the modules say they serve

A module for another resource has a ``router`` and a ``SERVED``, and is named in ``RESOURCES``.
"""

from fastapi import APIRouter

from careweir.api.fhir import audit_event, infer, metadata
from careweir.api.fhir.base import FhirBase, FhirRoute

RESOURCES = (audit_event,)

router = APIRouter(prefix="/fhir")
router.include_router(metadata.router_of([module.SERVED for module in RESOURCES]))
router.include_router(infer.router)
for module in RESOURCES:
    router.include_router(module.router)

__all__ = ["RESOURCES", "FhirBase", "FhirRoute", "router"]
