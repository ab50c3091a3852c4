"""An entry of the trail as a sentence. Only names, codes and counts: the trail holds no values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from careweir.audit import Entry, Stored
from careweir.console.body import mapping, mappings, number, text, texts

OUTCOMES = {
    "permit": "allowed", "deny": "denied", "complete": "complete", "degraded": "degraded",
    "failed": "failed", "answered": "answered", "partial": "answered in part",
    "late": "answered too late", "timed_out": "did not answer in time",
    "unavailable": "could not be reached", "throttled": "asked to be left alone for a while",
    "refused": "refused the request", "protocol_error": "gave an answer that cannot be read",
    "wrong_patient": "answered about another patient", "circuit_open": "was not asked: it fails",
    "overloaded": "was not asked: too busy", "withheld": "withheld by policy",
    "withheld_by_policy": "was kept out by policy", "not_in_rollout": "is not in use here",
    "unknown": "may have received it; what became of it is not known",
    "held": "is held for a person", "released": "was let go by a person",
    "not_sent": "received nothing: it was never sent",
    "repeated": "was sent before: not used twice",
    "error": "failed in an unforeseen way",
    "inputs_missing": "was not asked: the chart lacks what it needs",
    "adapter_crashed": "failed inside the gateway",
    "protocol_broken": "gave an answer that cannot be read",
    "access_denied": "not allowed", "question_invalid": "the question cannot be used",
}  # fmt: skip
TYPES = {
    "decision": "Question allowed", "refusal": "Question refused", "intent": "Data sent to a tool",
    "fetched": "Chart pulled", "outcome": "A tool's outcome", "withheld": "Tool kept out",
    "computed": "Computed here", "answer": "Answer given", "read": "Record read",
    "pushed": "Result sent by a vendor", "polled": "Vendor asked again",
    "late": "Late result compared", "job": "Waiting question changed",
    "policy": "Policy read again", "hold": "Tool held for a person",
    "conflict": "Conflict between tools",
    "open": "Gateway started", "close": "Gateway ended",
    "key": "Key replaced", "archive": "Entries archived",
    "recovered": "Database came back", "spooled": "Entries recovered",
}  # fmt: skip
# Source: HL7 Terminology, v3-ActReason (PurposeOfUse).
PURPOSES = {
    "TREAT": "treatment", "ETREAT": "emergency treatment", "BTG": "break the glass",
    "HPAYMT": "payment", "COVAUTH": "coverage authorisation", "HOPERAT": "operations",
    "HCOMPL": "compliance", "HRESCH": "research", "PATRQT": "patient's request",
    "PUBHLTH": "public health", "HQUALIMP": "quality improvement", "PATSFTY": "patient safety",
    "PATADMIN": "patient administration", "HMARKT": "marketing", "TRAIN": "training",
    "SYSDEV": "system development", "HTEST": "test",
}  # fmt: skip
REASONS = {
    "not_needed_by_tool": "The tool does not need it",
    "role": "The asker's role may not send it",
    "purpose": "Not for this purpose",
    "unknown_code": "A code that nobody has classified",
    "time_window": "Outside the tool's time window",
    "consent": "The patient has not agreed",
    "residency": "It may not leave the site's region",
}
BREAK_GLASS = "BTG"
_ALARMING = frozenset(
    {"unknown", "wrong_patient", "protocol_error", "protocol_broken", "failed", "deny", "error",
     "adapter_crashed"}
)  # fmt: skip
_WORRYING = frozenset(
    {"degraded", "partial", "late", "timed_out", "unavailable", "throttled", "refused",
     "circuit_open", "overloaded", "inputs_missing"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Names:
    """How roles and capabilities are called here."""

    roles: Mapping[str, str]
    capabilities: Mapping[str, str]

    def role(self, code: str) -> str:
        """A role's title; a role nobody knows any more keeps its code."""
        return self.roles.get(code, code or "Somebody")

    def capability(self, name: str) -> str:
        """A capability's title."""
        return self.capabilities.get(name, name or "something")


def purpose(code: str) -> str:
    """``TREAT (treatment)``."""
    return f"{code} ({PURPOSES[code]})" if code in PURPOSES else code


def reason(code: str) -> str:
    """Why something was withheld."""
    if code.startswith("sensitivity:"):
        return f"Specially protected ({code.removeprefix('sensitivity:')})"
    return REASONS.get(code, code)


def outcome(code: str) -> str:
    """What an outcome means; an attempt's ``vendor_unavailable`` means ``unavailable``."""
    return OUTCOMES.get(code.removeprefix("vendor_"), code.replace("_", " "))


def is_override(entry: Entry) -> bool:
    """Was this asked under an emergency override, whether it was let through or not?"""
    return text(entry.body, "purpose") == BREAK_GLASS


def label(code: str) -> str:
    """An outcome's code in one or two words."""
    return code.removeprefix("vendor_").replace("_", " ")


def tone(code: str | None) -> str:
    """``good``, ``warn``, ``bad`` or ``plain``: never the only sign, the word stands beside it."""
    known = (code or "").removeprefix("vendor_")
    if known in _ALARMING:
        return "bad"
    if known in _WORRYING:
        return "warn"
    return "good" if code in ("answered", "complete", "permit") else "plain"


def counted(count: int, one: str, many: str | None = None) -> str:
    """``1 field``, ``2 fields``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def sentence(entry: Entry, names: Names) -> str:
    """What happened, for people."""
    tell = _SENTENCES.get(entry.type)
    return tell(entry, names) if tell else f"{entry.type.replace('_', ' ').capitalize()}."


def flags(row: Stored) -> list[tuple[str, str]]:
    """The words that must not be overlooked, each with its tone."""
    entry, found = row.entry, list[tuple[str, str]]()
    if is_override(entry) and entry.type in ("decision", "refusal", "answer"):
        found.append(("break-glass", "bad"))
    if entry.type == "refusal":
        found.append(("refused", "warn"))
    if entry.type in ("outcome", "answer", "computed") and tone(entry.outcome) in ("warn", "bad"):
        found.append((label(entry.outcome or ""), tone(entry.outcome)))
    if conflicts := len(mappings(entry.body, "conflicts")):
        found.append((counted(conflicts, "conflict"), "warn"))
    return found


def _asked(entry: Entry, names: Names) -> str:
    who = names.role(text(entry.body, "role"))
    what = names.capability(text(entry.body, "capability"))
    return f"{who} asked: {what}, for {purpose(text(entry.body, 'purpose'))}"


def _decision(entry: Entry, names: Names) -> str:
    return f"{_asked(entry, names)}: {outcome(entry.outcome or '')}"


def _refusal(entry: Entry, names: Names) -> str:
    return f"{_asked(entry, names)}: refused, {outcome(entry.outcome or '')}; nothing was sent"


def _intent(entry: Entry, _names: Names) -> str:
    manifest = mapping(entry.body, "manifest")
    sent, kept = len(texts(manifest, "sent")), len(mappings(manifest, "withheld"))
    attempt = number(entry.body, "attempt")
    again = f", attempt {attempt}" if attempt > 1 else ""
    return f"Sent {counted(sent, 'field')} to {entry.tool}, withheld {kept}{again}"


def _outcome(entry: Entry, _names: Names) -> str:
    return f"{entry.tool} {outcome(entry.outcome or '')}"


def _withheld(entry: Entry, _names: Names) -> str:
    return f"Sent nothing to {entry.tool}: policy withholds what it needs"


def _computed(entry: Entry, _names: Names) -> str:
    return f"Computed {entry.tool} here, told nobody: {outcome(entry.outcome or '')}"


def _answer(entry: Entry, _names: Names) -> str:
    tools = mappings(entry.body, "tools")
    good = sum(text(tool, "status") == "answered" for tool in tools)
    return f"Answered: {outcome(entry.outcome or '')}, {good} of {counted(len(tools), 'tool')}"


def _read(entry: Entry, names: Names) -> str:
    who, found = names.role(text(entry.body, "role")), number(entry.body, "found")
    return f"{who} at the record: {text(entry.body, 'what')}" + (
        f"; {found:,} found" if found else ""
    )


def _open(entry: Entry, _names: Names) -> str:
    named = len(mappings(entry.body, "predecessors"))
    return f"A gateway started its chain, naming {counted(named, 'earlier chain')}"


def _close(_entry: Entry, _names: Names) -> str:
    return "A gateway ended its chain in an orderly way"


def _fetched(entry: Entry, _names: Names) -> str:
    return (
        f"The chart was pulled from a FHIR server in {counted(number(entry.body, 'pages'), 'page')}"
    )


def _pushed(entry: Entry, _names: Names) -> str:
    if entry.outcome == "late":
        return f"{entry.tool} sent a result by itself; it is compared as late"
    said = {
        "wrong_patient": "about nobody that it was asked about: not used",
        "protocol_broken": "that cannot be read: not used",
    }
    return f"{entry.tool} sent a message {said.get(entry.outcome or '', 'again: not used twice')}"


def _polled(entry: Entry, _names: Names) -> str:
    if entry.outcome == "asked":
        return f"{entry.tool} was asked, past the deadline, whether its result is there"
    said = {"late": "its result came; it is compared as late", "given_up": "nobody asks any more"}
    return f"The question to {entry.tool} ended: {said.get(entry.outcome or '', 'no result')}"


def _late(entry: Entry, _names: Names) -> str:
    found = counted(number(entry.body, "findings"), "finding")
    return f"The late result of {entry.tool} was compared with the answer: {found}"


def _policy(entry: Entry, _names: Names) -> str:
    alarm = text(entry.body, "alarm")
    return f"A new policy was refused, the old one stays: {alarm}" if alarm else "Policy read again"


def _hold(entry: Entry, names: Names) -> str:
    if entry.outcome == "held":
        return f"{entry.tool} is held for a person: it answered about another patient"
    who = names.role(text(entry.body, "role"))
    return f"{who} let {entry.tool} go: {text(entry.body, 'reason').replace('_', ' ')}"


def _key(entry: Entry, _names: Names) -> str:
    made = {"signing": "signs checkpoints", "mac": "authenticates entries"}
    which = made.get(text(entry.body, "which"), "is not named")
    return f"A new key was announced: the one that {which}"


def _archive(entry: Entry, _names: Names) -> str:
    count = max(number(entry.body, "to") - number(entry.body, "from"), 0)
    entries = counted(count, "entry", "entries")
    return f"{entries} put aside in the archive {text(entry.body, 'file')}"


def _recovered(entry: Entry, _names: Names) -> str:
    refused, replayed = number(entry.body, "refused"), number(entry.body, "replayed")
    return f"The database came back: {refused:,} attempts refused, {replayed:,} entries replayed"


def _spooled(entry: Entry, _names: Names) -> str:
    return f"{counted(number(entry.body, 'replayed'), 'entry', 'entries')} recovered from the spool"


_STEPS = {
    "opened": "found", "claimed": "claimed", "settled": "settled", "reopened": "reopened",
    "escalated": "escalated", "seen_again": "found again, with new findings",
    "overtaken": "a step overtaken by another's, without effect",
}  # fmt: skip


def _conflict(entry: Entry, _names: Names) -> str:
    kind = text(entry.body, "kind").replace("_", " ") or "conflict"
    tools = ", ".join(texts(entry.body, "tools"))
    verdict = text(entry.body, "verdict").replace("_", " ")
    step = _STEPS.get(entry.outcome or "", "changed")
    return f"Conflict {step}: {kind} between {tools}" + (f"; verdict: {verdict}" if verdict else "")


def _feedback(entry: Entry, _names: Names) -> str:
    did = "accepted" if entry.outcome == "accepted" else "overrode"
    why = entry.body.get("reason")
    return f"A person {did} the card of {entry.tool or 'the answer'}" + (f": {why}" if why else "")


def _job(entry: Entry, _names: Names) -> str:
    if entry.outcome == "cancelled":
        return "Who had asked it wants no answer any more"
    return "An operator had a question that was given up taken up again"


_SENTENCES: dict[str, Callable[[Entry, Names], str]] = {
    "decision": _decision, "refusal": _refusal, "intent": _intent, "outcome": _outcome,
    "withheld": _withheld, "computed": _computed, "answer": _answer, "read": _read,
    "pushed": _pushed, "polled": _polled, "late": _late, "fetched": _fetched,
    "job": _job,
    "policy": _policy, "hold": _hold,
    "key": _key, "archive": _archive, "open": _open, "close": _close, "recovered": _recovered,
    "spooled": _spooled, "conflict": _conflict, "feedback": _feedback,
}  # fmt: skip
