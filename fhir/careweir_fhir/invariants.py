"""The invariants of R4 that ``fhir.resources`` does not check, as plain functions.

A rule takes a resource (or the value of a datatype) and yields ``(path below it, name, words)``.
Names are those of the specification. Source: HL7 FHIR R4 (4.0.1), the constraint of that name in
the StructureDefinition of the type.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

Breach = tuple[str, str, str]
Checked = Mapping[str, Any]
Check = Callable[[Checked], Iterator[Breach]]

_UCUM = "http://unitsofmeasure.org"
_ABSOLUTE = re.compile(r"(?:https?://|urn:(?:uuid|oid):)\S+$")


# ---- datatypes --------------------------------------------------------------------------------


def _range(value: Checked) -> Iterator[Breach]:
    low, high = _dict(value.get("low")), _dict(value.get("high"))
    if not low or not high or _unit(low) != _unit(high):
        return
    if _number(low) is not None and _number(high) is not None and low["value"] > high["value"]:
        yield "", "rng-2", "low is above high"


def _period(value: Checked) -> Iterator[Breach]:
    if _before(value.get("end"), value.get("start")):
        yield "", "per-1", "the end is before the start"


def _quantity(value: Checked) -> Iterator[Breach]:
    if "code" in value and "system" not in value:
        yield "", "qty-3", "a coded unit without its system"


def _attachment(value: Checked) -> Iterator[Breach]:
    if "data" in value and "contentType" not in value:
        yield "", "att-1", "data without a content type"


def _extension(value: Checked) -> Iterator[Breach]:
    has_value = any(name.startswith("value") for name in value)
    if has_value == ("extension" in value):
        yield "", "ext-1", "must have either a value or extensions"


DATATYPE_RULES: Mapping[str, tuple[Check, ...]] = {
    "Range": (_range,),
    "Period": (_period,),
    "Quantity": (_quantity,),
    "Attachment": (_attachment,),
    "Extension": (_extension,),
}


# ---- resources --------------------------------------------------------------------------------


def _risk_assessment(resource: Checked) -> Iterator[Breach]:
    for index, prediction in enumerate(_dicts(resource.get("prediction"))):
        at = f".prediction[{index}]"
        probability = prediction.get("probabilityDecimal")
        if isinstance(probability, int | float) and probability > 100:
            yield f"{at}.probabilityDecimal", "ras-2", "above 100 per cent"
        bounds = _dict(prediction.get("probabilityRange"))
        for name in ("low", "high"):
            bound = _dict(bounds.get(name))
            if bound and (bound.get("code") != "%" or bound.get("system") != _UCUM):
                yield f"{at}.probabilityRange.{name}", "ras-1", "not a percentage in UCUM"


def _observation(resource: Checked) -> Iterator[Breach]:
    has_value = any(name.startswith("value") for name in resource)
    if has_value and "dataAbsentReason" in resource:
        yield ".dataAbsentReason", "obs-6", "a reason for absence beside a value"
    components = _dicts(resource.get("component"))
    codes = _codes(resource.get("code"))
    if has_value and any(codes & _codes(component.get("code")) for component in components):
        yield "", "obs-7", "a value beside a component with the same code"
    groups = [(".referenceRange", resource)]
    groups += [(f".component[{i}].referenceRange", part) for i, part in enumerate(components)]
    for at, owner in groups:
        for index, limits in enumerate(_dicts(owner.get("referenceRange"))):
            if not limits.keys() & {"low", "high", "text"}:
                yield f"{at}[{index}]", "obs-3", "needs a low, a high or a text"


def _service_request(resource: Checked) -> Iterator[Breach]:
    if "orderDetail" in resource and "code" not in resource:
        yield ".orderDetail", "prr-1", "a detail without a code"


def _task(resource: Checked) -> Iterator[Breach]:
    if _before(resource.get("lastModified"), resource.get("authoredOn")):
        yield ".lastModified", "inv-1", "modified before it was authored"


def _parameters(resource: Checked) -> Iterator[Breach]:
    for index, parameter in enumerate(_dicts(resource.get("parameter"))):
        filled = [n for n in parameter if n.startswith("value") or n in ("resource", "part")]
        if len(filled) > 1:
            yield f".parameter[{index}]", "inv-1", "more than one of value, resource and part"


def _audit_event(resource: Checked) -> Iterator[Breach]:
    for index, entity in enumerate(_dicts(resource.get("entity"))):
        if "name" in entity and "query" in entity:
            yield f".entity[{index}]", "sev-1", "both a name and a query"


def _consent(resource: Checked) -> Iterator[Breach]:
    if "policy" not in resource and "policyRule" not in resource:
        yield "", "ppc-1", "neither a policy nor a policy rule"


def _any_resource(resource: Checked) -> Iterator[Breach]:
    for index, inner in enumerate(_dicts(resource.get("contained"))):
        at, meta = f".contained[{index}]", _dict(inner.get("meta"))
        if "contained" in inner:
            yield at, "dom-2", "a contained resource that contains others"
        if not _is_named(resource, f"#{inner.get('id')}"):
            yield at, "dom-3", "a contained resource that nothing refers to"
        if "versionId" in meta or "lastUpdated" in meta:
            yield at, "dom-4", "a contained resource with a version"
        if "security" in meta:
            yield at, "dom-5", "a contained resource with a security label"


RESOURCE_RULES: Mapping[str, tuple[Check, ...]] = {
    "Resource": (_any_resource,),
    "RiskAssessment": (_risk_assessment,),
    "Observation": (_observation,),
    "ServiceRequest": (_service_request,),
    "Task": (_task,),
    "Parameters": (_parameters,),
    "AuditEvent": (_audit_event,),
    "Consent": (_consent,),
}


# ---- Bundle -----------------------------------------------------------------------------------

_WITH_REQUEST = frozenset({"batch", "transaction", "history"})
_WITH_RESPONSE = frozenset({"batch-response", "transaction-response", "history"})
_COUNTED = frozenset({"searchset", "history"})


def bundle_breaches(bundle: Checked) -> Iterator[Breach]:
    """The invariants of a Bundle, and our own: no resource twice under one type and id."""
    kind, entries = bundle.get("type"), _dicts(bundle.get("entry"))
    if "total" in bundle and kind not in _COUNTED:
        yield "Bundle.total", "bdl-1", "a total that is not of a search or a history"
    for index, entry in enumerate(entries):
        yield from _entry_breaches(entry, f"Bundle.entry[{index}]", str(kind))
    urls = Counter(
        (entry["fullUrl"], _dict(_dict(entry.get("resource")).get("meta")).get("versionId"))
        for entry in entries
        if "fullUrl" in entry
    )
    if kind != "history" and any(count > 1 for count in urls.values()):
        yield "Bundle.entry", "bdl-7", "one fullUrl on two entries"
    resources = [_dict(entry.get("resource")) for entry in entries]
    names = Counter((r.get("resourceType"), r["id"]) for r in resources if "id" in r)
    if kind != "history" and any(count > 1 for count in names.values()):
        yield "Bundle.entry", "duplicate-id", "one type and id on two entries"
    yield from _document_breaches(bundle, resources)


def _entry_breaches(entry: Checked, at: str, kind: str) -> Iterator[Breach]:
    if "search" in entry and kind != "searchset":
        yield f"{at}.search", "bdl-2", "search facts outside a search"
    if ("request" in entry) != (kind in _WITH_REQUEST):
        yield f"{at}.request", "bdl-3", "a request in the wrong kind of Bundle, or none"
    if ("response" in entry) != (kind in _WITH_RESPONSE):
        yield f"{at}.response", "bdl-4", "a response in the wrong kind of Bundle, or none"
    if not entry.keys() & {"resource", "request", "response"}:
        yield at, "bdl-5", "neither a resource nor a request nor a response"
    url = entry.get("fullUrl")
    if url is not None and not _ABSOLUTE.match(str(url)):
        yield f"{at}.fullUrl", "full-url", "not an absolute address"
    if "/_history/" in str(url):
        yield f"{at}.fullUrl", "bdl-8", "a fullUrl with a version"


def _document_breaches(bundle: Checked, resources: list[Checked]) -> Iterator[Breach]:
    first = resources[0].get("resourceType") if resources else None
    if bundle.get("type") == "message" and first != "MessageHeader":
        yield "Bundle.entry", "bdl-12", "a message must begin with a MessageHeader"
    if bundle.get("type") != "document":
        return
    identifier = _dict(bundle.get("identifier"))
    if not {"system", "value"} <= identifier.keys():
        yield "Bundle.identifier", "bdl-9", "a document needs an identifier"
    if "timestamp" not in bundle:
        yield "Bundle.timestamp", "bdl-10", "a document needs a date"
    if first != "Composition":
        yield "Bundle.entry", "bdl-11", "a document must begin with a Composition"


# ---- reading without trust --------------------------------------------------------------------


def _dict(value: Any) -> Checked:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[Checked]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _number(quantity: Checked) -> float | None:
    value = quantity.get("value")
    return value if isinstance(value, int | float) else None


def _unit(quantity: Checked) -> tuple[Any, Any]:
    return quantity.get("system"), quantity.get("code") or quantity.get("unit")


def _codes(concept: Any) -> set[tuple[Any, Any]]:
    codings = _dicts(_dict(concept).get("coding"))
    return {(c.get("system"), c.get("code")) for c in codings if "code" in c}


def _before(earlier: Any, later: Any) -> bool:
    """True when both are full dates with a time and the first is before the second."""
    try:
        return datetime.fromisoformat(earlier) < datetime.fromisoformat(later)
    except (TypeError, ValueError):
        return False


def _is_named(value: Any, reference: str) -> bool:
    if isinstance(value, dict):
        return value.get("reference") == reference or any(
            _is_named(item, reference) for item in value.values()
        )
    return isinstance(value, list) and any(_is_named(item, reference) for item in value)
