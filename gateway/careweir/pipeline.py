"""THE STORY: one question goes in, every tool's answer comes out. A line a stage."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from careweir.access import Actor, Decision
from careweir.adjudication import Reading, SecondReader
from careweir.errors import CallerError
from careweir.fanout import Asked, Guards, Linger, Prepared, ask_all
from careweir.ids import NewId, Pseudonyms
from careweir.ladder import may_hedge, steps, why_no_previous
from careweir.ledger import InferenceLedger, Ledger
from careweir.log import log
from careweir.metrics import Metrics
from careweir.minimise import Chart, minimise, read_chart
from careweir.outcome import http_status, outcome_of, retry_after
from careweir.pace import Pace
from careweir.previous import Previous, PreviousAnswers, marked
from careweir.question import Answer, Question, Reply, rfc3339
from careweir.sameness import Sameness
from careweir.source import Source, SourceUnavailable, fetch_chart, source_of
from careweir.stages import (
    Case,
    House,
    answered_now,
    attributed,
    authorise,
    check_words,
    compared,
    digestible,
    fallback_tools,
    live_tools,
    parted,
    result_context,
    satisfied,
    still_to_ask,
    withheld_replies,
)
from careweir.unsent import flagged, told_unsent
from careweir_fhir.model import Finding
from careweir_kit.tool import Tool


def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Run:
    """How a question is asked when it is more than one request's.

    Args:
        inference: its id, where it has one already.
        fence: false once another process may be answering the same question: nothing is sent then.
        resumed: somebody may have begun it before, so the record decides which tools are left.
        arrived: loop time from which the deadline counts; None: from when it is asked.
        later: nobody waits for it, so tools may take the longer deadlines of their files.
    """

    inference: str | None = None
    fence: Callable[[], bool] = _always
    resumed: bool = False
    arrived: float | None = None
    later: bool = False


ONE_REQUEST = Run()
# what asks on, for one inference and site, when a vendor is still at work at the deadline
Lingering = Callable[[str, str | None], Linger]
# inference, site, the tools that may push: told before anything is sent to them
Expecting = Callable[[str, str | None, Sequence[Prepared]], Awaitable[None]]


class Gateway:
    """The one gate. ``house`` may be replaced whole (a reload); a request keeps the one it took."""

    def __init__(
        self,
        house: House,
        *,
        ledger: Ledger,
        sources: Mapping[str, Source],
        second: SecondReader,
        previous: PreviousAnswers,
        pseudonym_key: bytes,
        clock: Callable[[], datetime],
        new_id: NewId,
        guards: Guards,
        pace: Pace,
        expecting: Expecting | None = None,
        lingering: Lingering | None = None,
    ) -> None:
        self.house = house
        self._ledger = ledger
        self._sources = sources
        self.second = second
        self._previous = previous
        self._pseudonym_key = pseudonym_key
        self._clock = clock
        self._new_id = new_id
        self.guards = guards
        self.pace = pace
        self._sameness = Sameness()
        self.metrics = Metrics(
            guards,
            in_flight=lambda: pace.in_flight,
            refused=lambda: pace.refused_total,
            stuck=lambda: self._sameness.stuck,
        )
        self._expecting = expecting
        self._lingering = lingering
        self._last_status: dict[str, str] = {}

    async def answer(self, question: Question, actor: Actor, *, run: Run = ONE_REQUEST) -> Answer:
        """Answer one question; raises GatewayError.

        INVARIANT: two durable records enclose every disclosure: the intent of each attempt before
        its first byte leaves, the outcome before the answer is given.
        """
        arrived = asyncio.get_running_loop().time() if run.arrived is None else run.arrived
        deadline = arrived + question.deadline_ms / 1000
        check_words(self.house, question)
        inference = run.inference or self._new_id("inf")
        ledger = self._ledger.about(inference, actor, question, fence=run.fence)
        with self.pace.room(arrived, deadline, actor.client), ledger.telling():
            case, live, withheld = await self._begun(inference, question, actor, ledger, deadline)
            ledger.decided(case.decision, live, withheld)
            live, lost = still_to_ask(live, await ledger.asked_before() if run.resumed else {})
            await self._expect_pushes(case, live)
            linger = self._lingering(inference, case.site) if self._lingering else None
            capability = case.house.capabilities[question.capability]
            hedges = may_hedge(capability, question, case.house.policies.purposes)
            until = self.pace.tools_until(deadline)
            asked = Asked(ledger, rfc3339(case.as_of), until, self.guards, linger, hedges,
                          actor.client, run.later)  # fmt: skip
            replies = await ask_all(live, asked, strategy=question.strategy)
            with self.pace.ending(until):
                replies += lost
                replies += await self._stood_in(case, asked, replies)
                replies += withheld_replies(withheld)
                kept_as, previous = await self._said_before(case, live, replies)
                replies = flagged(case.chart, live, marked(replies, previous))
                replies = self._sameness.flagged(question.subject, replies, case.house.tools)
                findings = attributed(case, replies)
                reading = await self._read_again(case, findings, live)
                conflicts = reading.conflicts
                outcome = outcome_of(replies, previous=bool(previous.rows))
                ladder = steps(outcome, replies, previous.rows, previous.because)
                receipt, *_ = await asyncio.gather(
                    ledger.answered(
                        outcome, replies, conflicts, findings_json=digestible(findings, conflicts),
                        by=self.pace.recorded_by(deadline),
                        previous=previous.rows, ladder=ladder, told_unsent=told_unsent(replies),
                    ),
                    self.second.remember(question.subject, reading),
                    self._keep(case, kept_as, replies, findings),
                )  # fmt: skip
                await self.second.open(question.subject, reading)
        self._last_status.update({reply.tool: reply.status for reply in replies})
        self.metrics.answered(question.capability, outcome, replies)
        log.info("answered", inference=inference, capability=question.capability, outcome=outcome)
        return Answer(
            id=inference,
            question=question,
            as_of=case.as_of,
            outcome=outcome,
            status=http_status(outcome, replies),
            findings=findings,
            conflicts=conflicts,
            replies=tuple(replies),
            revision=case.decision.revision,
            because=case.decision.because,
            break_glass=case.decision.break_glass,
            receipt=receipt,
            retry_after_s=retry_after(outcome, replies),
            context=result_context(case, self._clock()),
            earlier=tuple(reading.earlier),
            earlier_compared=reading.whole,
            compared_as=reading.answered.facts,
            previous=previous.rows,
            ladder=ladder,
        )

    async def admit(self, inference: str, question: Question, actor: Actor) -> None:
        """Refuse now what would be refused later, on the record; raises CallerError."""
        deadline = asyncio.get_running_loop().time() + question.deadline_ms / 1000
        check_words(self.house, question)
        ledger = self._ledger.about(inference, actor, question)
        if question.source is None:
            await self._begun(inference, question, actor, ledger, deadline)

    async def _read_again(
        self, case: Case, findings: Sequence[Finding], live: Sequence[Prepared]
    ) -> Reading:
        """Hold the findings against each other and against what was said before."""
        return await self.second.compare(
            case.question.subject,
            findings,
            answered_now(case, findings, live),
            actor=case.actor,
            policies=case.house.policies,
            detect=lambda found: compared(found, case.house.rules, patient=case.question.subject),
        )

    async def preview(self, question: Question, actor: Actor) -> list[Prepared]:
        """What each tool would receive; nothing is sent and nothing is recorded as disclosed."""
        check_words(self.house, question)
        ledger = self._ledger.about(self._new_id("inf"), actor, question)
        deadline = asyncio.get_running_loop().time() + question.deadline_ms / 1000
        case = await self._case("preview", question, actor, ledger, deadline)
        tools = live_tools(case.house, question) + fallback_tools(case.house, question)
        return self._minimised(case, tools)

    def now(self) -> datetime:
        """The gateway's clock."""
        return self._clock()

    def tool_row(self, name: str) -> dict[str, Any]:
        """The row of ``GET /v1/tools``; ``healthy`` is null until the tool was asked once.

        ``breaker`` is null for a score computed in this process; ``held`` names the disclosure
        for which a person must look before the tool is asked again; ``stuck`` says that it gives
        everybody the same score, ``subject_echo`` whether its answers must name the patient.
        """
        tool = self.house.tools[name]
        last = self._last_status.get(name)
        healthy = None if last is None else last in ("answered", "partial", "refused")
        hold = self.guards.held(name)
        breaker = self.guards.of(tool).state if name in self.house.transports else None
        if hold is not None:
            breaker = "open"
        return {
            "tool": tool.tool,
            "vendor": tool.vendor,
            "product": tool.product,
            "version": tool.version,
            "adapter": tool.adapter,
            "capabilities": list(tool.capabilities),
            "mode": tool.mode,
            "lifecycle": tool.lifecycle,
            "breaker": breaker,
            "healthy": False if breaker == "open" else healthy,
            "held": None if hold is None else {"disclosure": hold.disclosure},
            "stuck": name in self._sameness.stuck,
            "subject_echo": tool.subject_echo,
        }

    async def _begun(
        self,
        inference: str,
        question: Question,
        actor: Actor,
        ledger: InferenceLedger,
        deadline: float,
    ) -> tuple[Case, list[Prepared], list[Prepared]]:
        """The case, and its tools parted by policy; a refusal is durable before it is raised."""
        try:
            case = await self._case(inference, question, actor, ledger, deadline)
            live, withheld = parted(self._minimised(case, live_tools(case.house, question)))
        except (CallerError, SourceUnavailable) as refusal:
            rules, revision = getattr(refusal, "because", ()), self.house.policies.revision
            await ledger.refused(refusal.code, rules, revision=revision)
            raise
        return case, live, withheld

    async def _case(
        self,
        inference: str,
        question: Question,
        actor: Actor,
        ledger: InferenceLedger,
        deadline: float,
    ) -> Case:
        """Authorise first, then read or pull the chart; raises CallerError, SourceUnavailable."""
        house = self.house
        decision = authorise(house, question, actor)
        as_of = question.as_of or self._clock()
        site = question.site or actor.site
        chart = await self._chart(house, question, site, decision, as_of, ledger, deadline)
        return Case(inference, house, question, actor, decision, chart, as_of)

    async def _chart(
        self,
        house: House,
        question: Question,
        site: str | None,
        decision: Decision,
        as_of: datetime,
        ledger: InferenceLedger,
        deadline: float,
    ) -> Chart:
        """The caller's Bundle, or one pulled in at most half of the time that is left."""
        if question.source is None:
            return read_chart(question.inputs, subject=question.subject)
        source = source_of(self._sources, question.source, site=site)
        now = asyncio.get_running_loop().time()
        fetched = await fetch_chart(
            source,
            live_tools(house, question) + fallback_tools(house, question),
            decision,
            subject=question.subject,
            as_of=as_of,
            study=question.study,
            deadline=now + (deadline - now) / 2,
        )
        await ledger.fetched(source.name, fetched.asked, fetched.pages)
        return read_chart(fetched.bundle, subject=question.subject)

    def _minimised(
        self, case: Case, tools: Sequence[Tool], *, named_for: str | None = None
    ) -> list[Prepared]:
        """For each tool: what it needs, cut by what the role may send for the purpose.

        ``named_for`` takes other pseudonyms than this inference's, for what is never sent.
        """
        question, site = case.question, case.site
        scope = named_for or case.inference
        prepared = []
        for tool in tools:
            pseudonyms = Pseudonyms(self._pseudonym_key, inference=scope, tool=tool.tool)
            subject = pseudonyms("Subject", question.subject)
            minimised = minimise(
                case.chart,
                tool,
                case.decision,
                subject_pseudonym=subject,
                pseudonyms=pseudonyms,
                as_of=case.as_of,
                study=question.study,
                purpose=question.purpose,
                role=case.actor.role,
                site=site,
            )
            first, *others = tool.endpoints_for(site) or ("",)
            adapter = case.house.adapters[tool.adapter]
            transport = case.house.transports.get(tool.tool)
            prepared.append(
                Prepared(tool, adapter, minimised, subject, first, transport, tuple(others))
            )
        return prepared

    async def _expect_pushes(self, case: Case, live: Sequence[Prepared]) -> None:
        pushing = [one for one in live if one.tool.push is not None]
        if pushing and self._expecting is not None:
            await self._expecting(case.inference, case.site, pushing)

    async def _stood_in(self, case: Case, asked: Asked, replies: list[Reply]) -> list[Reply]:
        """The published scores, where a live tool gave no whole answer: in this process."""
        if satisfied(replies, case.question.strategy):
            return []
        prepared = self._minimised(case, fallback_tools(case.house, case.question))
        allowed = [one for one in prepared if one.minimised.payload is not None]
        return await ask_all(allowed, asked, strategy="all")

    async def _said_before(
        self, case: Case, live: Sequence[Prepared], replies: Sequence[Reply]
    ) -> tuple[dict[str, str], Previous]:
        """Under which name each tool's answer is kept, and what missing tools said before."""
        house, question = case.house, case.question
        capability = house.capabilities[question.capability]
        because = why_no_previous(capability, question, house.policies.purposes)
        if because is not None or case.decision.break_glass or capability.ladder.previous is None:
            return {}, Previous(because=because or "break_glass")
        tools = [one.tool for one in live if self.guards.held(one.tool.tool) is None]
        same = self._minimised(case, tools, named_for="previous answers")
        kept_as = {one.tool.tool: self._previous.key(one, question) for one in same}
        if satisfied(replies, question.strategy):
            return kept_as, Previous()
        age_max = capability.ladder.previous.age_max
        return kept_as, await self._previous.recall(kept_as, replies, age_max=age_max)

    async def _keep(
        self,
        case: Case,
        kept_as: Mapping[str, str],
        replies: Sequence[Reply],
        findings: Sequence[Finding],
    ) -> None:
        policy = case.house.capabilities[case.question.capability].ladder.previous
        if policy is not None and kept_as:
            await self._previous.keep(
                kept_as, replies, findings, inference=case.inference, site=case.site,
                age_max=policy.age_max,
            )  # fmt: skip
