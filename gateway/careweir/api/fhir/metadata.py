"""``GET /fhir/metadata``: a CapabilityStatement made from what the modules say they serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from careweir import __version__
from careweir.api import openapi
from careweir.api.fhir.base import FhirRoute, Json, address
from careweir.api.outcomes import FHIR_JSON, fhir_json
from careweir_fhir import validate

CHANGED = "2026-11-21"  # when what is served last changed
_EXPORT = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export"
_SECURITY = "http://terminology.hl7.org/CodeSystem/restful-security-service"


@dataclass(frozen=True, slots=True)
class Served:
    """What is served of one resource type: interactions, and parameters as name -> (type, URL)."""

    kind: str
    interactions: tuple[str, ...]
    parameters: Mapping[str, tuple[str, str | None]]
    profiles: tuple[str, ...] = ()
    includes: tuple[str, ...] = ()
    reverse: tuple[str, ...] = ()
    documentation: str = ""


def router_of(served: Sequence[Served]) -> APIRouter:
    """The route that tells it; no token is needed."""
    router = APIRouter(route_class=FhirRoute)

    @router.get("/metadata", openapi_extra=openapi.FHIR_OPEN)
    async def metadata(request: Request) -> Response:
        """What this FHIR base can do."""
        return fhir_json(capability_statement(served, address(request)))

    return router


def capability_statement(served: Sequence[Served], base: str) -> Json:
    """The resource; ``base`` is the absolute address of the FHIR base."""
    statement: Json = {
        "resourceType": "CapabilityStatement",
        "url": f"{base}/metadata",
        "version": __version__,
        "name": "Careweir",
        "title": "careweir: one gate between a health system and its AI tools",
        "status": "active",
        "date": CHANGED,
        "kind": "instance",
        "software": {"name": "careweir", "version": __version__},
        "implementation": {"description": "careweir gateway", "url": base},
        "fhirVersion": "4.0.1",
        "format": [FHIR_JSON, "json"],
        "rest": [
            {
                "mode": "server",
                "security": {
                    "service": [{"coding": [{"system": _SECURITY, "code": "SMART-on-FHIR"}]}],
                    "description": "Bearer tokens with SMART scopes, a role and, for some, a site.",
                },
                "resource": [_resource(one) for one in served],
                "operation": [
                    {"name": "infer", "definition": f"{base}/OperationDefinition/infer"},
                    {"name": "export", "definition": _EXPORT},
                ],
            }
        ],
    }
    validate.check(statement)
    return statement


def _resource(served: Served) -> Json:
    resource: Json = {
        "type": served.kind,
        "interaction": [{"code": code} for code in served.interactions],
        "versioning": "no-version",
        "searchParam": [
            {"name": name, "type": kind, **({"definition": url} if url else {})}
            for name, (kind, url) in sorted(served.parameters.items())
        ],
    }
    if served.includes:
        resource["searchInclude"] = list(served.includes)
    if served.reverse:
        resource["searchRevInclude"] = list(served.reverse)
    if served.profiles:
        resource["supportedProfile"] = list(served.profiles)
    if served.documentation:
        resource["documentation"] = served.documentation
    return resource
