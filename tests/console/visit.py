"""A gateway with a small history, and sessions at its console."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from support.running import Served


@dataclass
class History:
    """A gateway that has answered some questions."""

    gateway: Served
    base: str
    patient: str  # the reference that an auditor types
    whole: str  # a question that every tool answered
    degraded: str
    contested: str  # its tools contradict each other
    data: Path


@contextmanager
def session(history: History, role: str | None = "auditor") -> Iterator[httpx.Client]:
    """A browser's session without a browser; signed in as a role, or not at all."""
    with httpx.Client(
        base_url=history.base, headers={"Origin": history.base}, trust_env=False, timeout=30
    ) as client:
        if role is not None:
            client.post("/console/session", data={"token": history.gateway.tokens[role]})
        yield client
