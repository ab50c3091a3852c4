"""The way down when tools are missing: which steps an answer took, and why. Pure.

all tools → fewer → a previous answer with its age → a published score → honest failure.
``policies/capabilities.yaml`` says which of the middle steps a question has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from careweir.access.purposes import Purposes
from careweir.capabilities import Capability
from careweir.errors import ConfigInvalid
from careweir.log import log
from careweir.question import Outcome, Question, Reply
from careweir_kit.tool import Tool

_SAID = ("answered", "partial")


def check_ladders(
    capabilities: Mapping[str, Capability], tools: Mapping[str, Tool], purposes: Purposes
) -> None:
    """Refuse a ladder that names what is no score, or leaves one out; raises ConfigInvalid.

    A score whose tool file a site took away is only said in the log: that step is shorter there.
    """
    for name, one in capabilities.items():
        scores = one.ladder.scores
        mine = {t.tool for t in tools.values() if t.mode == "fallback" and name in t.capabilities}
        if scores is not None:
            _check_scores(name, scores, mine, tools)
        previous = one.ladder.previous
        named = set(one.hedging) | set(() if previous is None else previous.purposes)
        if not named <= set(purposes.parents):
            raise ConfigInvalid(f"capabilities.yaml: {name}: ladder or hedging: unknown purpose")


def _check_scores(
    name: str, scores: Sequence[str], mine: Set[str], tools: Mapping[str, Tool]
) -> None:
    if forgotten := sorted(mine - set(scores)):
        raise ConfigInvalid(f"capabilities.yaml: {name}: ladder.scores leaves out {forgotten[0]}")
    for score in scores:
        if score in tools and score not in mine:
            raise ConfigInvalid(f"capabilities.yaml: {name}: {score} is no score for it")
        if score not in tools:
            log.warning("a score of the ladder is not here", capability=name, tool=score)


def may_hedge(capability: Capability, question: Question, purposes: Purposes) -> bool:
    """Does policy allow a second disclosure of the same, only to be answered sooner?"""
    return any(purposes.covers(granted, question.purpose) for granted in capability.hedging)


def why_no_previous(capability: Capability, question: Question, purposes: Purposes) -> str | None:
    """Why policy shows no earlier answer for this question; None where it may."""
    policy = capability.ladder.previous
    if policy is None:
        return "not_in_policy"
    if not any(purposes.covers(granted, question.purpose) for granted in policy.purposes):
        return "purpose_not_in_policy"
    return "historic_question" if question.as_of is not None else None


def steps(
    outcome: Outcome,
    replies: Sequence[Reply],
    previous: Sequence[Mapping[str, Any]],
    because: str | None,
) -> tuple[dict[str, Any], ...]:
    """Every step in its order, taken or not; nothing for a complete answer."""
    if outcome == "complete":
        return ()
    live = [r for r in replies if r.mode == "live"]
    scores = [r for r in replies if r.mode == "fallback"]
    missing = [r.tool for r in live if r.status not in ("answered", "withheld_by_policy")]
    rungs = [
        _step("all", False, [], "tools_missing" if missing else "nobody_asked", missing=missing),
        _step("fewer", _said(live), [r.tool for r in live if r.status in _SAID], "none_answered"),
        _step("previous", bool(previous), [str(one["tool"]) for one in previous],
              because or "none_kept_for_these_inputs"),
        _step("score", _said(scores), [r.tool for r in scores if r.status in _SAID],
              "not_computable" if scores else "none_allowed_or_needed",
              inputs_missing={r.tool: list(r.without) for r in scores if r.without}),
        _step("failure", outcome == "failed", [], "something_was_answered"),
    ]  # fmt: skip
    return tuple(rungs)


def _said(replies: Sequence[Reply]) -> bool:
    return any(reply.status in _SAID for reply in replies)


def _step(name: str, taken: bool, tools: list[str], reason: str, **more: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"step": name, "taken": taken}
    row |= {"tools": tools} if tools else {}
    row |= {} if taken else {"reason": reason}
    return row | {key: value for key, value in more.items() if value}
