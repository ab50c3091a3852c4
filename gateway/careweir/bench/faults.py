"""The goals in figures for faults, each against a vendor that fails over real sockets.

Not in this table, because they need processes that die: jobs lost or stuck, and disclosures without
an intent over kills (``tests/jobs``, ``tests/audit``); ``careweir drill`` shows a whole gateway.
"""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from statistics import quantiles
from typing import Any, TypeVar

from careweir.bench import deadline
from careweir.bench.faulty import WELL_S, Book, Mood, Vendor, asked, guards, listening, prepared
from careweir.bench.figure import Budget, Figure
from careweir.bench.size import SEED, Size
from careweir.fanout import Guards, Prepared, VendorPool
from careweir.question import Reply

DEADLINE_S = 0.2
CAP = 1_000_000
AT_ONCE, FEW = 50, 8
_T = TypeVar("_T")
_OPENS = 10  # failures in a row that open a breaker by default
_OPEN_S = 1.3  # longer than its first time open


def measure(size: Size) -> Iterator[Figure]:
    """Every figure, one after the other on a loop of its own."""
    counted = Counted()
    for work in (overshoot, amplification, half_open, second_calls, swaps, memory, others):
        yield from asyncio.run(work(size, counted))
    yield from deadline.measure(size)
    yield _figure("calls that no intent precedes", counted.without_intent, "calls",
                  counted.calls, "calls in all of the above", Budget(0, "value"))  # fmt: skip


class Counted:
    """Calls that reached vendors, beside the intents that were made for them."""

    def __init__(self) -> None:
        self._calls: dict[int, tuple[Book, int]] = {}

    def add(self, vendor: Vendor, book: Book) -> None:
        """One vendor's calls, made under a book that others may share."""
        _, before = self._calls.get(id(book), (book, 0))
        self._calls[id(book)] = book, before + vendor.calls

    @property
    def calls(self) -> int:
        """All calls."""
        return sum(calls for _, calls in self._calls.values())

    @property
    def without_intent(self) -> int:
        """Those beyond the intents of their book."""
        return sum(max(0, calls - book.intents) for book, calls in self._calls.values())


@dataclass(frozen=True, slots=True)
class Place:
    """A vendor in one mood, the connections to it, and the book of its intents."""

    vendor: Vendor
    pool: VendorPool
    book: Book

    def tool(self, number: int, **changes: Any) -> Prepared:
        """It as a tool, asked about one of many patients."""
        return prepared(self.vendor, self.pool, f"s{number}", **changes)

    async def ask(self, known: Guards, *tools: Prepared, seconds: float) -> list[Reply]:
        """One question."""
        return await asked(list(tools), self.book, known, seconds=seconds)


@asynccontextmanager
async def _place(mood: Mood, counted: Counted, book: Book | None = None) -> AsyncIterator[Place]:
    place = Place(Vendor(), VendorPool(headers={}), book or Book())
    async with listening(mood) as vendor:
        place = replace(place, vendor=vendor)
        try:
            yield place
        finally:
            await place.pool.close()
    counted.add(vendor, place.book)


async def _many(
    times: int, one: Callable[[int], Awaitable[_T]], *, at_once: int = AT_ONCE
) -> list[_T]:
    """``one`` so many times, some at once."""
    got: list[_T] = []
    for start in range(0, times, at_once):
        got += await asyncio.gather(*(one(n) for n in range(start, min(times, start + at_once))))
    return got


async def overshoot(size: Size, counted: Counted) -> list[Figure]:
    """How long after the deadline a caller of a vendor that hangs or drips is told."""
    loop = asyncio.get_running_loop()

    async def late_ms(here: Place, number: int) -> float:
        began = loop.time()
        await here.ask(guards(SEED), here.tool(number), seconds=DEADLINE_S)
        return max(0.0, loop.time() - began - DEADLINE_S) * 1000

    async def warm(here: Place, number: int) -> None:
        """What a process does once: code that is loaded at first use, and connections."""
        await here.ask(guards(SEED), here.tool(number), seconds=5)

    over: list[float] = []
    moods: tuple[Mood, ...] = ("hang", "drip")
    for mood in moods:
        async with _place("well", counted) as here:
            await _many(AT_ONCE, partial(warm, here))
            here.vendor.mood = mood
            over += await _many(size.faults // 20, partial(late_ms, here), at_once=FEW)
    bare = await _many(size.faults // 20, _bare_timer_ms, at_once=FEW)
    base = (max(0.01, _percentile(bare, 99)), "p99 of a bare timer")
    p99 = _percentile(over, 99)
    return [
        _figure("deadline overshoot, p99", p99, "ms", *base, Budget(200, "value")),
        _figure("deadline overshoot, max", max(over), "ms", *base, Budget(500, "value")),
    ]


async def _bare_timer_ms(_number: int) -> float:
    """How late the machine is with a timer of the same length and nothing to do."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.sleep(DEADLINE_S)
    return (loop.time() - began - DEADLINE_S) * 1000


async def amplification(size: Size, counted: Counted) -> list[Figure]:
    """Calls a question while a vendor with three tries each is out altogether."""
    questions, known = size.faults // 10, guards(SEED)
    async with _place("busy", counted) as here:
        await _many(
            questions,
            lambda number: here.ask(
                known, here.tool(number, attempts_max=3, idempotent="natural"), seconds=2
            ),
        )
    return [
        _figure("calls a question in a full outage", here.vendor.calls / questions, "calls",
                3, "three tries each", Budget(1.2, "value"))
    ]  # fmt: skip


async def half_open(size: Size, counted: Counted) -> list[Figure]:
    """How many of fifty callers reach a vendor whose breaker has just been open."""
    known = guards(SEED)
    async with _place("busy", counted) as here:
        for number in range(_OPENS):
            await here.ask(known, here.tool(number), seconds=1)
        await asyncio.sleep(_OPEN_S)
        here.vendor.mood, before = "well", here.vendor.calls
        await _many(AT_ONCE, lambda number: here.ask(known, here.tool(number), seconds=1))
        probes = here.vendor.calls - before
    return [
        _figure("probes at half-open", probes, "calls", AT_ONCE, "callers at once",
                Budget(1, "value"))
    ]  # fmt: skip


async def second_calls(size: Size, counted: Counted) -> list[Figure]:
    """Repeats to a vendor that may not be asked twice, where every answer breaks off."""
    questions = size.faults // 10
    async with _place("reset", counted) as here:
        await _many(
            questions,
            lambda number: here.ask(
                guards(SEED), here.tool(number, attempts_max=3, idempotent="none"), seconds=2
            ),
        )
    second = max(0, here.vendor.calls - questions)
    return [
        _figure("second calls to a vendor without a key", second, "calls", here.vendor.calls,
                "calls that broke off", Budget(0, "value"))
    ]  # fmt: skip


async def swaps(size: Size, counted: Counted) -> list[Figure]:
    """Findings delivered of a vendor that gives each two callers each other's answers."""
    async with _place("swap", counted) as here:  # each caller a process of its own: no hold
        replies = await _many(
            size.faults, lambda number: here.ask(guards(SEED), here.tool(number), seconds=20)
        )
    delivered = sum(len(reply.findings) for (reply,) in replies)
    noticed = sum(reply.status == "wrong_patient" for (reply,) in replies)
    return [
        _figure("findings about another patient delivered", delivered, "findings", noticed,
                "swapped answers noticed", Budget(0, "value"))
    ]  # fmt: skip


async def memory(size: Size, counted: Counted) -> list[Figure]:
    """The most that one call to a vendor with an endless body takes."""
    async with _place("endless", counted) as here:
        tracemalloc.start()
        try:
            await here.ask(guards(SEED), here.tool(0, answer_bytes_max=CAP), seconds=10)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    return [
        _figure("memory of a call with an endless body", peak / 1e6, "MB", CAP / 1e6, "the cap",
                Budget(CAP / 1e6 + 10, "value"))
    ]  # fmt: skip


async def others(size: Size, counted: Counted) -> list[Figure]:
    """A tool's p95 beside one that is dead, against the same beside one that is well."""

    async def latency_ms(here: Place, beside: Place, known: Guards, number: int) -> float:
        other = beside.tool(number, tool="beside", deadline_ms=100)
        first, _ = await here.ask(known, here.tool(number), other, seconds=1)
        return float(first.latency_ms)

    p95: dict[Mood, float] = {}
    moods: tuple[Mood, ...] = ("well", "hang")
    for mood in moods:
        async with (
            _place("well", counted) as here,
            _place(mood, counted, here.book) as beside,
        ):
            one = partial(latency_ms, here, beside, guards(SEED))
            p95[mood] = _percentile(await _many(size.faults // 10, one, at_once=FEW), 95)
    return [
        _figure("a tool's p95 beside a dead one", p95["hang"], "ms", p95["well"],
                f"beside one that answers in {WELL_S * 1000:.0f} ms", Budget(1.1, "ratio"))
    ]  # fmt: skip


def _percentile(values: list[float], percent: int) -> float:
    return quantiles(values, n=100)[percent - 1] if len(values) > 1 else max(values)


def _figure(
    what: str, value: float, unit: str, baseline: float, baseline_what: str, budget: Budget
) -> Figure:
    return Figure("faults", what, value, unit, baseline, baseline_what, budget)
