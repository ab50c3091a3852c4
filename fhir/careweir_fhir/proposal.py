"""What a tool proposes, never what is decided: requests, flags, drafts and codes to review."""

from __future__ import annotations

import base64

from careweir_fhir import systems
from careweir_fhir.context import Place
from careweir_fhir.elements import (
    Json,
    body_site,
    coded,
    compact,
    concept,
    date_time,
    extension,
    inert,
    is_number,
    joined,
    note,
    number,
    parts,
    quantity,
    reference,
    text_concept,
    to,
    words,
)
from careweir_fhir.model import RXNORM, Coding, Finding, is_decision
from careweir_fhir.result import (
    base,
    encounter,
    identifiers,
    remarks,
    subject,
    tool_name,
)

_ORDERS = frozenset({"order", "do", "avoid"})
_TASK_CODE = "http://hl7.org/fhir/CodeSystem/task-code"


def recommendation(finding: Finding, place: Place) -> Json:
    """A service to do or to leave is a ServiceRequest, a decision a Task, the rest guidance."""
    if is_decision(finding):
        return decision_task(finding, place)
    target = finding.target or finding.code
    is_drug = target.system == RXNORM or finding.dose is not None
    if finding.action in _ORDERS and not is_drug:
        return _service_request(finding, place, target)
    return _guidance(finding, place, target)


def _service_request(finding: Finding, place: Place, target: Coding) -> Json:
    site = body_site(finding)
    return base("ServiceRequest", finding, place) | compact(
        identifier=identifiers(finding),
        status=_request_status(finding),
        intent="proposal",
        doNotPerform=True if finding.action == "avoid" else None,
        code=concept(target, verified=finding.verified),
        subject=subject(place),
        encounter=encounter(finding, place),
        authoredOn=place.context.recorded,
        requester=to(place.device),
        reasonCode=[concept(finding.code)] if finding.target else None,
        bodySite=[site] if site else None,
        note=note(*remarks(finding, place), *finding.explanation),
    )


def _request_status(finding: Finding) -> str:
    withdrawn = {"entered-in-error": "entered-in-error", "superseded": "revoked"}
    return withdrawn.get(finding.status or "", "draft")


def _guidance(finding: Finding, place: Place, target: Coding) -> Json:
    head = base("GuidanceResponse", finding, place)
    head.setdefault("extension", []).append(_proposed_action(finding, target))
    wrong = finding.status == "entered-in-error"
    return head | compact(
        identifier=identifiers(finding),
        moduleUri=f"{systems.CAPABILITY}:{place.context.capability}",
        status="entered-in-error" if wrong else "success",
        subject=subject(place),
        encounter=encounter(finding, place),
        occurrenceDateTime=date_time(finding.effective) or place.context.as_of,
        performer=to(place.device),
        reasonCode=[concept(finding.code, verified=finding.verified)],
        note=note(_action_words(finding, target), *remarks(finding, place), *finding.explanation),
    )


def _proposed_action(finding: Finding, target: Coding) -> Json:
    inner = [extension("target", valueCodeableConcept=concept(target))]
    if action := words(finding.action):
        inner.insert(0, extension("action", valueString=action))
    if finding.dose and (dose := quantity(finding.dose.value, finding.dose.unit)):
        inner.append(extension("dose", valueQuantity=dose))
    return parts(systems.PROPOSED_ACTION, *inner)


def _action_words(finding: Finding, target: Coding) -> str:
    what = words(target.display) or words(target.code) or "not named"
    dose = f", {number(finding.dose.value)} {finding.dose.unit}" if finding.dose else ""
    return f"Proposed: {finding.action or 'consider'} {what}{dose}."


def answered_without_findings(place: Place) -> Json:
    """A tool answered and named nothing. This is not the absence of anything."""
    return compact(
        resourceType="GuidanceResponse",
        id=place.id,
        moduleUri=f"{systems.CAPABILITY}:{place.context.capability}",
        status="success",
        subject=subject(place),
        encounter=reference(place.context.encounter, "Encounter"),
        occurrenceDateTime=place.context.as_of,
        performer=to(place.device),
        note=note(
            f"{tool_name(place.tool)} answered and named no finding. "
            "This does not say that anything is absent."
        ),
    )


def flag(finding: Finding, place: Place) -> Json:
    """A triage level becomes a Flag in the words of its own scale."""
    level = number(finding.value) if is_number(finding.value) else finding.value
    said = " ".join(str(part) for part in (words(finding.scale), level) if part is not None)
    head = base("Flag", finding, place)
    told = [*finding.explanation, *remarks(finding, place)]
    if explanation := joined(told):
        head.setdefault("extension", []).append(
            extension(systems.EXPLANATION, valueString=explanation)
        )
    withdrawn = {"entered-in-error": "entered-in-error", "superseded": "inactive"}
    return head | compact(
        identifier=identifiers(finding),
        status=withdrawn.get(finding.status or "", "active"),
        category=[coded(systems.FLAG_CATEGORY, "clinical", "Clinical")],
        code=concept(finding.code, verified=finding.verified, text=_titled(finding, said)),
        subject=subject(place),
        period={"start": date_time(finding.effective) or place.context.as_of},
        encounter=encounter(finding, place),
        author=to(place.device),
    )


def _titled(finding: Finding, level: str) -> str | None:
    return ": ".join(part for part in (words(finding.code.display), words(level)) if part) or None


def document_reference(finding: Finding, place: Place) -> Json:
    """A text becomes a draft, as plain text only: no markup of a vendor is passed on."""
    text = words(str(finding.value)) if finding.value is not None else None
    body = {"data": base64.b64encode(text.encode()).decode("ascii")} if text else {}
    found = encounter(finding, place)
    withdrawn = {"entered-in-error": "entered-in-error", "superseded": "superseded"}
    return base("DocumentReference", finding, place) | compact(
        identifier=identifiers(finding),
        status=withdrawn.get(finding.status or "", "current"),
        docStatus="preliminary",
        type=concept(finding.code, verified=finding.verified),
        subject=subject(place),
        date=place.context.recorded,
        author=[to(place.device)],
        description=joined([*remarks(finding, place), *finding.explanation]),
        content=[
            {
                "attachment": {
                    "contentType": "text/plain; charset=utf-8",
                    **body,
                    "title": words(finding.code.display) or "Draft",
                }
            }
        ],
        context={"encounter": [found]} if found else None,
    )


def review_task(finding: Finding, place: Place) -> Json:
    """A suggested code becomes a Task for a coder: never a Condition, never a bill."""
    suggested = concept(finding.code, verified=finding.verified)
    output: list[Json] = [
        {"type": text_concept("suggested code"), "valueCodeableConcept": suggested}
    ]
    return _task(finding, place, "Review a suggested code", "Clinical coder", output)


def decision_task(finding: Finding, place: Place) -> Json:
    """A proposed or pended decision becomes a Task for a reviewer: it decides nothing itself."""
    service = concept(finding.target or finding.code, verified=finding.verified)
    said = words(str(finding.value)) if finding.value is not None else None
    proposed = words(finding.action) or "nobody has decided"
    coded_as = " ".join(part for part in (words(finding.scale), said) if part)
    decision = f"{proposed} ({coded_as})" if said and said != proposed else proposed
    output: list[Json] = [
        {"type": text_concept("service"), "valueCodeableConcept": service},
        {"type": text_concept("proposed decision"), "valueString": decision},
    ]
    return _task(finding, place, "Review a proposed authorisation", "Utilisation reviewer", output)


def _task(finding: Finding, place: Place, what: str, by: str, output: list[Json]) -> Json:
    """What waits for a person: it counts for nothing until the Task is completed by one."""
    told = joined([*remarks(finding, place), *finding.explanation])
    withdrawn = {"entered-in-error": "entered-in-error", "superseded": "cancelled"}
    status = withdrawn.get(finding.status or "", "requested")
    waits = text_concept("preliminary: counts when a person has signed")
    return base("Task", finding, place) | compact(
        identifier=identifiers(finding),
        status=status,
        businessStatus=waits if status == "requested" else None,
        intent="proposal",
        code=coded(_TASK_CODE, "approve", text=what),
        for_=subject(place),
        encounter=encounter(finding, place),
        authoredOn=place.context.recorded,
        requester=to(place.device),
        performerType=[text_concept(by)],
        note=[{"text": inert(told)}] if told else None,
        output=output,
    )
