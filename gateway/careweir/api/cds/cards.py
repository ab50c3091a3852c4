"""From an answer to cards: one a tool, one for conflicts, one for what is missing.

Nothing is merged, ranked or hidden. A card never carries a suggestion that an EHR could apply by
itself: what a tool recommends stands in words. Text that came from a vendor is made inert.

Source: CDS Hooks 2.0.1, Card attributes (summary below 140 characters; detail is Markdown).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from careweir.question import Answer, Reply
from careweir.stages import House
from careweir_fhir import systems
from careweir_fhir.elements import inert, words
from careweir_fhir.model import Finding

SUMMARY_MAX: Final = 139
OVERRIDE_SYSTEM: Final = "urn:careweir:override-reason"
OVERRIDE_REASONS: Final = {
    "already-addressed": "Already addressed",
    "not-applicable": "Does not apply to this patient",
    "disagree": "I disagree with the finding",
    "data-wrong": "It rests on wrong or old data",
    "will-review": "I will look at it later",
}
_URGENT_BANDS: Final = frozenset({"high", "very high", "critical", "severe"})
_TAG: Final = re.compile(r"<(?=[A-Za-z/!?])")
_HORIZON: Final = re.compile(
    r"^P(?:T(?P<time>\d+)(?P<of_day>[HM])|(?P<days>\d+)(?P<of_year>[DWMY]))$"
)
_UNITS: Final = {"H": "h", "M": "min", "D": "days", "W": "weeks", "m": "months", "Y": "years"}


def cards(house: House, answer: Answer, *, cut: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The cards of one answer; ``cut`` names prefetch keys of which only a page was given."""
    shown = [_of_tool(house, answer, reply) for reply in answer.replies if reply.findings]
    if answer.conflicts:
        shown.insert(0, _of_conflicts(house, answer))
    if (missing := _of_missing(house, answer, cut)) is not None:
        shown.append(missing)
    return shown


def card_uuid(inference: str, about: str) -> str:
    """The uuid of a card: the same for the same answer and tool, so that feedback finds it."""
    return str(uuid5(NAMESPACE_URL, f"urn:careweir:card:{inference}:{about}"))


def _of_tool(house: House, answer: Answer, reply: Reply) -> dict[str, Any]:
    product = house.tools[reply.tool].product
    said = [headline(finding) for finding in reply.findings]
    lead = f"{product} (fallback): " if reply.mode == "fallback" else f"{product}: "
    detail = [f"- {inert(line)}{_why(finding)}" for line, finding in
              zip(said, reply.findings, strict=True)]  # fmt: skip
    detail += [f"- went without: {inert(name)}" for name in reply.without]
    detail += [f"- note: {inert(note)}" for note in reply.notes]
    if reply.mode == "fallback":
        detail.append("- This is a published score, not the answer of an AI tool.")
    if reply.status == "partial":
        detail.append("- The answer is incomplete.")
    return _card(
        answer,
        about=reply.tool,
        summary=_short(lead, said),
        indicator="warning" if any(map(_urgent, reply.findings)) else "info",
        label=f"{product} {reply.version or ''}".strip(),
        detail=detail,
        extra={"org.careweir.tool": reply.tool, "org.careweir.disclosure": reply.disclosure},
    )


def _of_conflicts(house: House, answer: Answer) -> dict[str, Any]:
    count = len(answer.conflicts)
    tools = sorted({tool for one in answer.conflicts for tool in answer.tools_of(one)})
    names = [house.tools[tool].product if tool in house.tools else tool for tool in tools]
    return _card(
        answer,
        about="conflicts",
        summary=_short("", [f"{' and '.join(names)} contradict each other"
                            + (f" in {count} points" if count > 1 else "")]),
        indicator="warning",
        label="careweir",
        detail=[f"- {one.severity}: {inert(one.reason)}" for one in answer.conflicts],
        extra={"org.careweir.conflicts": [one.rule for one in answer.conflicts]},
    )  # fmt: skip


def _of_missing(house: House, answer: Answer, cut: Sequence[str]) -> dict[str, Any] | None:
    """What the reader must know that the cards above do not say; None when all is there."""
    lines = [
        f"- {house.tools[reply.tool].product}: {reply.status.replace('_', ' ')}"
        + (f" ({inert(reply.reason)})" if reply.reason else "")
        for reply in answer.replies
        if reply.status != "answered"
    ]
    lines += [f"- the EHR gave only the first page of {key}" for key in cut]
    silent = [reply for reply in answer.replies if not reply.findings]
    lines += [f"- {house.tools[reply.tool].product} found nothing to report"
              for reply in silent if reply.status == "answered"]  # fmt: skip
    if not lines:
        return None
    title = house.capabilities[answer.question.capability].title
    summary = {
        "failed": f"{title}: no tool gave an answer",
        "degraded": f"{title}: not every tool gave a whole answer",
        "complete": f"{title}: what the other cards do not show",
    }[answer.outcome]
    return _card(
        answer, about="missing", summary=_short("", [summary]), indicator="info", label="careweir",
        detail=lines, extra={"org.careweir.outcome": answer.outcome},
    )  # fmt: skip


def _card(
    answer: Answer,
    *,
    about: str,
    summary: str,
    indicator: str,
    label: str,
    detail: Iterable[str],
    extra: dict[str, Any],
) -> dict[str, Any]:
    reasons = [
        {"system": OVERRIDE_SYSTEM, "code": code, "display": display}
        for code, display in OVERRIDE_REASONS.items()
    ]
    topic = {"system": systems.CAPABILITY, "code": answer.question.capability}
    receipt = f"{answer.receipt.writer}/{answer.receipt.seq}"
    return {
        "uuid": card_uuid(answer.id, about),
        "summary": summary,
        "indicator": indicator,
        "source": {"label": label, "topic": topic},
        "detail": "\n".join([*detail, "", f"Answer `{answer.id}`, record `{receipt}`."]),
        "overrideReasons": reasons,
        "extension": {"org.careweir.inference": answer.id}
        | {name: value for name, value in extra.items() if value is not None},
    }


def headline(finding: Finding) -> str:
    """One finding in one line of plain words."""
    about = _name(finding.code.display, finding.code.code, "unnamed")
    who = f" ({finding.subject_context})" if finding.subject_context else ""
    match finding.kind:
        case "risk":
            said = f"{about} {_risk(finding)}{_within(finding.horizon)}"
        case "assertion":
            side = f"{finding.laterality} " if finding.laterality else ""
            said = f"{side}{about} {finding.polarity or 'mentioned'}"
        case "measurement":
            said = f"{about} {finding.value} {finding.unit or ''}"
        case "recommendation":
            target = finding.target
            what = _name(target.display, target.code, about) if target is not None else about
            said = f"{finding.action or 'consider'} {what}"
        case "coding":
            said = f"code {finding.code.code or '?'} {about}"
        case "triage":
            said = f"{about} {finding.value}" + (f" on {finding.scale}" if finding.scale else "")
        case _:
            said = f"draft text, to be read and signed: {about}"
    return (words(f"{said}{who}") or "unnamed").replace("\n", " ")


def _name(*candidates: str | None) -> str:
    return next(_dead(text) for text in candidates if text)


def _dead(text: str) -> str:
    """A vendor's words in which no tag and no link is left, wherever a client shows them."""
    return _TAG.sub("‹", text).replace("](", "] (")


def _risk(finding: Finding) -> str:
    if isinstance(finding.value, str):
        return finding.value
    share = "risk not given" if finding.value is None else _percent(finding.value)
    return f"{share} ({finding.threshold_band})" if finding.threshold_band else share


def _percent(share: float) -> str:
    """A probability as people read it; rounding never makes it certain."""
    if 0.99 < share < 1:
        return ">99%"
    return "<1%" if 0 < share < 0.01 else f"{share:.0%}"


def _within(horizon: str | None) -> str:
    found = _HORIZON.fullmatch(horizon or "")
    if found is None:
        return f" within {horizon}" if horizon else ""
    number, letter = found["time"] or found["days"], found["of_day"] or found["of_year"]
    months = letter == "M" and found["days"] is not None
    return f" within {number} {_UNITS['m' if months else letter]}"


def _why(finding: Finding) -> str:
    """What the tool says for itself: its reasons, and a confidence with its kind."""
    parts = [inert(_dead(reason)) for reason in finding.explanation]
    if finding.confidence is not None:
        kind = finding.confidence_kind.replace("_", " ")
        parts.append(f"confidence {finding.confidence:.2f} ({kind})")
    if finding.kind == "document" and isinstance(finding.value, str):
        parts.append(inert(_dead(" ".join(finding.value.split()))))
    return f": {'; '.join(parts)}" if parts else ""


def _urgent(finding: Finding) -> bool:
    """Whether the card is a warning; how a card looks is ours, what it says is the tool's."""
    if finding.subject_context:
        return False
    band = (finding.threshold_band or "").lower()
    return band in _URGENT_BANDS or (finding.kind == "assertion" and finding.polarity == "present")


def _short(lead: str, said: Sequence[str]) -> str:
    """As many headlines as a summary holds, and how many more there are."""
    shown = f"{lead}{said[0]}"
    for index, line in enumerate(said[1:], start=1):
        more = f"; +{len(said) - index} more"
        longer = f"{shown}; {line}"
        room = SUMMARY_MAX - (len(f"; +{len(said)} more") if index < len(said) - 1 else 0)
        if len(longer) > room:
            shown += more
            break
        shown = longer
    return shown if len(shown) <= SUMMARY_MAX else shown[: SUMMARY_MAX - 1] + "…"
