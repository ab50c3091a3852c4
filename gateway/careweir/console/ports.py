"""What the console needs of the gateway around it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from starlette.requests import Request

from careweir.access import Actor, PolicySet
from careweir.adjudication import Adjudication
from careweir.audit import AuditTrail, Report
from careweir.capabilities import Capability
from careweir.console.verifying import Verification
from careweir.ledger import Ledger
from careweir_kit.tool import Tool


class Verifier(Protocol):
    """Turns an Authorization header into an Actor; raises NotAuthenticated."""

    async def actor(self, authorization: str | None) -> Actor:
        """The actor of one bearer token."""
        ...


class House(Protocol):
    """What things are called here."""

    @property
    def policies(self) -> PolicySet:
        """Knows the titles of roles."""
        ...

    @property
    def capabilities(self) -> Mapping[str, Capability]:
        """Know their titles."""
        ...

    @property
    def tools(self) -> Mapping[str, Tool]:
        """The tools in use."""
        ...


class Gateway(Protocol):
    """The gateway, for its house only."""

    @property
    def house(self) -> House:
        """May be replaced whole by a reload."""
        ...


class Services(Protocol):
    """The part of ``app.state.services`` that the console uses."""

    @property
    def gateway(self) -> Gateway:
        """For names."""
        ...

    @property
    def verifier(self) -> Verifier:
        """For tokens."""
        ...

    trail: AuditTrail
    ledger: Ledger
    adjudication: Adjudication


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed checkpoint: how many entries it covers, their root, and the whole note."""

    size: int
    root: str
    note: str


def read_checkpoint(note: str | None) -> Checkpoint | None:
    """The first lines of a C2SP checkpoint: origin, size, root. None if it is none.

    Source: C2SP tlog-checkpoint.
    """
    lines = (note or "").splitlines()
    if note is None or len(lines) < 3 or not lines[1].isascii() or not lines[1].isdigit():
        return None
    return Checkpoint(int(lines[1]), lines[2], note)


async def _no_checkpoint() -> str | None:
    return None


@dataclass(frozen=True)
class Console:
    """What the start puts on ``app.state.console``.

    Args:
        patient_key: ``AuditKeys.patient_key``; what an auditor types goes in here and nowhere else.
        verify: checks the whole trail and blocks until it is done (``verify_apart``).
        clock: the gateway's clock.
        last_checkpoint: the newest checkpoint as a note, where the trail is sealed.
    """

    patient_key: Callable[[str], str]
    verify: Callable[[], Report]
    clock: Callable[[], datetime]
    last_checkpoint: Callable[[], Awaitable[str | None]] = _no_checkpoint
    verification: Verification = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "verification", Verification(self.verify, self.clock))


def services_of(request: Request) -> Services:
    """The services behind the pages."""
    services: Services = request.app.state.services
    return services


def console_of(request: Request) -> Console:
    """What only the console needs."""
    console: Console = request.app.state.console
    return console
