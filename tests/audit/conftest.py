"""A clock that only goes when told, keys that are always the same, and trails on real files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from careweir.audit import AuditKeys, AuditTrail, Entry, open_trail

Opener = Callable[..., AbstractAsyncContextManager[AuditTrail]]


class Clock:
    """One millisecond further at each reading."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys() -> AuditKeys:
    return AuditKeys(mac=b"m" * 32, patient=b"p" * 32)


@pytest.fixture
def opener(tmp_path: Path, keys: AuditKeys, clock: Clock) -> Opener:
    @asynccontextmanager
    async def opened(data_dir: Path = tmp_path, replica: str = "gw") -> AsyncIterator[AuditTrail]:
        trail = await open_trail(
            data_dir=data_dir, database_url=None, replica=replica, keys=keys, clock=clock
        )
        try:
            yield trail
        finally:
            await trail.close()

    return opened


def intent(number: int = 1, **changes: str) -> Entry:
    """An intent to send something to a tool; its disclosure is ``dis_<number>``."""
    facts = {"inference": f"inf_{number}", "disclosure": f"dis_{number}", "tool": "acme-sepsis"}
    body = {"sent": ["Observation.valueQuantity"], "policy_revision": "sha256:0a"}
    return Entry("intent", body, actor="dr-1", client="ehr-1", **{**facts, **changes})


def outcome(number: int = 1, word: str = "answered") -> Entry:
    """What came of ``intent(number)``."""
    facts = {"inference": f"inf_{number}", "disclosure": f"dis_{number}", "tool": "acme-sepsis"}
    return Entry("outcome", {"latency_ms": 41}, actor="dr-1", client="ehr-1", outcome=word, **facts)
