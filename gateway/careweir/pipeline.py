"""THE STORY: one question goes in, every tool's answer comes out. A line a stage."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from careweir.access import Actor, Decision, PolicySet
from careweir.capabilities import Capability
from careweir.conflicts import RuleBook, detect
from careweir.errors import AccessDenied, CallerError, Overloaded, QuestionInvalid
from careweir.fanout import Asked, Prepared, Transport, ask_all
from careweir.ids import NewId, Pseudonyms
from careweir.ledger import InferenceLedger, Ledger
from careweir.log import log
from careweir.minimise import Chart, minimise, read_chart
from careweir.outcome import http_status, outcome_of, retry_after
from careweir.question import Answer, Question, Reply, rfc3339
from careweir_fhir.bundle import ResultContext, ToolOutcome, result_bundle
from careweir_fhir.model import Conflict, Finding
from careweir_kit.registry import LoadedAdapter
from careweir_kit.tool import Tool


@dataclass(frozen=True, slots=True)
class House:
    """What the gateway answers with, fixed for the length of one request."""

    policies: PolicySet
    rules: RuleBook
    capabilities: Mapping[str, Capability]
    tools: Mapping[str, Tool]
    adapters: Mapping[str, LoadedAdapter]


class Gateway:
    """The one gate. ``house`` may be replaced whole (a reload); a request keeps the one it took."""

    def __init__(
        self,
        house: House,
        *,
        ledger: Ledger,
        transports: Mapping[str, Transport],
        pseudonym_key: bytes,
        clock: Callable[[], datetime],
        new_id: NewId,
        rng: random.Random,
        in_flight_max: int,
    ) -> None:
        self.house = house
        self._ledger = ledger
        self._transports = transports
        self._pseudonym_key = pseudonym_key
        self._clock = clock
        self._new_id = new_id
        self._rng = rng
        self._in_flight_max = in_flight_max
        self._in_flight = 0
        self._last_status: dict[str, str] = {}

    async def answer(self, question: Question, actor: Actor, *, as_fhir: bool = False) -> Answer:
        """Answer one question; raises GatewayError. Two durable records enclose the disclosure."""
        house, inference = self.house, self._new_id("inf")
        check_words(house, question)
        deadline = asyncio.get_running_loop().time() + question.deadline_ms / 1000
        as_of = question.as_of or self._clock()
        ledger = self._ledger.about(inference, actor, question)
        with self._room():
            try:
                decision = authorise(house, question, actor)
                chart = read_chart(question.inputs, subject=question.subject)
                prepared = self._minimised(
                    house, question, actor, decision, chart, as_of, inference
                )
                allowed = let_through(prepared, ledger)
            except CallerError as refusal:
                await ledger.refused(refusal.code, getattr(refusal, "because", ()))
                raise
            ledger.decided(decision, allowed)
            asked = Asked(ledger, rfc3339(as_of), deadline, self._rng)
            replies = await self._ask(allowed, asked, question)  # each attempt recorded, then sent
            self._last_status.update({reply.tool: reply.status for reply in replies})
            replies = [*replies, *withheld_replies(prepared, allowed)]
            findings = attributed(replies, question, as_of)
            conflicts = detect(findings, house.rules, patient=question.subject)
            outcome = outcome_of(replies)
            facts = result_context(inference, question, decision, as_of, self._clock())
            fhir = bundle_of(facts, house, findings, conflicts, replies) if as_fhir else None
            receipt = await ledger.answered(
                outcome, replies, conflicts, findings_json=digestible(findings, conflicts)
            )
        log.info("answered", inference=inference, capability=question.capability, outcome=outcome)
        return Answer(
            id=inference,
            question=question,
            as_of=as_of,
            outcome=outcome,
            status=http_status(outcome, replies),
            findings=findings,
            conflicts=conflicts,
            replies=tuple(shown(replies)),
            revision=decision.revision,
            because=decision.because,
            receipt=receipt,
            retry_after_s=retry_after(outcome, replies),
            fhir=fhir,
        )

    def now(self) -> datetime:
        """The gateway's clock."""
        return self._clock()

    def tool_row(self, name: str) -> dict[str, Any]:
        """The row of ``GET /v1/tools``; ``healthy`` is null until the tool was asked once."""
        tool = self.house.tools[name]
        last = self._last_status.get(name)
        return {
            "tool": tool.tool,
            "vendor": tool.vendor,
            "product": tool.product,
            "version": tool.version,
            "adapter": tool.adapter,
            "capabilities": list(tool.capabilities),
            "mode": tool.mode,
            "lifecycle": tool.lifecycle,
            "breaker": None,
            "healthy": None if last is None else last in ("answered", "partial", "refused"),
        }

    def preview(self, question: Question, actor: Actor) -> list[Prepared]:
        """What each tool would receive; nothing is sent and nothing is recorded as disclosed."""
        check_words(self.house, question)
        decision = authorise(self.house, question, actor)
        chart = read_chart(question.inputs, subject=question.subject)
        as_of = question.as_of or self._clock()
        return self._minimised(self.house, question, actor, decision, chart, as_of, "preview")

    def _minimised(
        self,
        house: House,
        question: Question,
        actor: Actor,
        decision: Decision,
        chart: Chart,
        as_of: datetime,
        inference: str,
    ) -> list[Prepared]:
        """For each tool of the capability: what it needs, cut by what the role may send."""
        site = question.site or actor.site
        prepared = []
        for tool in asked_tools(house, question):
            pseudonyms = Pseudonyms(self._pseudonym_key, inference=inference, tool=tool.tool)
            subject = pseudonyms("Subject", question.subject)
            minimised = minimise(
                chart, tool, decision, subject_pseudonym=subject, pseudonyms=pseudonyms,
                as_of=as_of, study=question.study, purpose=question.purpose, role=actor.role,
                site=site,
            )  # fmt: skip
            endpoint = tool.endpoints.get(site or "", tool.endpoints.get("default", ""))
            adapter, transport = house.adapters[tool.adapter], self._transports.get(tool.tool)
            prepared.append(Prepared(tool, adapter, minimised, subject, endpoint, transport))
        return prepared

    async def _ask(
        self, prepared: Sequence[Prepared], asked: Asked, question: Question
    ) -> list[Reply]:
        """The live tools under the caller's strategy; the published score where one is missing."""
        live = [one for one in prepared if one.tool.mode != "fallback"]
        replies = await ask_all(live, asked, strategy=question.strategy)
        if all(reply.status == "answered" for reply in replies) and replies:
            return replies
        if question.strategy in ("first", "quorum") and any(
            r.status == "answered" for r in replies
        ):
            return replies
        fallbacks = [one for one in prepared if one.tool.mode == "fallback"]
        return [*replies, *await ask_all(fallbacks, asked, strategy="all")]

    def _room(self) -> _InFlight:
        if self._in_flight >= self._in_flight_max:
            raise Overloaded("too many questions at once", retry_after_s=1)
        return _InFlight(self)


class _InFlight:
    """Counts the questions that are being answered."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def __enter__(self) -> None:
        self._gateway._in_flight += 1

    def __exit__(self, *_: object) -> None:
        self._gateway._in_flight -= 1


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
    scope = {f"capability/{question.capability}.infer", "capability/*.infer"}
    if not scope & actor.scopes:
        raise AccessDenied("the token's scope does not cover this capability", because=("scope",))
    if question.purpose not in actor.purposes:
        raise AccessDenied("the token does not carry this purpose", because=("token purpose",))
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


def asked_tools(house: House, question: Question) -> list[Tool]:
    """The capability's tools in use, in the caller's order where the caller named some."""
    mine = {
        name: tool
        for name, tool in house.tools.items()
        if question.capability in tool.capabilities and tool.lifecycle in ("live", "canary")
        and tool.mode != "shadow"
    }  # fmt: skip
    if question.tools is None:
        return list(mine.values())
    if unknown := [name for name in question.tools if name not in mine]:
        raise QuestionInvalid(f"{len(unknown)} of the named tools do not serve this capability",
                              path="tools")  # fmt: skip
    named = [mine[name] for name in question.tools]
    return named + [t for t in mine.values() if t.mode == "fallback" and t not in named]


def let_through(prepared: Sequence[Prepared], ledger: InferenceLedger) -> list[Prepared]:
    """The tools that policy lets be asked; what is kept from the others is recorded."""
    allowed = [one for one in prepared if one.minimised.payload is not None]
    if not any(one.tool.mode != "fallback" for one in allowed):
        raise AccessDenied("policy withholds everything that the tools need", because=("needs",))
    for one in prepared:
        if one.minimised.payload is None:
            ledger.withheld(one)
    return allowed


def withheld_replies(prepared: Sequence[Prepared], allowed: Sequence[Prepared]) -> list[Reply]:
    """A row for each tool that policy kept out."""
    return [
        Reply(one.tool.tool, one.tool.version, one.tool.mode, "withheld_by_policy")
        for one in prepared
        if one not in allowed
    ]


def attributed(
    replies: Sequence[Reply], question: Question, as_of: datetime
) -> tuple[Finding, ...]:
    """All findings in one list, each with tool, version, encounter, study and moment.

    Subject, study and encounter come from the question, never from a vendor's echo.
    """
    return tuple(
        finding.model_copy(
            update={
                "tool": reply.tool,
                "tool_version": reply.version,
                "study": question.study,
                "encounter": question.encounter,
                "effective": finding.effective or rfc3339(as_of),
                "fallback": reply.mode == "fallback",
                "completeness": "partial" if reply.status == "partial" else finding.completeness,
            }
        )
        for reply in replies
        for finding in reply.findings
    )


def digestible(findings: Sequence[Finding], conflicts: Sequence[Conflict]) -> bytes:
    """The bytes whose SHA-256 the record keeps, so that an answer can be held against it."""
    return orjson.dumps(
        {
            "findings": [finding.model_dump(mode="json") for finding in findings],
            "conflicts": [conflict.model_dump(mode="json") for conflict in conflicts],
        },
        option=orjson.OPT_SORT_KEYS,
    )


def shown(replies: Sequence[Reply]) -> list[Reply]:
    """The replies for the answer: live tools first, then fallbacks, each in its order."""
    return sorted(replies, key=lambda reply: reply.mode == "fallback")


def result_context(
    inference: str, question: Question, decision: Decision, as_of: datetime, now: datetime
) -> ResultContext:
    """What all FHIR resources of one answer share."""
    return ResultContext(
        inference=inference,
        capability=question.capability,
        subject=question.subject,
        encounter=question.encounter,
        study=question.study,
        as_of=rfc3339(as_of),
        recorded=rfc3339(now),
        policy_revision=decision.revision,
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
    return result_bundle(context, findings, conflicts, outcomes)
