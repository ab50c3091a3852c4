"""When asking again is safe, and how long to wait: tenacity does the counting."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from careweir.fanout.attempt import Attempted, VendorBusy
from careweir.fanout.budget import RetryBudget
from careweir.fanout.transport import EndpointRefused, NeverSent
from careweir_kit.errors import VendorError, VendorThrottled, VendorUnavailable
from careweir_kit.tool import Tool

BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 2.0

Sleep = Callable[[float], Awaitable[None]]
Clock = Callable[[], float]


def may_ask_again(tool: Tool, error: BaseException) -> bool:
    """True when a second call cannot double an effect: nothing left, or the vendor said so.

    A request that may have been taken is sent again only to a tool whose file says that it can
    be (``idempotent``): every attempt is a disclosure of its own.
    """
    if isinstance(error, EndpointRefused):
        return False
    if isinstance(error, NeverSent | VendorThrottled | VendorBusy):
        return True
    return isinstance(error, VendorUnavailable) and tool.idempotent != "none"


async def with_retries(
    once: Callable[[], Awaitable[Attempted]],
    tool: Tool,
    *,
    attempts_max: int,
    deadline: float,
    budget: RetryBudget,
    clock: Clock,
    sleep: Sleep,
    rng: random.Random,
) -> Attempted:
    """``once``, and again where that is safe and the vendor's budget has a repeat left.

    tenacity is entered after a first failure only: most calls have none.
    """
    try:
        return await once()
    except VendorError as error:
        if attempts_max == 1 or not may_ask_again(tool, error):
            raise
        first = error
    stop = (
        stop_after_attempt(attempts_max),
        lambda state: clock() + state.upcoming_sleep >= deadline,  # stop_before_delay, our clock
        lambda _state: not budget.spend(),  # last: a repeat is paid for when it will be made
    )
    retold = False
    async for again in AsyncRetrying(
        retry=retry_if_exception(lambda error: may_ask_again(tool, error)),
        wait=_wait(rng),
        stop=lambda state: any(reason(state) for reason in stop),
        sleep=sleep,
        reraise=True,
    ):
        with again:
            if not retold:
                retold = True
                raise first
            return await once()
    raise AssertionError("tenacity re-raises the last failure")


def _wait(rng: random.Random) -> Callable[[RetryCallState], float]:
    """Full jitter from 0.1 s, Retry-After as the floor."""

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        ceiling = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** (state.attempt_number - 1))
        jittered = rng.uniform(0, ceiling)
        asked = error.retry_after_s if isinstance(error, VendorThrottled | VendorBusy) else None
        return max(jittered, asked or 0.0)

    return wait
