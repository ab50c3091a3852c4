"""What a check says, and how checks add up to a tier."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from careweir_fhir.model import Finding
from careweir_kit.adapter import Ask
from careweir_kit.registry import LoadedAdapter
from careweir_kit.tool import Tool

Tier = Literal["bronze", "silver", "gold"]
TIERS: Final[tuple[Tier, ...]] = ("bronze", "silver", "gold")
State = Literal["pass", "fail", "exempt"]

CANARY: Final = "CANARY-7f3a-vendor-words"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; ``detail`` says what was seen, in our own words."""

    name: str
    passed: bool
    detail: str = ""
    tier: Tier = "bronze"
    exempt: str = ""  # the manifest's written reason why a failure is accepted

    @property
    def state(self) -> State:
        """A failure that the manifest gives a reason for is exempt; a pass needs none."""
        if self.passed:
            return "pass"
        return "exempt" if self.exempt else "fail"


@dataclass(frozen=True, slots=True)
class Report:
    """Every check of one adapter. ``tier`` is earned, ``claimed`` is what its manifest says."""

    adapter: str
    claimed: Tier
    checks: tuple[Check, ...]
    url: str | None = None  # the real server that was asked, if any

    @property
    def tier(self) -> Tier | None:
        """The highest tier of which, and below which, nothing fails and something was checked."""
        earned: Tier | None = None
        for tier in TIERS:
            states = [check.state for check in self.checks if check.tier == tier]
            if not states or "fail" in states:
                break
            earned = tier
        return earned

    @property
    def passed(self) -> bool:
        """Whether the claim holds: no check of the claimed tier or of one below fails."""
        claimed = TIERS[: TIERS.index(self.claimed) + 1]
        states = [check.state for check in self.checks if check.tier in claimed]
        return bool(states) and "fail" not in states

    def as_json(self) -> dict[str, Any]:
        """The report as data."""
        return {
            "adapter": self.adapter,
            "claimed": self.claimed,
            "tier": self.tier,
            "passed": self.passed,
            "url": self.url,
            "checks": [
                {"name": c.name, "tier": c.tier, "state": c.state, "detail": c.detail}
                | ({"reason": c.exempt} if c.state == "exempt" else {})
                for c in self.checks
            ],
        }


@dataclass(frozen=True, slots=True)
class Called:
    """What became of one call over a socket; ``status`` is a status of CONTRACT ``tools[]``.

    ``said`` is everything that would be shown or logged about it, but for the findings.
    """

    status: str
    findings: tuple[Finding, ...] = ()
    attempts: int = 0
    retry_after_s: float | None = None
    said: str = ""


class Call(Protocol):
    """Ask a server as the gateway asks it: its transport, deadline, retries and checks.

    The kit opens no socket to a vendor, so whoever runs the checks brings this
    (``careweir.rehearse.call``).
    """

    def __call__(
        self, adapter: LoadedAdapter, tool: Tool, ask: Ask, *, url: str, deadline_ms: int
    ) -> Awaitable[Called]:
        """Never raises VendorError."""
        ...

    async def close(self) -> None:
        """Close the connections; may be called again afterwards."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is checked: an adapter with the tool file that the checks use."""

    adapter: LoadedAdapter
    tool: Tool
    exemptions: Mapping[str, str] = field(default_factory=dict)


def graded(tier: Tier, checks: Sequence[Check]) -> list[Check]:
    """The same checks, as those of a tier."""
    return [Check(c.name, c.passed, c.detail, tier) for c in checks]
