"""When asking again is safe, and how long to wait: tenacity does the counting."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.stop import stop_before_delay

from careweir.fanout.transport import NeverSent
from careweir_kit.errors import VendorThrottled, VendorUnavailable
from careweir_kit.tool import Tool

BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 2.0

Sleep = Callable[[float], Awaitable[None]]


class VendorBusy(VendorUnavailable):
    """The vendor said itself that it did not take the request (503): asking again is safe."""


def may_ask_again(tool: Tool, error: BaseException) -> bool:
    """True when a second call cannot double an effect: nothing left, or the vendor said so.

    A request that may have been taken is sent again only to a tool whose file says that it can
    be (``idempotent``): every attempt is a disclosure of its own.
    """
    if isinstance(error, NeverSent | VendorThrottled | VendorBusy):
        return True
    return isinstance(error, VendorUnavailable) and tool.idempotent != "none"


def retrying(tool: Tool, *, seconds_left: float, sleep: Sleep, rng: random.Random) -> AsyncRetrying:
    """Full jitter from 0.1 s, Retry-After as the floor, never a wait that outlives the deadline."""

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        ceiling = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** (state.attempt_number - 1))
        jittered = rng.uniform(0, ceiling)
        asked = error.retry_after_s if isinstance(error, VendorThrottled) else None
        return max(jittered, asked or 0.0)

    return AsyncRetrying(
        retry=retry_if_exception(lambda error: may_ask_again(tool, error)),
        wait=wait,
        stop=stop_after_attempt(tool.attempts_max) | stop_before_delay(seconds_left),
        sleep=sleep,
        reraise=True,
    )
