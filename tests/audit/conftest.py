"""A clock that only goes when told, keys that are always the same, and trails on real files."""

from __future__ import annotations

import asyncio
import sqlite3
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


TRIGGERS = ("audit_no_update", "audit_no_delete", "audit_no_replace")


@pytest.fixture
def data_dir(opener: Opener, tmp_path: Path) -> Path:
    """Two boots of one replica with 40 disclosures in all, closed."""
    directory = tmp_path / "data"

    async def story() -> None:
        for boot in (0, 20):
            async with opener(directory) as trail:
                for n in range(boot, boot + 20):
                    trail.submit(Entry("decision", {"rule": "roles.yaml:12"}, inference=f"inf_{n}"))
                    await trail.append(intent(n, patient_key=f"{n % 3:032x}"))
                    await trail.append(outcome(n))

    asyncio.run(story())
    return directory


def tampered(data_dir: Path, *statements: str) -> None:
    """Change the database as its owner could: with the triggers put back afterwards."""
    db = sqlite3.connect(data_dir / "audit.db")
    db.create_function("spoil", 1, lambda body: body.replace(b"acme-sepsis", b"evil-sepsis"))
    db.create_function("flip", 1, lambda raw: bytes([raw[0] ^ 1]) + raw[1:])
    triggers = db.execute(
        "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit_entry'"
    ).fetchall()
    for name in TRIGGERS:
        db.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        assert db.execute(statement).rowcount > 0, statement
    for (sql,) in triggers:
        db.execute(sql)
    db.commit()
    db.close()
    (data_dir / "audit.db.seal").unlink(missing_ok=True)


async def exported(data_dir: Path, keys: AuditKeys, target: Path) -> None:
    """Export a trail to a file."""
    trail = await open_trail(
        data_dir=data_dir, database_url=None, replica="exporter", keys=keys, clock=Clock()
    )
    lines = [line async for line in trail.export()]
    target.write_bytes(b"".join(lines))  # noqa: ASYNC240
    await trail.close()


@pytest.fixture
def export(data_dir: Path, keys: AuditKeys) -> Path:
    target = data_dir / "export.ndjson"
    asyncio.run(exported(data_dir, keys, target))
    return target
