"""What the mapper must know about the question and about the tools that were asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ToolStatus = Literal[
    "answered",
    "partial",
    "late",
    "timed_out",
    "unavailable",
    "throttled",
    "refused",
    "protocol_error",
    "wrong_patient",
    "circuit_open",
    "overloaded",
    "withheld_by_policy",
    "not_in_rollout",
    "unknown",
]
Mode = Literal["live", "shadow", "fallback"]


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """How one tool fared. ``reason`` is our own words; ``without``: inputs it went without."""

    tool: str
    vendor: str
    product: str
    version: str | None
    status: ToolStatus
    reason: str | None
    mode: Mode
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ResultContext:
    """The question that the results belong to.

    ``subject``, ``encounter`` and ``study`` are the caller's own references (``Patient/123``),
    never a vendor's echo. ``as_of`` and ``recorded`` are RFC 3339 with a time zone.
    """

    inference: str
    capability: str
    subject: str
    encounter: str | None
    study: str | None
    as_of: str
    recorded: str
    policy_revision: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where one result stands in the answer.

    ``device`` is the fullUrl of the Device that made it; ``stands_in_for`` names, when the tool
    is a fallback, the tools that did not answer.
    """

    id: str
    device: str
    tool: ToolOutcome
    context: ResultContext
    stands_in_for: tuple[str, ...] = ()
