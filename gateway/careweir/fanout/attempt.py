"""One attempt: build, record the intent, send, class the answer, read it, check whose it is."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

from careweir.fanout.transport import Transport
from careweir.minimise import Minimised
from careweir_kit.adapter import Ask, Parsed, VendorAnswer, VendorRequest, Verdict
from careweir_kit.errors import (
    InputsMissing,
    VendorError,
    VendorProtocolBroken,
    VendorRefused,
    VendorThrottled,
    VendorTimedOut,
    VendorUnavailable,
    WrongPatient,
)
from careweir_kit.registry import LoadedAdapter
from careweir_kit.tool import Tool

POLL_S = 0.5


class VendorBusy(VendorUnavailable):
    """The vendor said itself that it did not take the request (503): asking again is safe."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TakenForLater(VendorTimedOut):
    """The vendor took the request and will send its result by itself: no failure, no repeat."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A tool that policy lets be asked, with exactly what it may see.

    ``transport`` and ``endpoint`` are None and empty for a score computed in this process.
    """

    tool: Tool
    adapter: LoadedAdapter
    minimised: Minimised
    subject: str  # the pseudonym that the answer must echo
    endpoint: str
    transport: Transport | None
    others: tuple[str, ...] = ()  # further endpoints of the same site, in order of preference


@dataclass(frozen=True, slots=True)
class Intent:
    """A disclosure that is on the record and may now be made."""

    disclosure: str
    tool: str
    attempt: int


class AttemptLedger(Protocol):
    """The record that fan-out writes to: one intent and one outcome for each attempt."""

    async def intend(self, prepared: Prepared, request: VendorRequest, attempt: int) -> Intent:
        """Commit the intent and its manifest durably, or raise AuditUnavailable."""
        ...

    def conclude(self, intent: Intent, *, outcome: str, answer_sha256: str | None) -> None:
        """Record what became of the attempt; durable before the answer is given."""

    def held(self, tool: str, disclosure: str) -> None:
        """Record that a tool is held for a person, and for which disclosure."""

    def computed(self, prepared: Prepared, *, outcome: str) -> None:
        """Record a score that was computed in this process, without any disclosure."""


@dataclass(frozen=True, slots=True)
class Errand:
    """Where to ask for the answer to one attempt that a vendor is still at work on."""

    prepared: Prepared
    disclosure: str
    request: VendorRequest
    request_id: str
    as_of: str
    wait_s: float
    left_s: float  # until the attempt's own deadline


class Linger(Protocol):
    """What goes on asking when the deadline has passed; raises nothing."""

    async def begun(self, errand: Errand) -> None:
        """A vendor is at work: whoever ends it, its answer will be asked for."""

    async def ended(self, disclosure: str) -> None:
        """Its answer, or its failure, is here: nobody need ask any more."""


@dataclass(frozen=True, slots=True)
class Attempted:
    """A usable answer of one attempt."""

    parsed: Parsed
    disclosure: str | None
    without: tuple[str, ...]


def build(prepared: Prepared, *, request_id: str, as_of: str, deadline_ms: int) -> VendorRequest:
    """The request that would leave for this tool. Raises InputsMissing or VendorProtocolBroken."""
    ask = _ask(prepared, request_id, as_of, deadline_ms)
    try:
        request: VendorRequest = prepared.adapter.module.build_request(prepared.tool, ask)
    except (InputsMissing, VendorError):
        raise
    except Exception:
        raise VendorProtocolBroken("the adapter failed while building the request") from None
    return _recognisable(prepared, replace(request, request_id=request_id))


def _recognisable(prepared: Prepared, request: VendorRequest) -> VendorRequest:
    """With the key by which the vendor knows a repeat: the same for each attempt of a question.

    The pseudonym is of one question and one tool alone, and so is what is made from it.
    """
    if prepared.tool.idempotent != "key-header":
        return request
    key = hashlib.sha256(b"careweir idempotency key\n" + prepared.subject.encode()).hexdigest()
    return replace(request, headers={**request.headers, "Idempotency-Key": key[:32]})


async def attempt(
    prepared: Prepared,
    request: VendorRequest,
    intent: Intent,
    ledger: AttemptLedger,
    *,
    request_id: str,
    as_of: str,
    deadline: float,
    linger: Linger | None = None,
) -> Attempted:
    """Send a recorded request and read its answer; raises VendorError.

    INVARIANT: the caller holds a committed ``intent`` for exactly this request, and every way out
    of this function concludes it.

    What is still pending at the deadline is left to ``linger``.
    """
    digest: str | None = None
    outcome, lingering = "unknown", False

    async def pending(again: VendorRequest, wait_s: float) -> None:
        nonlocal lingering
        if linger is not None and again.method == "GET":  # a job's address, no part of a chart
            lingering = True
            left_s = deadline - asyncio.get_running_loop().time()
            await linger.begun(
                Errand(prepared, intent.disclosure, again, request_id, as_of, wait_s, left_s)
            )

    try:
        async with asyncio.timeout_at(deadline):
            answer = await exchange(prepared, request, pending)
        digest = hashlib.sha256(answer.body).hexdigest()
        parsed = read_answer(prepared, answer, _ask(prepared, request_id, as_of, 0))
        outcome = "answered" if parsed.completeness == "full" else "partial"
        return Attempted(parsed, intent.disclosure, request.without)
    except TimeoutError:
        outcome, left = VendorTimedOut.code, lingering
        lingering = False
        told = "still at work at the deadline; its result comes late, if it comes"
        raise VendorTimedOut(told if left else "no whole answer before the deadline") from None
    except asyncio.CancelledError:
        lingering = False  # no longer waited for: its result still comes late
        raise
    except VendorError as error:
        outcome = error.code
        raise
    finally:
        ledger.conclude(intent, outcome=outcome, answer_sha256=digest)
        if lingering and linger is not None:
            await linger.ended(intent.disclosure)


def compute(prepared: Prepared, ledger: AttemptLedger, *, as_of: str) -> Attempted:
    """A published score, in this process; raises InputsMissing or VendorProtocolBroken."""
    try:
        parsed: Parsed = prepared.adapter.module.compute(
            prepared.tool, _ask(prepared, "in-process", as_of, 0)
        )
    except InputsMissing:
        ledger.computed(prepared, outcome="inputs_missing")
        raise
    except Exception:
        ledger.computed(prepared, outcome="adapter_crashed")
        raise VendorProtocolBroken("the score could not be computed") from None
    ledger.computed(prepared, outcome="answered")
    return Attempted(parsed, None, ())


def _ask(prepared: Prepared, request_id: str, as_of: str, deadline_ms: int) -> Ask:
    return Ask(
        subject=prepared.subject,
        request_id=request_id,
        payload=prepared.minimised.payload or {},
        as_of=as_of,
        deadline_ms=deadline_ms,
    )


Pending = Callable[[VendorRequest, float], Awaitable[None]]


async def exchange(
    prepared: Prepared, request: VendorRequest, pending: Pending | None = None
) -> VendorAnswer:
    """Send, and poll while the vendor says ``pending`` and how to ask again; raises VendorError.

    ``pending`` hears of each new place to ask at, before it is asked.
    """
    assert prepared.transport is not None
    tool, bytes_max = prepared.tool, prepared.tool.answer_bytes_max
    answer = await prepared.transport.send(prepared.endpoint, request, bytes_max=bytes_max)
    again: VendorRequest | None = None
    while (verdict := classed(prepared, answer)).answer_class == "pending":
        before, again = again, verdict.follow_up or again  # a later one need not say it once more
        if again is None:
            raise _without_an_address(tool)
        wait_s = verdict.retry_after_s or POLL_S
        if pending is not None and again != before:
            await pending(again, wait_s)
        await asyncio.sleep(wait_s)
        answer = await prepared.transport.send(prepared.endpoint, again, bytes_max=bytes_max)
    raise_unless_usable(tool, answer, verdict)
    return answer


def _without_an_address(tool: Tool) -> VendorError:
    if tool.push is not None:
        return TakenForLater("taken; the vendor sends its result by itself")
    return VendorUnavailable("accepted, with no way to ask for the answer")


def classed(prepared: Prepared, answer: VendorAnswer) -> Verdict:
    """What kind of answer it is; raises VendorError."""
    try:
        return prepared.adapter.module.classify_answer(  # type: ignore[no-any-return]
            prepared.tool, answer
        )
    except VendorError:
        raise
    except Exception:
        raise VendorProtocolBroken("the adapter failed while classing the answer") from None


def raise_unless_usable(tool: Tool, answer: VendorAnswer, verdict: Verdict) -> None:
    """Raise what an answer that holds no findings means."""
    match verdict.answer_class:
        case "ok" | "partial":
            return
        case "throttled":
            raise VendorThrottled(verdict.note, retry_after_s=verdict.retry_after_s)
        case "refused" | "unauthorised" | "bad_request":
            raise VendorRefused(verdict.note or verdict.answer_class)
        case "vendor_fault" if answer.status == 503:
            raise VendorBusy(verdict.note, retry_after_s=verdict.retry_after_s)
        case "vendor_fault":
            raise VendorUnavailable(verdict.note)
        case _:
            raise VendorProtocolBroken(verdict.note)


def read_answer(prepared: Prepared, answer: VendorAnswer, ask: Ask) -> Parsed:
    """The findings of a usable answer, checked to be about the patient; raises VendorError."""
    try:
        parsed: Parsed = prepared.adapter.module.parse_findings(prepared.tool, ask, answer)
    except VendorError:
        raise
    except Exception:
        raise VendorProtocolBroken("the adapter failed while reading the answer") from None
    if parsed.completeness == "partial" and not parsed.findings and not parsed.echoes:
        return parsed  # cut off before it said anything about anybody: nothing to deliver
    check_subject(parsed.echoes, prepared.subject, required=prepared.tool.subject_echo)
    return parsed


def check_subject(echoes: tuple[str, ...], subject: str, *, required: str) -> None:
    """Refuse an answer that is about somebody else, or does not say whom it is about.

    INVARIANT: a wrong-patient answer is never delivered.
    """
    if any(echo.removeprefix("Patient/") != subject for echo in echoes):
        raise WrongPatient("the answer names another patient")
    if not echoes and required == "required":
        raise WrongPatient("the answer does not say whom it is about")
