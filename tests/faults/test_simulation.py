"""Fan-out, vendors and a clock in one process, by seed: whatever happens, the history holds.

Each seed makes vendors that answer, dawdle, hang, drop, throttle and swap, callers that come in
bursts with deadlines of their own, and a record that is slow or refuses now and then. Time is
virtual. A seed that fails is named in the test's own name.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from careweir.errors import AuditUnavailable
from careweir.fanout import Guards, Intent, Prepared, ask_all
from careweir.fanout.transport import ConnectionLost, NeverSent
from careweir.question import Reply
from careweir_kit.adapter import VendorAnswer, VendorRequest
from support.clock import run_virtually
from support.vendors import Format, answered, asked_by, guards_of, prepared

SEEDS, AT_A_TIME = 240, 60
CALLERS = 30
SLACK_S = 0.2


@dataclass
class History:
    """What happened, in order: intents, disclosures, outcomes, results."""

    intended: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    concluded: Counter[str] = field(default_factory=Counter)
    results: list[tuple[str, list[Reply] | None, float, float]] = field(default_factory=list)
    swapped: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)


class Record:
    """A ledger that is slow or refuses now and then."""

    def __init__(self, history: History, rng: random.Random) -> None:
        self.history, self.rng, self.number = history, rng, 0

    async def intend(self, one: Prepared, request: VendorRequest, attempt: int) -> Intent:
        await asyncio.sleep(
            self.rng.choice([0, 0.001, 0.001, 0.01, 3.0 * (self.rng.random() < 0.05)])
        )
        if self.rng.random() < 0.01:
            raise AuditUnavailable("refused")
        self.number += 1
        disclosure = f"dis_{self.number}"
        self.history.intended[f"{one.subject}/{one.tool.tool}"] += 1
        return Intent(disclosure, f"{one.subject}/{one.tool.tool}", attempt)

    def conclude(self, intent: Intent, *, outcome: str, answer_sha256: str | None) -> None:
        self.history.concluded[intent.tool] += 1

    def held(self, tool: str, disclosure: str) -> None:
        """The guards know it."""

    def computed(self, one: Prepared, *, outcome: str) -> None:
        """Nothing is computed here."""


class Moody:
    """A vendor that changes its ways every few seconds."""

    MOODS = ("well", "well", "slow", "hang", "drop", "refuse", "busy", "throttle", "swap", "junk")

    def __init__(self, name: str, history: History, rng: random.Random) -> None:
        self.name, self.history, self.rng = name, history, rng
        self.mood, self.until = "well", 0.0

    async def send(self, url: str, request: VendorRequest, *, bytes_max: int) -> VendorAnswer:
        now = asyncio.get_running_loop().time()
        if now >= self.until:
            rare = self.rng.random() < 0.1
            moods = self.MOODS if rare else self.MOODS[:-2]
            self.mood, self.until = self.rng.choice(moods), now + self.rng.uniform(1, 6)
        subject = request.body.decode()
        key = f"{subject}/{self.name}"
        if self.mood == "refuse":
            raise NeverSent("no connection")
        self.history.sent[key] += 1
        if self.history.sent[key] > self.history.intended[key]:
            self.history.faults.append(f"{key} was sent without an intent")
        await asyncio.sleep(2.5 if self.mood == "slow" else 60 if self.mood == "hang" else 0.05)
        return self._answer(subject)

    def _answer(self, subject: str) -> VendorAnswer:
        if self.mood == "drop":
            raise ConnectionLost("dropped")
        if self.mood == "swap":
            self.history.swapped.add(f"{subject}/{self.name}")
            return answered(echo="somebody-else")
        if self.mood == "junk":
            return answered(echo="crash")
        status = {"busy": 503, "throttle": 429}.get(self.mood, 200)
        return answered(status, echo=subject, wait=str(self.rng.choice([0.1, 2, 600])))

    async def close(self) -> None:
        """Nothing is open."""


def tools(history: History, rng: random.Random, book: Any) -> list[Prepared]:
    made = []
    for number in range(rng.randint(1, 3)):
        name = f"t{number}"
        one = prepared(
            [], book, attempts_max=rng.randint(1, 3), deadline_ms=rng.choice([500, 2500]),
            idempotent=rng.choice(["none", "natural"]),
            limits={"concurrent_max": 4, "queue_max": 4},
        )  # fmt: skip
        made.append(
            replace(
                one,
                tool=one.tool.model_copy(update={"tool": name}),
                adapter=cast("Any", SimpleNamespace(module=Format)),
                transport=Moody(name, history, rng),
            )
        )
    return made


async def one_day(seed: int) -> tuple[History, Guards, list[Prepared]]:
    rng, history = random.Random(seed), History()
    loop = asyncio.get_running_loop()
    record = Record(history, rng)
    guards, asked = guards_of(loop, seed), tools(history, rng, record)

    async def caller(number: int) -> None:
        await asyncio.sleep(rng.choice([0, rng.uniform(0, 20)]))
        seconds, subject = rng.choice([0.2, 1.0, 4.0]), f"s{number}"
        mine = [replace(one, subject=subject) for one in asked]
        strategy = rng.choice(["all", "all", "first", "quorum", "primary"])
        began, replies = loop.time(), None
        with contextlib.suppress(AuditUnavailable):
            replies = await ask_all(
                mine, asked_by(seconds, cast("Any", record), guards), strategy=cast("Any", strategy)
            )
        history.results.append((subject, replies, seconds, loop.time() - began))

    async with asyncio.timeout(600):  # virtual: nothing may be stuck
        await asyncio.gather(*(caller(number) for number in range(CALLERS)))
    return history, guards, asked


def check(history: History, guards: Guards, asked: list[Prepared]) -> None:
    """The history checker."""
    assert not history.faults
    assert history.concluded == history.intended, "an intent without its outcome, or two"
    assert len(history.results) == len({who for who, *_ in history.results}) == CALLERS
    attempts_max = {one.tool.tool: one.tool.attempts_max for one in asked}
    for key, times in history.sent.items():
        assert times <= attempts_max[key.partition("/")[2]]
    for subject, replies, seconds, took in history.results:
        assert took <= seconds + SLACK_S
        names = [reply.tool for reply in replies or []]
        assert len(names) == len(set(names)), "two results of one tool"
        for reply in replies or []:
            assert not (reply.findings and f"{subject}/{reply.tool}" in history.swapped)
            assert reply.findings or reply.status != "answered"
    for one in asked:
        guard = guards.of(one.tool)
        assert (guard.bulkhead.active, guard.bulkhead.queued) == (0, 0), "a place was lost"
        if any(key.endswith(f"/{one.tool.tool}") for key in history.swapped):
            assert guards.held(one.tool.tool) is not None or not _seen_wrong(history, one)


def _seen_wrong(history: History, one: Prepared) -> bool:
    return any(
        reply.tool == one.tool.tool and reply.status == "wrong_patient"
        for _, replies, _, _ in history.results
        for reply in replies or []
    )


@pytest.mark.parametrize("first", range(0, SEEDS, AT_A_TIME))
def test_whatever_happens_the_history_holds(first: int) -> None:
    seen: Counter[str] = Counter()
    for seed in range(first, first + AT_A_TIME):
        history, guards, asked = run_virtually(one_day(seed))
        try:
            check(history, guards, asked)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from None
        seen.update(r.status for _, replies, _, _ in history.results for r in replies or [])

    assert {"answered", "timed_out", "overloaded", "circuit_open", "wrong_patient"} <= set(seen)


def test_the_same_seed_gives_the_same_day() -> None:
    first, second = (run_virtually(one_day(7))[0] for _ in range(2))

    assert (first.sent, first.concluded, len(first.results)) == (
        second.sent, second.concluded, len(second.results),
    )  # fmt: skip
