"""What a demonstration or a test puts in the place of the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from careweir.api.auth import TokenRules
from careweir.api.rates import Rate

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the demo and the tests replace; production passes none."""

    endpoints: Mapping[str, str] | None = None  # tool -> base URL
    secrets: Mapping[str, str] | None = None
    token_rules: TokenRules | None = None
    clock: Clock = utc_now
    seed: int | None = None
    rate: Rate | None = None  # None: what the settings say
    hold_s: float | None = None  # ends a hold by itself; None: a person does
    failures_min: int = 0  # no breaker opens after fewer
