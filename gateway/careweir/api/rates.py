"""How often one application may ask: a bucket for each, refilled steadily.

Per application and not per person: a busy ward behind one EHR is one caller, and an engine that
runs wild is stopped without anybody else noticing. The limit is this process's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from careweir.errors import ConfigInvalid, RateExceeded
from careweir.log import log
from careweir_kit.strict_yaml import YamlRefused, load_mapping

CLIENTS_MAX: Final = 10_000  # buckets; a full one says nothing and is the first to go
SAID_EVERY_S: Final = 60.0
PER_S_MAX: Final = 1_000_000.0


@dataclass(frozen=True, slots=True)
class Rate:
    """``per_s`` requests a second on average, ``burst`` at once."""

    per_s: float
    burst: int


class Rates:
    """The buckets of all applications. INVARIANT: one application never uses up another's."""

    def __init__(
        self,
        default: Rate,
        own: Mapping[str, Rate],
        *,
        monotonic: Callable[[], float],
        refused: Callable[[], None],
    ) -> None:
        self._default = default
        self._own = own
        self._monotonic = monotonic
        self._refused = refused
        self._buckets: dict[str, _Bucket] = {}

    def take(self, client: str) -> None:
        """Count one request of an application; raises RateExceeded, which says when to return."""
        now = self._monotonic()
        bucket = self._buckets.get(client)
        if bucket is None:
            self._forget(now)
            bucket = self._buckets[client] = _Bucket(self._own.get(client, self._default), now)
        wait_s = bucket.take(now)
        if wait_s > 0:
            self._refused()
            if bucket.say(now):
                log.warning("application over its rate", client=client)
            raise RateExceeded(
                "this application asks too often", retry_after_s=max(1, math.ceil(wait_s))
            )

    def _forget(self, now: float) -> None:
        """Drop buckets that are full again, when there are many."""
        if len(self._buckets) > CLIENTS_MAX:
            self._buckets = {c: b for c, b in self._buckets.items() if not b.full(now)}


class _Bucket:
    __slots__ = ("_at", "_left", "_rate", "_said_at")

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._left = float(rate.burst)
        self._at = now
        self._said_at = -math.inf

    def take(self, now: float) -> float:
        """Take one; 0 if there was one, else the seconds until there will be."""
        self._fill(now)
        if self._left >= 1:
            self._left -= 1
            return 0.0
        return (1 - self._left) / self._rate.per_s

    def say(self, now: float) -> bool:
        """Is it time to say once more that this one asks too often?"""
        due = now - self._said_at >= SAID_EVERY_S
        self._said_at = now if due else self._said_at
        return due

    def full(self, now: float) -> bool:
        self._fill(now)
        return self._left >= self._rate.burst

    def _fill(self, now: float) -> None:
        self._left = min(self._rate.burst, self._left + (now - self._at) * self._rate.per_s)
        self._at = now


class _Row(msgspec.Struct, forbid_unknown_fields=True):
    per_s: float
    burst: int


def load_rates(file: Path | None) -> dict[str, Rate]:
    """``client_id: {per_s, burst}`` of a YAML file; raises ConfigInvalid."""
    if file is None:
        return {}
    try:
        rows = msgspec.convert(load_mapping(file.read_text("utf-8")), type=dict[str, _Row])
    except (OSError, YamlRefused, msgspec.ValidationError):
        raise ConfigInvalid(f"{file.name}: must hold client: {{per_s, burst}}") from None
    if not all(0 < row.per_s <= PER_S_MAX and row.burst >= 1 for row in rows.values()):
        raise ConfigInvalid(f"{file.name}: per_s must be above 0 and burst at least 1")
    return {client: Rate(row.per_s, row.burst) for client, row in rows.items()}
