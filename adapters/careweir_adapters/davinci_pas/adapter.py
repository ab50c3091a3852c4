"""Prior authorisation: the orders of a chart go out as a Claim, a payer's decisions come in.

A business rejection has status 200 and a pended request is no decision: neither is an approval,
and every decision waits for a person before it counts.

Source: HL7/davinci-pas, input/pagecontent/specification.md and input/fsh/ClaimResponse.fsh.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import orjson

from careweir_adapters.davinci_pas.claim import claim_id, services, submission
from careweir_adapters.davinci_pas.mapping import answer_of, check, request_of
from careweir_adapters.davinci_pas.wire import (
    ClaimResponse,
    Decision,
    claim_response,
    decisions,
    has_outcome,
)
from careweir_fhir.model import Coding, Completeness, Finding
from careweir_kit import codes
from careweir_kit.adapter import Ask, Parsed, VendorAnswer, VendorRequest, Verdict
from careweir_kit.classify import json_object, verdict_of_status
from careweir_kit.errors import InputsMissing, VendorProtocolBroken
from careweir_kit.mapping import marked
from careweir_kit.payload import bare_reference
from careweir_kit.references import patient_references
from careweir_kit.tool import Tool

_MEDIA: Final = "application/fhir+json"
_REASON: Final = re.compile(r"[A-Za-z0-9.-]{1,20}")
# X12 306 -> (the verb, if the payer has decided; our own words beside the code)
_ACTIONS: Final[Mapping[str, tuple[str | None, str]]] = {
    "A1": ("approve", ""),
    "A2": ("approve", "for a part of what was asked only"),
    "A3": ("deny", ""),
    "A4": (None, "not decided yet: the payer reviews the request"),
    "A6": ("approve", "with changes to what was asked"),
    "C": (None, "the request is cancelled"),
    "CT": (None, "not decided: the payer is to be contacted"),
    "NA": (None, "not decided: the payer says that nothing need be authorised"),
}


def check_tool(tool: Tool) -> None:
    """Refuse a tool file whose mapping cannot be used. Raises ToolFileInvalid."""
    check(tool)


def build_request(tool: Tool, ask: Ask) -> VendorRequest:
    """One submission for the orders of the chart. Raises InputsMissing."""
    mapping, ordered = request_of(tool), services(tool, ask)
    if not ordered:
        raise InputsMissing(("order: not in the chart",))
    if len(ordered) > mapping.items_max:
        raise InputsMissing((f"order: {len(ordered)} of at most {mapping.items_max}",))
    body = orjson.dumps(submission(tool, mapping, ask, ordered))
    headers = {"content-type": _MEDIA, "accept": _MEDIA}
    return VendorRequest("POST", mapping.path, body, headers, accept=(_MEDIA, "application/json"))


def classify_answer(tool: Tool, answer: VendorAnswer) -> Verdict:
    """Say what kind of answer this is; never raises."""
    verdict = verdict_of_status(answer)
    if verdict.answer_class != "ok":
        return verdict
    try:
        value = json_object(answer)
        response = claim_response(value)
        if response is None:
            outcome = Verdict("bad_request", "an outcome in place of a decision")
            unknown = Verdict("protocol_broken", "not an answer with a decision")
            return outcome if has_outcome(value) else unknown
        return _of_response(response)
    except VendorProtocolBroken as broken:
        return Verdict("protocol_broken", str(broken))


def _of_response(response: ClaimResponse) -> Verdict:
    if response.status != "active":
        return Verdict("protocol_broken", "the payer withdrew its answer")
    if response.outcome == "queued":
        return Verdict("pending", "the payer has queued the request")
    decided = decisions(response)
    if any(one.code is not None and one.code not in _ACTIONS for one in decided):
        return Verdict("protocol_broken", "a decision that nobody here knows")
    if not any(one.code for one in decided):
        rejected = response.outcome == "error" or response.error
        said = Verdict("refused", "the payer rejected the request")
        return said if rejected else Verdict("protocol_broken", "an answer without a decision")
    whole = all(one.code for one in decided) and not response.error
    if whole and response.outcome == "complete":
        return Verdict("ok")
    return Verdict("partial", "the payer did not decide on everything")


def parse_findings(tool: Tool, ask: Ask | None, answer: VendorAnswer) -> Parsed:
    """Read a recommendation for each item. Raises VendorProtocolBroken."""
    value = json_object(answer)
    response = claim_response(value)
    verdict = _of_response(response) if response else Verdict("protocol_broken", "no decision")
    if response is None or verdict.answer_class not in ("ok", "partial"):
        raise VendorProtocolBroken(verdict.note)

    asked = [_first(service["coding"]) for service in services(tool, ask)] if ask else None
    if ask is not None and not _answers(response, ask):
        raise VendorProtocolBroken("the decision is about another request")
    decided = decisions(response)
    if asked is not None and any(one.sequence > len(asked) for one in decided):
        raise VendorProtocolBroken("a decision on an item that was not asked about")
    undecided = asked is not None and len({one.sequence for one in decided}) < len(asked)
    completeness: Completeness = "full"
    if undecided or verdict.answer_class == "partial":
        completeness = "partial"
    found = [_finding(tool, response, one, asked, ask) for one in decided if one.code]
    return Parsed(
        findings=marked(found, completeness),
        echoes=tuple(bare_reference(one) for one in patient_references(value)),
        completeness=completeness,
    )


def _answers(response: ClaimResponse, ask: Ask) -> bool:
    """Whether the decision names our Claim, where it names one."""
    named = response.request.reference if response.request else None
    return named is None or named.rpartition("/")[2] == claim_id(ask)


def _first(codings: list[dict[str, str]]) -> Coding:
    return Coding(**codings[0])


def _finding(
    tool: Tool,
    response: ClaimResponse,
    decision: Decision,
    asked: list[Coding] | None,
    ask: Ask | None,
) -> Finding:
    verb, words = _ACTIONS[decision.code or ""]
    service = asked[decision.sequence - 1] if asked else None
    reasons = [f"reason {code}" for code in decision.reasons if _REASON.fullmatch(code)]
    return Finding(
        tool=tool.tool,
        tool_version=tool.version,
        kind="recommendation",
        code=service or answer_of(tool).code,
        target=service,
        action=verb,
        value=decision.code,
        scale="X12 306",
        id=response.reference,
        explanation=tuple(one for one in (words, *reasons) if one),
        effective=ask.as_of if ask else None,
        verified=codes.verified(service) if service else None,
    )
