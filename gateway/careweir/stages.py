"""The pure stages of an answer: leaves of the story that ``pipeline.py`` tells."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from careweir.access import Actor, Decision, PolicySet
from careweir.access.scopes import may_ask
from careweir.adjudication import Answered, Seen
from careweir.capabilities import Capability
from careweir.conflicts import RuleBook, detect
from careweir.errors import AccessDenied, QuestionInvalid, ScopeMissing
from careweir.fanout import Prepared, Transport
from careweir.minimise import Chart
from careweir.question import Question, Reply, Strategy, rfc3339
from careweir_fhir.bundle import ResultContext, ToolOutcome, result_bundle
from careweir_fhir.model import ICD10CM, Conflict, Finding, awaits_review
from careweir_kit.registry import LoadedAdapter
from careweir_kit.tool import Tool


@dataclass(frozen=True, slots=True)
class House:
    """What the gateway answers with, fixed for the length of one request.

    ``transports``: the connections of each tool that is reached over HTTP. They belong to the house
    so that a request never meets a tool with the connections of another revision.
    """

    policies: PolicySet
    rules: RuleBook
    capabilities: Mapping[str, Capability]
    tools: Mapping[str, Tool]
    adapters: Mapping[str, LoadedAdapter]
    transports: Mapping[str, Transport] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Case:
    """One question on its way: who asked it, what policy decided, and the chart it is about."""

    inference: str
    house: House
    question: Question
    actor: Actor
    decision: Decision
    chart: Chart
    as_of: datetime

    @property
    def site(self) -> str | None:
        """The site of the question, else of who asks."""
        return self.question.site or self.actor.site


def check_words(house: House, question: Question) -> None:
    """Refuse words that nobody knows before they get anywhere, the record included.

    What a caller wrote in a wrong place may be a patient's; only known codes are ever recorded.
    """
    if question.capability not in house.capabilities:
        raise QuestionInvalid("no such capability", path="capability")
    if question.purpose not in house.policies.purposes.parents:
        raise QuestionInvalid("not an HL7 PurposeOfUse code", path="purpose")
    if question.site is not None and question.site not in house.policies.residency.sites:
        raise QuestionInvalid("no such site", path="context.site")


def authorise(house: House, question: Question, actor: Actor) -> Decision:
    """Deny by default; raises AccessDenied with the rules that decided."""
    if not may_ask(actor.scopes, question.capability):
        raise ScopeMissing(f"capability/{question.capability}.infer")
    if question.purpose not in actor.purposes:
        raise AccessDenied("the token does not carry this purpose", because=("token purpose",))
    if actor.site is not None and actor.site not in house.policies.residency.sites:
        raise AccessDenied("the token's site is not one of this house", because=("token site",))
    if actor.site is not None and question.site not in (None, actor.site):
        raise AccessDenied("the token belongs to another site", because=("token site",))
    decision = house.policies.decide(
        role=actor.role,
        purpose=question.purpose,
        capability=question.capability,
        site=question.site or actor.site,
        break_glass=actor.break_glass is not None,
    )
    if decision.effect == "deny":
        raise AccessDenied("policy does not allow this", because=decision.because)
    return decision


def live_tools(house: House, question: Question) -> list[Tool]:
    """The capability's tools in use, in the caller's order where the caller named some."""
    mine = {tool.tool: tool for tool in _in_use(house, question)}
    if question.tools is None:
        return [tool for tool in mine.values() if tool.mode == "live"]
    if unknown := [name for name in question.tools if name not in mine]:
        raise QuestionInvalid(
            f"{len(unknown)} of the named tools do not serve this capability", path="tools"
        )
    return [mine[name] for name in question.tools if mine[name].mode == "live"]


def fallback_tools(house: House, question: Question) -> list[Tool]:
    """The published scores that stand in when a live tool gives no whole answer, in order."""
    mine = {tool.tool: tool for tool in _in_use(house, question) if tool.mode == "fallback"}
    order = house.capabilities[question.capability].ladder.scores
    return [mine[name] for name in (mine if order is None else order) if name in mine]


def _in_use(house: House, question: Question) -> list[Tool]:
    return [
        tool
        for tool in house.tools.values()
        if question.capability in tool.capabilities
        and tool.lifecycle in ("live", "canary")
        and tool.mode != "shadow"
    ]


def parted(prepared: Sequence[Prepared]) -> tuple[list[Prepared], list[Prepared]]:
    """The tools that policy lets be asked, and those from which it withholds everything.

    Raises AccessDenied when it withholds everything from all of them.
    """
    allowed = [one for one in prepared if one.minimised.payload is not None]
    withheld = [one for one in prepared if one.minimised.payload is None]
    if withheld and not allowed:
        rules = {row.rule for one in withheld for row in one.minimised.manifest.withheld}
        raise AccessDenied(
            "policy withholds everything that the tools need", because=tuple(sorted(rules)[:8])
        )
    return allowed, withheld


def still_to_ask(
    live: Sequence[Prepared], asked_before: Mapping[str, str]
) -> tuple[list[Prepared], list[Reply]]:
    """The tools that may be asked now, and a row for each that may not be asked a second time.

    ``asked_before`` holds the disclosures of an earlier try by tool. A tool that recognises a
    repeat (``idempotent`` in its file) is asked again; of any other nobody knows the answer.
    """
    lost = [one for one in live if one.tool.tool in asked_before and one.tool.idempotent == "none"]
    replies = [
        Reply(one.tool.tool, one.tool.version, one.tool.mode, "unknown",
              "asked before an interruption; its answer is lost", attempts=1,
              disclosure=asked_before[one.tool.tool])
        for one in lost
    ]  # fmt: skip
    return [one for one in live if one not in lost], replies


def withheld_replies(withheld: Sequence[Prepared]) -> list[Reply]:
    """A row for each tool that policy kept out."""
    return [
        Reply(one.tool.tool, one.tool.version, one.tool.mode, "withheld_by_policy")
        for one in withheld
    ]


def satisfied(replies: Sequence[Reply], strategy: Strategy) -> bool:
    """True when the caller's strategy got what it waits for, so that nothing need stand in."""
    answered = [reply.status == "answered" for reply in replies]
    return bool(answered) and (any(answered) if strategy != "all" else all(answered))


def attributed(case: Case, replies: Sequence[Reply]) -> tuple[Finding, ...]:
    """All findings in one list, each with tool, version, encounter, study and moment.

    Subject, study and encounter come from the question, never from a vendor's echo. A tool that
    got shifted dates cannot say when a finding was: it is then of the moment that was asked about.
    What waits for a coder or a reviewer says ``preliminary``.
    """
    question, as_of = case.question, rfc3339(case.as_of)
    shifted = {tool.tool for tool in case.house.tools.values() if shifts_dates(tool)}
    return tuple(
        finding.model_copy(
            update={
                "tool": reply.tool,
                "tool_version": reply.version,
                "study": question.study,
                "encounter": question.encounter,
                "effective": (None if reply.tool in shifted else finding.effective) or as_of,
                "fallback": reply.mode == "fallback",
                "completeness": "partial" if reply.status == "partial" else finding.completeness,
                "status": finding.status or ("preliminary" if awaits_review(finding) else None),
            }
        )
        for reply in replies
        for finding in reply.findings
    )


def shifts_dates(tool: Tool) -> bool:
    """True when this tool sees dates that were moved."""
    return any("shift_dates" in need.transforms.values() for need in tool.needs)


async def compared(
    findings: Sequence[Finding], rules: RuleBook, *, patient: str
) -> tuple[Conflict, ...]:
    """Where the findings contradict each other.

    The first ICD-10-CM code outside our own table loads the whole classification, which takes
    seconds: with such a code in sight it is done beside the event loop, not in it.
    """
    if any(finding.code.system == ICD10CM for finding in findings):
        return await asyncio.to_thread(detect, findings, rules, patient=patient)
    return detect(findings, rules, patient=patient)


def digestible(findings: Sequence[Finding], conflicts: Sequence[Conflict]) -> bytes:
    """The bytes whose SHA-256 the record keeps, so that an answer can be held against it."""
    return orjson.dumps(
        {
            "findings": [finding.model_dump(mode="json") for finding in findings],
            "conflicts": [conflict.model_dump(mode="json") for conflict in conflicts],
        },
        option=orjson.OPT_SORT_KEYS,
    )


def answered_now(case: Case, findings: Sequence[Finding], live: Sequence[Prepared]) -> Answered:
    """This answer as later ones will hold theirs against it, with what each tool was given."""
    manifests = {one.tool.tool: one.minimised.manifest for one in live}
    return Answered(
        inference=case.inference,
        capability=case.question.capability,
        site=case.site,
        at=rfc3339(case.as_of),
        asker=case.actor.subject,
        override=case.decision.break_glass,
        sensitivity=tuple(sorted(case.decision.rights.sensitivity)),
        findings=tuple(finding.model_dump(mode="json") for finding in findings),
        seen={
            name: Seen(one.sent, {row.path: row.reason for row in one.withheld})
            for name, one in manifests.items()
        },
    )


def result_context(case: Case, now: datetime) -> ResultContext:
    """What all FHIR resources of one answer share."""
    question = case.question
    return ResultContext(
        inference=case.inference,
        capability=question.capability,
        subject=question.subject,
        encounter=question.encounter,
        study=question.study,
        as_of=rfc3339(case.as_of),
        recorded=rfc3339(now),
        policy_revision=case.decision.revision,
    )


def bundle_of(
    context: ResultContext,
    house: House,
    findings: Sequence[Finding],
    conflicts: Sequence[Conflict],
    replies: Sequence[Reply],
) -> dict[str, Any]:
    """The answer as a FHIR collection, checked against structure and required bindings."""
    outcomes = [
        ToolOutcome(
            tool=reply.tool,
            vendor=house.tools[reply.tool].vendor,
            product=house.tools[reply.tool].product,
            version=reply.version,
            status=reply.status,
            reason=reply.reason,
            mode=house.tools[reply.tool].mode,
            without=reply.without,
        )
        for reply in replies
    ]
    asked = {reply.tool for reply in replies}
    outcomes += [
        _said_earlier(finding.tool, finding.tool_version, house.tools)
        for finding in {f.tool: f for f in findings if f.tool not in asked}.values()
    ]
    return result_bundle(context, findings, conflicts, outcomes)


def _said_earlier(name: str, version: str | None, tools: Mapping[str, Tool]) -> ToolOutcome:
    """A tool of an earlier answer, as far as it is still known here."""
    tool = tools.get(name)
    return ToolOutcome(
        tool=name,
        vendor=tool.vendor if tool else "unknown",
        product=tool.product if tool else name,
        version=version,
        status="answered",
        reason="said in an earlier answer",
        mode="live",
    )
