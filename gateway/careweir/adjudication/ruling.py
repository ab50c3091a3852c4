"""A verdict as somebody gives it, checked against the policy's words."""

from __future__ import annotations

from dataclasses import dataclass

from careweir.adjudication.dispute import Dispute
from careweir.adjudication.policy import AdjudicationPolicy
from careweir.errors import QuestionInvalid

RATIONALE_MAX = 4000


@dataclass(frozen=True, slots=True)
class Ruling:
    """A verdict as somebody gives it."""

    verdict: str
    preferred_finding: int | str | None
    rationale: str
    seen: str | None = None  # the ``mark`` of what was read; None: not said


def verdict_of(ruling: Ruling, policy: AdjudicationPolicy) -> str:
    """The policy's name of a verdict, or QuestionInvalid."""
    verdict = policy.verdict(ruling.verdict)
    if verdict is None:
        known_words = ", ".join(policy.verdicts)
        raise QuestionInvalid(f"must be one of {known_words}", path="verdict")
    return verdict


def checked_rationale(text: str) -> str:
    """Why, in one line of spaces; raises QuestionInvalid."""
    why = " ".join(text.split())
    if not 3 <= len(why) <= RATIONALE_MAX or not why.isprintable():
        raise QuestionInvalid("say why, in 3 to 4000 printable characters", path="rationale")
    return why


def preferred_side(
    dispute: Dispute, verdict: str, policy: AdjudicationPolicy, given: int | str | None
) -> int | None:
    """The position of the preferred finding: given as one, or as a tool's or a finding's name."""
    if policy.verdicts[verdict].counts != "prefer":
        if given is not None:
            raise QuestionInvalid("this verdict prefers no finding", path="preferred_finding")
        return None
    if isinstance(given, str):
        named = [
            at
            for at, side in enumerate(dispute.sides)
            if given in (side.tool, side.finding.get("id"))
        ]
        given = named[0] if len(named) == 1 else None
    if given is None or not 0 <= given < len(dispute.sides):
        last = len(dispute.sides) - 1
        raise QuestionInvalid(
            f"name the preferred finding: its position, 0 to {last}, or its tool",
            path="preferred_finding",
        )
    return given
