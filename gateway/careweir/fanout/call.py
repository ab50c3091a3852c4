"""One tool, guarded: deadline( bulkhead( breaker( budgeted retry( recorded intent( attempt ))))."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from careweir.fanout.attempt import Attempted, Prepared, TakenForLater, VendorBusy
from careweir.fanout.breaker import Breaker, CircuitOpen
from careweir.fanout.containment import AdapterHung
from careweir.fanout.guard import Guard
from careweir.fanout.retry import may_ask_again, with_retries
from careweir.fanout.transport import EndpointRefused
from careweir_kit.errors import (
    VendorError,
    VendorRefused,
    VendorThrottled,
    VendorTimedOut,
    WrongPatient,
)


@dataclass(slots=True)
class Progress:
    """How far one tool has got; kept outside its task, so that a cancelled one is told too."""

    attempts: int = 0
    disclosure: str | None = None
    without: tuple[str, ...] = ()
    exchange_s: float = 0.0  # how long the vendor had the last attempt
    hurried: bool = True  # else a slow answer says nothing of the vendor: it was given the time


Once = Callable[[Prepared], Awaitable[Attempted]]


async def call(
    prepared: Prepared,
    guard: Guard,
    once: Once,
    *,
    deadline: float,
    progress: Progress,
    party: str = "",
    share: float = 1.0,
) -> Attempted:
    """Ask one tool under its guard; ``once`` records and makes one attempt. Raises VendorError.

    ``party`` and ``share``: whose call it is, and which part of the tool's places they may hold.
    """
    entered = await guard.bulkhead.enter(deadline, party, share=share)
    try:
        await guard.wait_out_pause(deadline)
        return await _over_endpoints(prepared, guard, once, deadline, progress)
    finally:
        guard.bulkhead.leave(entered, party)


async def _over_endpoints(
    prepared: Prepared, guard: Guard, once: Once, deadline: float, progress: Progress
) -> Attempted:
    """Each endpoint whose breaker lets it, one attempt each; the last gets what is left of them.

    Another endpoint is a second disclosure like any repeat: only where that is safe, and paid for
    from the same budget.
    """
    guard.budget.called()
    everywhere = (prepared.endpoint, *prepared.others)
    targets = [one for one in everywhere if guard.breaker(one).retry_after_s() <= 0]
    if not targets:
        raise _all_open(guard, everywhere)
    for number, endpoint in enumerate(targets, start=1):
        last = number == len(targets)
        left = max(1, prepared.tool.attempts_max - number + 1) if last else 1
        here = prepared if endpoint == prepared.endpoint else replace(prepared, endpoint=endpoint)
        try:
            return await _through(
                guard.breaker(endpoint), here, guard, once, left, deadline, progress
            )
        except VendorError as error:
            if last or not _may_fail_over(prepared, guard, error):
                raise
    raise AssertionError("the last endpoint returns or raises")


def _all_open(guard: Guard, endpoints: tuple[str, ...]) -> CircuitOpen:
    soonest = min(guard.breaker(one).retry_after_s() for one in endpoints)
    return CircuitOpen("not asked: it has failed too often lately", retry_after_s=soonest)


def _may_fail_over(prepared: Prepared, guard: Guard, error: VendorError) -> bool:
    if isinstance(error, CircuitOpen | EndpointRefused):
        return True  # nothing left, and nothing was tried that a budget bounds
    if isinstance(error, VendorThrottled):
        return False  # a limit holds for the account, not for one endpoint
    return may_ask_again(prepared.tool, error) and guard.budget.spend()


async def _through(
    breaker: Breaker,
    prepared: Prepared,
    guard: Guard,
    once: Once,
    attempts_max: int,
    deadline: float,
    progress: Progress,
) -> Attempted:
    ticket = breaker.admit()
    try:
        got = await with_retries(
            lambda: _attempt(prepared, guard, once),
            prepared.tool,
            attempts_max=attempts_max,
            deadline=deadline,
            budget=guard.budget,
            clock=guard.clock,
            sleep=guard.sleep,
            rng=guard.rng,
        )
    except VendorError as error:
        _tell(breaker, ticket, error, progress.exchange_s, patience_s=guard.patience_s)
        raise
    except BaseException:
        breaker.abandoned(ticket)
        raise
    breaker.succeeded(ticket, progress.exchange_s if progress.hurried else 0.0)
    return got


async def _attempt(prepared: Prepared, guard: Guard, once: Once) -> Attempted:
    try:
        got = await once(prepared)
    except VendorThrottled as error:
        guard.throttled(error.retry_after_s)
        raise
    except VendorBusy as error:
        if error.retry_after_s is not None:
            guard.throttled(error.retry_after_s)
        raise
    guard.took_it()
    return got


def _tell(
    breaker: Breaker, ticket: int, error: VendorError, seconds: float, *, patience_s: float
) -> None:
    """What one failed call says of the vendor.

    A vendor that declines, asks for a pause or answers about somebody else is alive: the first
    may be our request, the second has its pause, the third is held for a person. A time-out says
    something only if the vendor had at least a quarter of the tool's own deadline. An answer that
    cannot be read counts: each further question would be a disclosure for nothing.
    """
    if isinstance(error, AdapterHung):
        breaker.trip(ticket)  # each further one would stop every question for a second
    elif isinstance(error, VendorRefused | VendorThrottled | WrongPatient | TakenForLater):
        breaker.succeeded(ticket, seconds)
    elif isinstance(error, VendorTimedOut) and seconds < patience_s:
        breaker.abandoned(ticket)
    else:
        breaker.failed(ticket)
