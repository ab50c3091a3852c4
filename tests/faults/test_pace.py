"""What a process keeps back of a deadline for itself, and whom it refuses because of that."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from careweir.audit import Entry
from careweir.errors import AnswerUnrecorded, Overloaded
from careweir.ledger import InferenceLedger
from careweir.pace import (
    ALWAYS,
    END_FIRST_S,
    END_MAX_S,
    FULL_AT,
    KEPT_BACK_MAX,
    RECORD_LATE_MAX_S,
    Pace,
)
from support.charts import sepsis
from support.clock import Clock, run_virtually
from support.inprocess import gateway, run, simulated


def pace(clock: Clock, *, in_flight_max: int = 1000) -> Pace:
    return Pace(in_flight_max, clock=clock)


def test_the_more_questions_may_end_at_once_the_more_of_the_deadline_is_kept_back() -> None:
    clock = Clock(0.0)
    one = pace(clock)
    alone = one.tools_until(4.0)
    with ExitStack() as under_way:
        for _ in range(20):
            under_way.enter_context(one.room(0.0, 3.0))
        among_others = one.tools_until(4.0)
        before_them = one.tools_until(2.0)

    assert alone == pytest.approx(4.0 - END_FIRST_S)
    assert among_others == pytest.approx(4.0 - 20 * END_FIRST_S)
    assert before_them == pytest.approx(2.0 - END_FIRST_S)
    assert one.tools_until(4.0) == alone


def test_never_more_than_a_share_of_what_is_left_is_kept_back() -> None:
    clock = Clock(0.0)
    one = pace(clock)
    with ExitStack() as under_way:
        for _ in range(200):
            under_way.enter_context(one.room(0.0, 60.0))
        clock.now = 59.0
        assert one.tools_until(61.0) == pytest.approx(61.0 - 2 * KEPT_BACK_MAX)
    clock.now = 62.0
    assert one.tools_until(61.0) == 61.0


def test_it_learns_quickly_that_an_end_takes_longer_and_slowly_that_it_does_not() -> None:
    clock = Clock(0.0)
    one = pace(clock)

    def end(seconds: float) -> float:
        with one.ending(clock.now):
            clock.now += seconds
        return 4.0 - (one.tools_until(clock.now + 4.0) - clock.now)

    after_one = end(END_MAX_S)
    after_more = [end(END_MAX_S) for _ in range(20)][-1]
    after_a_monster = end(30.0)
    after_quick_ones = [end(0.001) for _ in range(10)][-1]
    at_last = [end(0.001) for _ in range(500)][-1]

    assert END_FIRST_S * 2 < after_one < after_more
    assert after_a_monster == pytest.approx(END_MAX_S, rel=0.01)
    assert END_MAX_S * 0.7 < after_quick_ones < END_MAX_S
    assert at_last == pytest.approx(0.001, rel=0.1)


def test_ends_that_run_beside_each_other_count_as_one() -> None:
    clock = Clock(0.0)
    one = pace(clock)
    for _ in range(30):
        with ExitStack() as together:
            for _ in range(10):
                together.enter_context(one.ending(clock.now))
            clock.now += 0.1
    with one.room(0.0, 10_000.0):
        assert 10_000.0 - one.tools_until(10_000.0) == pytest.approx(0.01, rel=0.2)


def test_a_question_whose_time_is_half_gone_is_refused_and_a_fresh_one_is_not() -> None:
    clock = Clock(0.0)
    one = pace(clock)
    clock.now = 1.1
    with pytest.raises(Overloaded) as refused, one.room(0.0, 2.0):
        pass
    assert refused.value.retry_after_s == 1
    with one.room(0.2, 2.2):
        assert one.in_flight == 1
    assert one.in_flight == 0


def test_only_as_many_are_taken_as_can_end_within_their_deadlines() -> None:
    clock = Clock(0.0)
    one = pace(clock)
    with ExitStack() as under_way:

        def take(deadline: float) -> bool:
            try:
                under_way.enter_context(one.room(0.0, deadline))
            except Overloaded:
                return False
            return True

        assert sum(take(1.0) for _ in range(300)) == pytest.approx(FULL_AT / END_FIRST_S, abs=1)
        assert take(60.0)  # who has the time is taken
        assert not take(1.0)
        assert one.refused_total > 100


def test_a_few_are_always_taken_and_never_more_than_the_limit() -> None:
    clock = Clock(0.0)
    one = pace(clock, in_flight_max=10)
    with ExitStack() as under_way:
        for _ in range(ALWAYS):
            under_way.enter_context(one.room(0.0, 0.001))
        under_way.enter_context(one.room(0.0, 60.0))
        under_way.enter_context(one.room(0.0, 60.0))
        with pytest.raises(Overloaded, match="at once"), one.room(0.0, 60.0):
            pass


def test_one_application_leaves_room_for_another() -> None:
    one = pace(Clock(0.0), in_flight_max=80)
    with ExitStack() as under_way:
        for _ in range(70):
            under_way.enter_context(one.room(0.0, 60.0, "floods"))
        with pytest.raises(Overloaded), one.room(0.0, 60.0, "floods"):
            pass
        for _ in range(10):
            under_way.enter_context(one.room(0.0, 60.0, "steady"))
        with pytest.raises(Overloaded), one.room(0.0, 60.0, "steady"):
            pass
    with one.room(0.0, 60.0, "floods"):
        assert one.in_flight == 1


def test_all_who_arrive_together_have_their_deadlines_from_then() -> None:
    async def work() -> list[float]:
        clock = Clock(0.0)
        one = pace(clock)

        async def question() -> float:
            async with one.arriving() as arrived:
                clock.now += 0.005  # what each costs before it waits for anything
                return arrived

        return await asyncio.gather(*(question() for _ in range(50)))

    assert set(asyncio.run(work())) == {0.0}


def test_those_who_have_the_time_take_none_from_who_is_in_a_hurry() -> None:
    async def work() -> tuple[float, float]:
        clock = Clock(0.0)
        one = pace(clock)
        async with AsyncExitStack() as here:
            for _ in range(100):
                arrived = await here.enter_async_context(one.arriving())
                here.enter_context(one.room(arrived, 60.0))
            arrived = await here.enter_async_context(one.arriving())
            before = one.tools_until(4.0)
            here.enter_context(one.room(arrived, 4.0))
            return before, one.tools_until(4.0)

    assert asyncio.run(work()) == pytest.approx((4.0 - END_FIRST_S, 4.0 - END_FIRST_S))


def test_those_who_have_arrived_and_are_not_looked_at_yet_are_counted() -> None:
    async def work() -> float:
        one = pace(Clock(0.0))
        async with AsyncExitStack() as here:
            arrived = [await here.enter_async_context(one.arriving()) for _ in range(20)]
            here.enter_context(one.room(arrived[0], 4.0))
            return one.tools_until(4.0)

    assert asyncio.run(work()) == pytest.approx(4.0 - 20 * END_FIRST_S)


def test_a_tool_is_waited_for_less_long_than_the_question_may_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        async with (
            simulated("acme-sepsis") as vendor,
            gateway(tmp_path, {"acme-sepsis": vendor.url}) as up,
        ):
            await up.ask(sepsis(tools=["acme-sepsis"]))  # what a process loads once
            vendor.state.set({"fault": "hang"})
            waited: list[float] = []
            here = up.app.state.services.gateway.pace
            until = here.tools_until

            def kept_back(deadline: float) -> float:
                waited.append(deadline - until(deadline))
                return until(deadline)

            monkeypatch.setattr(here, "tools_until", kept_back)
            body = (await up.ask(sepsis(tools=["acme-sepsis"], deadline_ms=2000))).json()
            (row,) = [row for row in body["tools"] if row["tool"] == "acme-sepsis"]

            assert row["status"] == "timed_out"
            assert len(waited) == 1
            assert 0 < waited[0] <= 1
            assert up.app.state.services.gateway.pace.in_flight == 0

    run(work())


class Stalled:
    """A record whose commits do not come back."""

    def __init__(self) -> None:
        self.taken: list[Entry] = []

    def submit(self, entry: Entry) -> asyncio.Future[Any]:
        self.taken.append(entry)
        return asyncio.get_running_loop().create_future()

    async def append(self, entry: Entry) -> Any:
        return await self.submit(entry)


def test_an_outcome_that_is_not_durable_soon_after_the_deadline_is_not_given() -> None:
    async def work() -> float:
        loop, trail = asyncio.get_running_loop(), Stalled()
        began, one = loop.time(), Pace(8, clock=loop.time)
        who = cast("Any", SimpleNamespace(entry=lambda kind, body, **facts: Entry(kind, body)))
        ledger = InferenceLedger(cast("Any", trail), who, new_id=lambda prefix: prefix)
        with pytest.raises(AnswerUnrecorded) as refused:
            await ledger.answered(
                "complete", [], [], findings_json=b"", by=one.recorded_by(began + 4)
            )
        assert refused.value.retry_after_s == 1
        assert [entry.type for entry in trail.taken] == ["answer"]  # it will be on the record
        return loop.time() - began

    assert run_virtually(work()) == pytest.approx(4 + RECORD_LATE_MAX_S)
