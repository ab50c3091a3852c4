"""Ask the prepared tools in parallel and say of each one what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from careweir.errors import AuditUnavailable
from careweir.fanout.attempt import (
    Attempted,
    AttemptLedger,
    Intent,
    Linger,
    Prepared,
    VendorBusy,
    attempt,
    build,
    compute,
)
from careweir.fanout.breaker import CircuitOpen
from careweir.fanout.bulkhead import Shed
from careweir.fanout.call import Progress, call
from careweir.fanout.guard import Guards
from careweir.fanout.hedge import hedged
from careweir.fanout.transport import ConnectionLost, EndpointRefused
from careweir.ids import new_id
from careweir.log import log
from careweir.question import Reply, Status, Strategy
from careweir_kit.adapter import VendorRequest
from careweir_kit.errors import (
    InputsMissing,
    VendorError,
    VendorProtocolBroken,
    VendorRefused,
    VendorThrottled,
    VendorTimedOut,
    VendorUnavailable,
    WrongPatient,
)

STATUS_OF: dict[type[VendorError], Status] = {
    CircuitOpen: "circuit_open",
    Shed: "overloaded",
    VendorTimedOut: "timed_out",
    VendorThrottled: "throttled",
    VendorRefused: "refused",
    WrongPatient: "wrong_patient",
    VendorProtocolBroken: "protocol_error",
    VendorUnavailable: "unavailable",
}
RECORD_SLOW_S = 0.5
LATER, LATER_SHARE = "later", 0.5  # they hold a tool's places for long: at most half of them
_SAYS_WHEN = (VendorThrottled, VendorBusy, CircuitOpen, Shed)


@dataclass(frozen=True, slots=True)
class Asked:
    """What all attempts of one question share."""

    ledger: AttemptLedger
    as_of: str
    deadline: float  # loop time
    guards: Guards
    linger: Linger | None = None  # what asks on when a vendor is still at work at the deadline
    hedges: bool = False  # policy allows a slow tool to be sent the same a second time
    client: str = ""  # the application that asks
    later: bool = False  # nobody waits: tools may take their longer deadlines


async def ask_all(prepared: Sequence[Prepared], asked: Asked, *, strategy: Strategy) -> list[Reply]:
    """One reply a tool, in the order given; raises AuditUnavailable when nothing can be recorded.

    ``all`` waits for every tool, ``first`` for the first whole answer, ``quorum`` for whole
    answers of more than half, ``primary`` asks the first tool and the others only if it fails.
    A tool that is no longer waited for is cancelled: its reply is ``unknown``.
    """
    if strategy == "primary" and len(prepared) > 1:
        first = await ask_one(prepared[0], asked, Progress())
        if first.status == "answered":
            return [first]
        return [first, *await ask_all(prepared[1:], asked, strategy="all")]
    enough = {"first": 1, "quorum": len(prepared) // 2 + 1}.get(strategy, len(prepared))
    states = [Progress() for _ in prepared]
    tasks = [
        asyncio.create_task(ask_one(one, asked, state))
        for one, state in zip(prepared, states, strict=True)
    ]
    try:
        await _until_enough(tasks, enough)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return [_result(*one) for one in zip(tasks, prepared, states, strict=True)]


async def _until_enough(tasks: Sequence[asyncio.Task[Reply]], enough: int) -> None:
    waiting = set(tasks)
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()  # AuditUnavailable ends the question: nothing more is sent
        finished = [task.result() for task in tasks if task.done()]
        if sum(reply.status == "answered" for reply in finished) >= enough:
            return


def _result(task: asyncio.Task[Reply], prepared: Prepared, state: Progress) -> Reply:
    if not task.cancelled():
        return task.result()
    return _reply(prepared, state, 0.0, "unknown", "no longer waited for")


async def ask_one(prepared: Prepared, asked: Asked, state: Progress) -> Reply:
    """Ask one tool, with retries where they are safe; never raises VendorError."""
    tool, loop = prepared.tool, asyncio.get_running_loop()
    started = loop.time()
    allowed_ms = tool.deadline_later_ms if asked.later else None
    deadline = min(asked.deadline, started + (allowed_ms or tool.deadline_ms) / 1000)
    state.hurried = allowed_ms is None
    try:
        got = await _guarded(prepared, asked, deadline, state)
    except InputsMissing as error:
        return _reply(prepared, state, loop.time() - started, "refused", "inputs_missing",
                      without=error.names)  # fmt: skip
    except VendorError as error:
        status = _status(prepared, error)
        if isinstance(error, EndpointRefused):
            log.error("endpoint refused", tool=tool.tool)
        if isinstance(error, WrongPatient) and state.disclosure is not None:
            _hold(prepared, asked, state.disclosure)
        log.info("tool gave no answer", tool=tool.tool, status=status, attempts=state.attempts)
        retry_after_s = error.retry_after_s if isinstance(error, _SAYS_WHEN) else None
        return _reply(prepared, state, loop.time() - started, status, str(error) or error.code,
                      retry_after_s=retry_after_s, without=state.without)  # fmt: skip
    except AuditUnavailable:
        raise
    except Exception as error:
        log.error("adapter crashed", tool=tool.tool, exc_info=error)
        return _reply(prepared, state, loop.time() - started, "protocol_error", "adapter crashed")
    return _answered(prepared, state, loop.time() - started, got)


def _hold(prepared: Prepared, asked: Asked, disclosure: str) -> None:
    """INVARIANT: a tool that answered about another patient is not asked again without a person."""
    tool = prepared.tool.tool
    asked.guards.hold(tool, disclosure)
    asked.ledger.held(tool, disclosure)
    log.error("tool held", tool=tool, disclosure=disclosure)


async def _guarded(prepared: Prepared, asked: Asked, deadline: float, state: Progress) -> Attempted:
    if prepared.transport is None:
        return compute(prepared, asked.ledger, as_of=asked.as_of)
    if asked.guards.held(prepared.tool.tool) is not None:
        raise CircuitOpen("held for a person: it answered about another patient")
    guard, tool = asked.guards.of(prepared.tool), prepared.tool

    async def ask(here: Prepared, mine: Progress) -> Attempted:
        async def once(at: Prepared) -> Attempted:
            return await _recorded_attempt(at, asked, deadline, mine)

        mine.hurried = state.hurried
        party = LATER if asked.later else asked.client
        share = LATER_SHARE if asked.later else 1.0
        return await call(
            here, guard, once, deadline=deadline, progress=mine, party=party, share=share
        )

    if not asked.hedges or tool.hedge_after_ms is None:
        return await ask(prepared, state)
    after_s = tool.hedge_after_ms / 1000
    return await hedged(ask, prepared, state, after_s=after_s, may=guard.budget.spend)


async def _recorded_attempt(
    prepared: Prepared, asked: Asked, deadline: float, state: Progress
) -> Attempted:
    """INVARIANT: the intent is committed before the first byte of the request leaves."""
    loop = asyncio.get_running_loop()
    state.exchange_s = 0.0
    left_ms = int((deadline - loop.time()) * 1000)
    if left_ms <= 0:
        raise VendorTimedOut("the deadline passed before the tool could be asked")
    request_id = new_id("att")
    request = build(prepared, request_id=request_id, as_of=asked.as_of, deadline_ms=left_ms)
    state.without = request.without
    intent = await _intended(prepared, request, asked, deadline, state)
    began = loop.time()
    try:
        return await attempt(
            prepared,
            request,
            intent,
            asked.ledger,
            request_id=request_id,
            as_of=asked.as_of,
            deadline=deadline,
            linger=asked.linger,
        )
    finally:
        state.exchange_s = loop.time() - began


async def _intended(
    prepared: Prepared, request: VendorRequest, asked: Asked, deadline: float, state: Progress
) -> Intent:
    """Wait for the record no longer than for a vendor; an intent that comes later is not sent.

    A record that took long is what failed, whatever tool was to be asked: the question ends.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout_at(deadline):
            intent = await asked.ledger.intend(prepared, request, state.attempts + 1)
    except TimeoutError:
        if loop.time() - began >= RECORD_SLOW_S:
            raise AuditUnavailable("the record is too slow", retry_after_s=1) from None
        raise VendorTimedOut("the deadline passed before the tool could be asked") from None
    state.attempts += 1
    state.disclosure = intent.disclosure
    return intent


def _status(prepared: Prepared, error: VendorError) -> Status:
    """A request that left and got lost is ``unknown`` for a tool that may not be asked again."""
    for kind, status in STATUS_OF.items():
        if isinstance(error, kind):
            lost = isinstance(error, ConnectionLost) and prepared.tool.idempotent == "none"
            return "unknown" if lost else status
    return "protocol_error"


def _answered(prepared: Prepared, state: Progress, seconds: float, got: Attempted) -> Reply:
    parsed = got.parsed
    status: Status = "answered" if parsed.completeness == "full" else "partial"
    reply = _reply(prepared, state, seconds, status, None, without=got.without)
    return Reply(
        tool=reply.tool,
        version=parsed.model_version or prepared.tool.version,
        mode=reply.mode,
        status=status,
        latency_ms=reply.latency_ms,
        attempts=reply.attempts,
        disclosure=got.disclosure,
        without=got.without,
        notes=parsed.notes,
        findings=parsed.findings,
    )


def _reply(
    prepared: Prepared,
    state: Progress,
    seconds: float,
    status: Status,
    reason: str | None,
    *,
    without: tuple[str, ...] = (),
    retry_after_s: float | None = None,
) -> Reply:
    tool = prepared.tool
    return Reply(
        tool=tool.tool,
        version=tool.version,
        mode=tool.mode,
        status=status,
        reason=reason,
        latency_ms=round(seconds * 1000),
        attempts=state.attempts,
        disclosure=state.disclosure,
        without=without,
        retry_after_s=retry_after_s,
    )
