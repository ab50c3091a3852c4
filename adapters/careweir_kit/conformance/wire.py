"""The adapter over a real socket: its own simulator with every fault, or a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from random import Random
from typing import Any, Final, cast

from careweir_kit.adapter import Ask, VendorAnswer
from careweir_kit.conformance.model import CANARY, Call, Called, Check, Subject
from careweir_kit.simulation.faults import FAULTS, Fault
from careweir_kit.simulation.model import VendorSimulator
from careweir_kit.simulation.server import SimulatorServer, Vendor
from careweir_kit.tool import Tool

DEADLINE_MS: Final = 8000  # of a call that should be answered
SHORT_MS: Final = 400  # of a call that never is
GIVE_UP_S: Final = 20.0
CHAOS_CALLS: Final = 24
_ANSWERED: Final = frozenset({"answered", "partial"})
_BROKEN: Final = frozenset({"protocol_error"})
_STATUS: Final[Mapping[Fault, frozenset[str]]] = {
    "off": _ANSWERED,
    "hang": frozenset({"timed_out"}),
    "slow_drip": frozenset({"timed_out"}),
    "reset": frozenset({"unavailable", "unknown"}),
    "http_500": frozenset({"unavailable"}),
    "http_503": frozenset({"unavailable"}),
    "http_429": frozenset({"throttled"}),
    "wrong_patient": frozenset({"wrong_patient"}),
    "old_model": _ANSWERED | _BROKEN,
}
_NEVER: Final[tuple[Fault, ...]] = ("hang", "slow_drip")


def expected(fault: Fault, tool: Tool) -> frozenset[str]:
    """The statuses that a fault may end in."""
    if fault == "wrong_patient" and tool.subject_echo != "required":
        return _ANSWERED
    return _STATUS.get(fault, _BROKEN)


def retry_after(subject: Subject) -> Check:
    """Silver: whatever form the wait comes in, it is read; what is no wait is not one."""
    name = "Retry-After is read in each of its forms"
    date = {"date": "Mon, 02 Mar 2026 08:00:00 GMT"}
    forms: list[tuple[Mapping[str, str], float | None]] = [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Mon, 02 Mar 2026 08:00:30 GMT", **date}, 30.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({}, None),
    ]
    wrong = []
    for headers, wait in forms:
        answer = VendorAnswer(429, {"content-type": "application/json", **headers}, b"{}")
        try:
            verdict = subject.adapter.http.classify_answer(subject.tool, answer)
        except Exception as error:
            return Check(name, False, f"classify_answer raised {type(error).__name__}")
        if (verdict.answer_class, verdict.retry_after_s) != ("throttled", wait):
            wrong.append(str(dict(headers)))
    return Check(name, not wrong, ", ".join(wrong) or f"{len(forms)} forms")


async def check_simulator(subject: Subject, ask: Ask, call: Call) -> list[Check]:
    """Silver: every fault of the simulator, each on a server of its own, many at once."""
    try:
        answer = _simulator(subject)
    except (ImportError, AttributeError):
        return [Check("the simulator answers over HTTP", False, "there is no simulator")]
    async with asyncio.timeout(GIVE_UP_S):
        ends: dict[Fault, Called] = {}
        for group in (_quick(), _NEVER):  # apart, so that a short deadline meets an idle machine
            called = (_one(subject, ask, call, fault, answer) for fault in group)
            ends |= dict(zip(group, await asyncio.gather(*called), strict=True))
        again = await _again(subject, ask, call, answer)
        waits = await _waits(subject, ask, call, answer)
    return [_healthy(ends["off"]), _faults(subject, ends), _silent(ends), again, waits]


def _quick() -> list[Fault]:
    return [fault for fault in FAULTS if fault not in _NEVER]


async def check_chaos(subject: Subject, ask: Ask, call: Call, *, seed: int = 1) -> Check:
    """Gold: faults in a random order on one server and one tool; after each it answers again."""
    name = "faults in any order leave nothing behind"
    quick, random = _quick(), Random(seed)  # noqa: S311 - replayable, not a secret
    wrong: list[str] = []
    try:
        answer = _simulator(subject)
    except (ImportError, AttributeError):
        return Check(name, False, "there is no simulator")
    async with asyncio.timeout(GIVE_UP_S), _served(subject, answer) as (server, url):
        for _ in range(CHAOS_CALLS):
            fault = random.choice(quick)
            server.state.set({"fault": fault, "count": 1, "retry_after": 60})
            ended = await call(subject.adapter, _patient(subject.tool), ask, url=url,
                               deadline_ms=DEADLINE_MS)  # fmt: skip
            if ended.status not in expected(fault, subject.tool):
                wrong.append(f"{fault} is {ended.status}")
            if fault != "off":
                server.state.set({})
                after = await call(subject.adapter, _patient(subject.tool), ask, url=url,
                                   deadline_ms=DEADLINE_MS)  # fmt: skip
                wrong += [] if after.status in _ANSWERED else [f"after {fault}: {after.status}"]
    detail = ", ".join(wrong[:5]) or f"{CHAOS_CALLS} faults, seed {seed}"
    return Check(name, not wrong, detail)


async def check_real(subject: Subject, ask: Ask, call: Call, url: str) -> list[Check]:
    """The same question to a real server: it is answered, and a deadline of 1 ms is kept."""
    async with asyncio.timeout(GIVE_UP_S * 3):
        ended = await call(subject.adapter, subject.tool, ask, url=url,
                           deadline_ms=subject.tool.deadline_ms)  # fmt: skip
        hurried = await call(subject.adapter, subject.tool, ask, url=url, deadline_ms=1)
    found = f"{ended.status}, {len(ended.findings)} findings"
    why = "" if ended.status in _ANSWERED else f": {ended.said}"
    kept = hurried.status in ("timed_out", "unavailable", "unknown")
    return [
        Check("a real server answers", ended.status in _ANSWERED, found + why, "silver"),
        Check("a deadline of 1 ms is kept with it", kept, hurried.status, "silver"),
    ]


def _simulator(subject: Subject) -> Any:
    package = subject.adapter.module.__name__.rpartition(".")[0]
    vendor = cast(VendorSimulator, import_module(f"{package}.simulator"))
    if subject.tool.simulator is None:
        raise AttributeError("the example tool names no brain")
    raw = subject.tool.model_dump(mode="json", exclude_unset=True)
    return partial(vendor.answer, raw, subject.tool.simulator.brain)


@asynccontextmanager
async def _served(subject: Subject, answer: Any) -> AsyncIterator[tuple[SimulatorServer, str]]:
    bytes_cap = subject.tool.answer_bytes_max
    server = SimulatorServer(Vendor(answer, seed=1, bytes_cap=bytes_cap, bearer=None), latency_ms=0)
    listening, port = await server.listen(0)
    try:
        yield server, f"http://127.0.0.1:{port}"
    finally:
        listening.close()


async def _one(subject: Subject, ask: Ask, call: Call, fault: Fault, answer: Any) -> Called:
    deadline_ms = SHORT_MS if fault in _NEVER else DEADLINE_MS
    async with _served(subject, answer) as (server, url):
        server.state.set({"fault": fault, "retry_after": 60})
        return await call(subject.adapter, _patient(subject.tool), ask, url=url,
                          deadline_ms=deadline_ms)  # fmt: skip


def _patient(tool: Tool) -> Tool:
    """The tool, asked once and given time."""
    return tool.model_copy(update={"attempts_max": 1, "deadline_ms": DEADLINE_MS})


def _healthy(ended: Called) -> Check:
    good = ended.status in _ANSWERED and bool(ended.findings)
    detail = f"{ended.status}, {len(ended.findings)} findings"
    return Check("the simulator answers over HTTP", good, detail if good else detail + ended.said)


def _faults(subject: Subject, ends: Mapping[Fault, Called]) -> Check:
    wrong = [f"{fault} is {ended.status}" for fault, ended in ends.items()
             if ended.status not in expected(fault, subject.tool) or not ended.attempts
             or (ended.findings and ended.status not in _ANSWERED)]  # fmt: skip
    detail = ", ".join(wrong) or f"{len(ends)} faults; no answer in {SHORT_MS} ms is timed_out"
    return Check("every fault ends as what it is, within its deadline", not wrong, detail)


def _silent(ends: Mapping[Fault, Called]) -> Check:
    """The simulators' error pages repeat the request: none of it may be said again."""
    words = (CANARY, "Traceback", "Please sign in", "the service is starting", "too many requests")
    loud = [f for f, ended in ends.items() if any(word in ended.said for word in words)]
    detail = ", ".join(loud) or f"{len(ends)} answers, nothing repeated"
    return Check("no word of the server is repeated", not loud, detail)


async def _again(subject: Subject, ask: Ask, call: Call, answer: Any) -> Check:
    """503 once: a second attempt, and no third."""
    tool = _patient(subject.tool).model_copy(update={"attempts_max": 3})
    async with _served(subject, answer) as (server, url):
        server.state.set({"fault": "http_503", "count": 1})
        ended = await call(subject.adapter, tool, ask, url=url, deadline_ms=DEADLINE_MS)
    good = ended.status in _ANSWERED and ended.attempts == 2
    return Check("503 is asked again, once", good, f"{ended.status}, {ended.attempts} attempts")


async def _waits(subject: Subject, ask: Ask, call: Call, answer: Any) -> Check:
    """A wait that fits is waited; one beyond the deadline ends the question, and is named."""
    tool = _patient(subject.tool).model_copy(update={"attempts_max": 2})
    async with _served(subject, answer) as (server, url):
        server.state.set({"fault": "http_429", "count": 1, "retry_after": 0.02})
        short = await call(subject.adapter, tool, ask, url=url, deadline_ms=DEADLINE_MS)
        server.state.set({"fault": "http_429", "retry_after": 60})
        long = await call(subject.adapter, tool, ask, url=url, deadline_ms=DEADLINE_MS)
    good = short.status in _ANSWERED and short.attempts == 2
    good = good and (long.status, long.attempts, long.retry_after_s) == ("throttled", 1, 60.0)
    seen = [f"{name}: {ended.status} after {ended.attempts}" for name, ended in
            (("0.02 s", short), ("60 s", long))]  # fmt: skip
    detail = "; ".join(seen)
    return Check("Retry-After is kept, within the deadline", good, detail)
