"""The whole chain on virtual time: deadline, places, breaker, budget, repeats, endpoints."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, replace
from typing import Any

import pytest

from careweir.errors import AuditUnavailable
from careweir.fanout import Guards, Prepared, ask_all
from careweir.fanout.transport import ConnectionLost, EndpointRefused, NeverSent
from careweir.question import Reply
from careweir_kit.adapter import VendorAnswer, VendorRequest
from support.clock import run_virtually
from support.vendors import Book, answered, asked_by, guards_of, prepared


@dataclass
class Vendor:
    """A transport that does the same for every call, and counts."""

    book: Book
    takes_s: float = 0.05
    play: Any = None
    calls: int = 0

    async def send(self, url: str, request: VendorRequest, *, bytes_max: int) -> VendorAnswer:
        self.calls += 1
        self.book.events.append(f"sent {url}")
        play: Any = self.play(url) if callable(self.play) else self.play
        await asyncio.sleep(self.takes_s)
        if isinstance(play, Exception):
            raise play
        return play or answered()

    async def close(self) -> None:
        return None


def of(vendor: Vendor, **changes: Any) -> Prepared:
    others = changes.pop("others", ())
    return replace(prepared([], vendor.book, **changes), transport=vendor, others=others)


async def ask(one: Prepared, guards: Guards, book: Book, *, seconds: float = 4) -> Reply:
    [reply] = await ask_all([one], asked_by(seconds, book, guards), strategy="all")
    return reply


def test_in_a_full_outage_few_calls_reach_the_vendor_and_none_waits() -> None:
    async def work() -> None:
        book = Book()
        vendor = Vendor(book, play=answered(500))
        guards = guards_of(asyncio.get_running_loop())
        one = of(vendor, attempts_max=3, idempotent="natural")
        statuses = []
        for _ in range(1000):
            statuses.append((await ask(one, guards, book)).status)
            await asyncio.sleep(0.02)

        assert statuses[:10] == ["unavailable"] * 10
        assert statuses.count("circuit_open") > 900
        assert vendor.calls <= 1.2 * 1000 / 10
        assert guards.of(one.tool).state != "closed"

    run_virtually(work())


def test_repeats_stay_within_a_fifth_of_the_calls_where_only_some_fail() -> None:
    async def work() -> None:
        book, turn = Book(), iter(range(10_000))
        vendor = Vendor(book, 0.01, play=lambda _: answered(500) if next(turn) % 3 == 0 else None)
        guards = guards_of(asyncio.get_running_loop())
        one = of(vendor, attempts_max=3, idempotent="natural")
        asking = []
        for _ in range(2000):  # 1 000 a second
            asking.append(asyncio.create_task(ask(one, guards, book)))
            await asyncio.sleep(0.001)
        await asyncio.gather(*asking)

        assert 2000 < vendor.calls <= 2000 * 1.2 + 10 * 3 + 10

    run_virtually(work())


@pytest.mark.parametrize("failures_min", [0, 60])
def test_a_demonstration_lets_more_fail_before_its_breakers_open(failures_min: int) -> None:
    async def work() -> list[str]:
        book, loop = Book(), asyncio.get_running_loop()
        one = of(Vendor(book, play=answered(500)))
        guards = Guards(clock=loop.time, rng=random.Random(1), failures_min=failures_min)
        return [(await ask(one, guards, book)).status for _ in range(70)]

    statuses = run_virtually(work())

    assert statuses[: failures_min or 10] == ["unavailable"] * (failures_min or 10)
    assert "circuit_open" in statuses


def test_of_fifty_callers_at_half_open_one_reaches_the_vendor() -> None:
    async def work() -> None:
        book = Book()
        vendor = Vendor(book, play=answered(500))
        guards = guards_of(asyncio.get_running_loop())
        one = of(vendor)
        for _ in range(10):
            await ask(one, guards, book)
        await asyncio.sleep(1.3)
        vendor.play, before = None, vendor.calls

        replies = await asyncio.gather(*(ask(one, guards, book) for _ in range(50)))

        assert vendor.calls == before + 1
        assert sorted({reply.status for reply in replies}) == ["answered", "circuit_open"]
        assert all(reply.retry_after_s for reply in replies if reply.status == "circuit_open")
        assert (await ask(one, guards, book)).status == "answered"

    run_virtually(work())


@pytest.mark.parametrize(
    ("play", "opens"),
    [
        (answered(500), True),
        (answered(503), True),
        (NeverSent("no"), True),
        (ConnectionLost("no"), True),
        (answered(echo="crash"), True),
        (answered(429), False),
        (answered(422), False),
        (answered(401), False),
        (answered(echo="s1"), False),
    ],
)
def test_what_is_our_fault_or_a_pause_never_opens_the_breaker(play: Any, opens: bool) -> None:
    async def work() -> None:
        book = Book()
        guards = guards_of(asyncio.get_running_loop())
        one = of(Vendor(book, play=play))
        for _ in range(30):
            await ask(one, guards, book)
            await asyncio.sleep(0.02)

        assert (guards.of(one.tool).state == "closed") is not opens

    run_virtually(work())


def test_a_caller_in_a_hurry_does_not_open_the_breaker_and_a_patient_one_does() -> None:
    async def statuses(seconds: float) -> list[str]:
        book = Book()
        guards = guards_of(asyncio.get_running_loop())
        one = of(Vendor(book, takes_s=60), deadline_ms=2000)
        return [(await ask(one, guards, book, seconds=seconds)).status for _ in range(15)]

    assert set(run_virtually(statuses(0.1))) == {"timed_out"}
    assert run_virtually(statuses(2))[9:12] == ["timed_out", "circuit_open", "circuit_open"]


def test_a_tool_that_lacks_inputs_says_nothing_about_its_vendor() -> None:
    async def work() -> None:
        book = Book()
        guards = guards_of(asyncio.get_running_loop())
        one = of(Vendor(book), request={"lacks": True})
        for _ in range(30):
            assert (await ask(one, guards, book)).status == "refused"

        assert guards.of(one.tool).state == "closed"

    run_virtually(work())


@pytest.mark.parametrize("retry_after_s", [1, 3, 30, 315_360_000])
def test_a_wait_that_the_vendor_asks_for_never_outlives_the_deadline(retry_after_s: float) -> None:
    async def work() -> None:
        loop, book = asyncio.get_running_loop(), Book()
        one = of(Vendor(book, 0.0, play=answered(429, wait=str(retry_after_s))), attempts_max=3,
                 deadline_ms=4000)  # fmt: skip
        began = loop.time()

        reply = await ask(one, guards_of(loop), book)

        assert loop.time() - began <= 4.0
        assert reply.status == "throttled"
        assert reply.retry_after_s == retry_after_s
        assert reply.attempts == (3 if retry_after_s == 1 else 2 if retry_after_s == 3 else 1)

    run_virtually(work())


def test_a_pause_is_kept_by_all_callers_and_waited_out_where_there_is_time() -> None:
    async def work() -> None:
        loop, book = asyncio.get_running_loop(), Book()
        vendor = Vendor(book, play=answered(429, wait="2"))
        guards, one = guards_of(loop), of(vendor)
        await ask(one, guards, book)
        vendor.play = None

        hasty = await ask(one, guards, book, seconds=1)
        calls = vendor.calls
        patient = await ask(one, guards, book, seconds=4)

        assert (hasty.status, calls) == ("throttled", 1)
        assert 0 < (hasty.retry_after_s or 0) <= 2
        assert patient.status == "answered"

    run_virtually(work())


def test_a_pause_of_ten_years_ends_after_a_minute() -> None:
    async def work() -> None:
        loop, book = asyncio.get_running_loop(), Book()
        vendor = Vendor(book, play=answered(429, wait="315360000"))
        guards, one = guards_of(loop), of(vendor)
        await ask(one, guards, book)
        vendor.play = None

        assert (await ask(one, guards, book)).status == "throttled"
        await asyncio.sleep(66)
        assert (await ask(one, guards, book)).status == "answered"

    run_virtually(work())


# --- several endpoints ----------------------------------------------------------------------------


def test_the_next_endpoint_is_asked_where_nothing_left_for_the_first() -> None:
    async def work() -> None:
        book = Book()
        vendor = Vendor(book, play=lambda url: None if "two" in url else NeverSent("no"))
        one = of(vendor, others=("http://two.test",))

        reply = await ask(one, guards_of(asyncio.get_running_loop()), book)

        assert (reply.status, reply.attempts) == ("answered", 2)
        assert book.events == [
            "intent 1", "sent http://vendor.test", "vendor_unavailable 1",
            "intent 2", "sent http://two.test", "answered 2",
        ]  # fmt: skip

    run_virtually(work())


@pytest.mark.parametrize(
    ("play", "idempotent", "endpoints_asked"),
    [
        (ConnectionLost("no"), "none", 1),
        (ConnectionLost("no"), "natural", 2),
        (EndpointRefused("no"), "none", 2),
        (answered(429), "natural", 1),
        (answered(422), "natural", 1),
    ],
)
def test_another_endpoint_is_a_second_disclosure_and_asked_only_where_that_is_safe(
    play: Any, idempotent: str, endpoints_asked: int
) -> None:
    async def work() -> None:
        book = Book()
        one = of(Vendor(book, play=play), others=("http://two.test",), idempotent=idempotent)

        await ask(one, guards_of(asyncio.get_running_loop()), book)

        asked = {event for event in book.events if event.startswith("sent")}
        assert len(asked) == endpoints_asked

    run_virtually(work())


def test_an_endpoint_that_keeps_failing_is_passed_over_and_the_tool_stays_closed() -> None:
    async def work() -> None:
        book = Book()
        vendor = Vendor(book, play=lambda url: None if "two" in url else NeverSent("no"))
        guards = guards_of(asyncio.get_running_loop())
        one = of(vendor, others=("http://two.test",))
        for _ in range(12):
            await ask(one, guards, book)
        book.events.clear()

        reply = await ask(one, guards, book)

        assert (reply.status, reply.attempts) == ("answered", 1)
        assert book.events == ["intent 1", "sent http://two.test", "answered 1"]
        assert guards.of(one.tool).state == "closed"

    run_virtually(work())


# --- the record -----------------------------------------------------------------------------------


def test_a_slow_record_counts_against_the_deadline_and_nothing_is_sent() -> None:
    class SlowBook(Book):
        async def intend(self, prepared: Any, request: Any, attempt: Any) -> Any:
            await asyncio.sleep(5)
            return await super().intend(prepared, request, attempt)

    async def work() -> None:
        loop, book = asyncio.get_running_loop(), SlowBook()
        vendor = Vendor(book)
        guards, one, began = guards_of(loop), of(vendor), loop.time()

        hasty = await ask(one, guards, book, seconds=0.1)
        with pytest.raises(AuditUnavailable):
            await ask(one, guards, book, seconds=1)

        assert loop.time() - began <= 1.11
        assert (hasty.status, hasty.disclosure, vendor.calls) == ("timed_out", None, 0)
        assert guards.of(one.tool).state == "closed"

    run_virtually(work())


def test_the_overloaded_are_told_so_and_nothing_of_them_is_on_the_record() -> None:
    async def work() -> None:
        book = Book()
        guards = guards_of(asyncio.get_running_loop())
        one = of(Vendor(book, takes_s=1), limits={"concurrent_max": 2, "queue_max": 1})

        replies = await asyncio.gather(*(ask(one, guards, book) for _ in range(5)))

        told = [reply.status for reply in replies]
        assert sorted(told) == ["answered"] * 3 + ["overloaded"] * 2
        assert all(reply.retry_after_s for reply in replies if reply.status == "overloaded")
        assert sum(event.startswith("intent") for event in book.events) == 3

    run_virtually(work())


@pytest.mark.parametrize(("later", "status"), [(True, "answered"), (False, "timed_out")])
def test_where_nobody_waits_a_tool_has_the_longer_time_of_its_file(
    later: bool, status: str
) -> None:
    async def work() -> tuple[str, str]:
        book = Book()
        guards = guards_of(asyncio.get_running_loop())
        one = of(Vendor(book, takes_s=60), deadline_ms=2000, deadline_later_ms=90_000)
        replies: list[Reply] = []
        for _ in range(30 if later else 1):
            asked = replace(asked_by(900, book, guards), later=later)
            replies = await ask_all([one], asked, strategy="all")
        [reply] = replies
        return reply.status, guards.of(one.tool).state

    assert run_virtually(work()) == (status, "closed")


def test_a_tool_without_a_longer_time_takes_no_longer_when_nobody_waits() -> None:
    async def work() -> float:
        loop, book = asyncio.get_running_loop(), Book()
        one = of(Vendor(book, takes_s=60), deadline_ms=2000)
        began = loop.time()
        await ask_all([one], replace(asked_by(900, book), later=True), strategy="all")
        return loop.time() - began

    assert run_virtually(work()) == pytest.approx(2.0)
