"""The retry budget and the queue against models of what they promise."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from careweir.fanout.budget import RetryBudget
from careweir.fanout.bulkhead import Bulkhead, Shed
from support.clock import Clock, VirtualLoop, run_virtually

SETTINGS = settings(max_examples=80, stateful_step_count=40, deadline=None, derandomize=True)


def test_a_few_repeats_are_there_from_the_start_and_ten_more_each_second() -> None:
    clock = Clock()
    budget = RetryBudget(clock=clock)

    assert [budget.spend() for _ in range(11)] == [True] * 10 + [False]
    clock.now += 1
    assert [budget.spend() for _ in range(11)] == [True] * 10 + [False]


def test_every_fifth_call_earns_a_repeat_for_ten_seconds() -> None:
    clock = Clock()
    budget = RetryBudget(clock=clock)
    for _ in range(100):
        budget.called()

    assert sum(budget.spend() for _ in range(100)) == 20 + 10
    clock.now += 12
    assert sum(budget.spend() for _ in range(100)) == 10


class BudgetMachine(RuleBasedStateMachine):
    """Repeats never exceed a fifth of the calls plus 10 a second, however they fall."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.budget = RetryBudget(clock=self.clock)
        self.calls: list[float] = []
        self.spent: list[float] = []
        self.began = self.clock.now

    @rule(count=st.integers(1, 30))
    def calls_begin(self, count: int) -> None:
        for _ in range(count):
            self.budget.called()
            self.calls.append(self.clock.now)

    @rule(count=st.integers(1, 30))
    def repeats_are_wanted(self, count: int) -> None:
        for _ in range(count):
            if self.budget.spend():
                self.spent.append(self.clock.now)

    @rule(seconds=st.floats(min_value=0.01, max_value=15))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def no_more_than_earned(self) -> None:
        lasted = self.clock.now - self.began
        assert len(self.spent) <= 0.2 * len(self.calls) + 10 * lasted + 10
        last_s = sum(at > self.clock.now - 1 for at in self.spent)
        lately = sum(at > self.clock.now - 12 for at in self.calls)
        assert last_s <= 0.2 * lately + 10 + 10


TestBudgetMachine = BudgetMachine.TestCase
TestBudgetMachine.settings = SETTINGS


# --- the bulkhead ---------------------------------------------------------------------------------


def test_a_thousand_callers_of_a_vendor_that_hangs_are_shed_at_once() -> None:
    async def work() -> tuple[int, float]:
        loop = asyncio.get_running_loop()
        bulkhead = Bulkhead(10, 20, clock=loop.time)
        began = loop.time()

        async def one() -> float:
            try:
                await bulkhead.enter(began + 5)
            except Shed:
                return loop.time() - began
            await asyncio.sleep(60)
            return -1

        tasks = [asyncio.create_task(one()) for _ in range(1000)]
        await asyncio.sleep(0.01)
        shed = [task.result() for task in tasks if task.done()]
        assert (bulkhead.active, bulkhead.queued) == (10, 20)
        await asyncio.sleep(6)
        late = sum(task.done() for task in tasks) - len(shed)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return len(shed), max(shed) + late

    assert run_virtually(work()) == (970, 20)  # at once; the 20 that waited, at their deadline


def test_who_could_not_be_served_in_time_does_not_even_wait() -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        bulkhead = Bulkhead(1, 10, clock=loop.time)
        entered = await bulkhead.enter(loop.time() + 100)
        await asyncio.sleep(50)
        bulkhead.leave(entered)  # calls are known to take long
        await bulkhead.enter(loop.time() + 100)

        before = loop.time()
        with pytest.raises(Shed) as caught:
            await bulkhead.enter(loop.time() + 2)

        assert loop.time() == before
        assert (caught.value.retry_after_s or 0) >= 1

    run_virtually(work())


def test_one_application_that_floods_a_tool_takes_no_time_from_another() -> None:
    """The other's calls take as long as they did alone, at every percentile."""

    async def steady(flood: int) -> list[float]:
        loop = asyncio.get_running_loop()
        bulkhead = Bulkhead(16, 100, clock=loop.time)

        async def call(party: str) -> float:
            began = loop.time()
            try:
                entered = await bulkhead.enter(began + 4, party)
            except Shed:
                return -1.0
            await asyncio.sleep(1)
            bulkhead.leave(entered, party)
            return loop.time() - began

        flooding = [asyncio.create_task(call("floods")) for _ in range(flood)]
        mine = []
        for _ in range(40):
            mine.append(asyncio.create_task(call("steady")))
            flooding += [asyncio.create_task(call("floods")) for _ in range(flood // 10)]
            await asyncio.sleep(0.6)
        took = [await one for one in mine]
        flooded = [await one for one in flooding]
        assert not flood or -1.0 in flooded
        return took

    alone, beside = run_virtually(steady(0)), run_virtually(steady(1000))

    assert min(alone) > 0
    assert max(beside) <= 1.1 * max(alone)


def test_parties_that_wait_are_served_in_turn_and_the_greatest_one_is_shed_first() -> None:
    async def work() -> list[str]:
        loop = asyncio.get_running_loop()
        bulkhead = Bulkhead(1, 4, clock=loop.time)
        served: list[str] = []

        async def call(party: str, number: int) -> None:
            try:
                entered = await bulkhead.enter(loop.time() + 60, party)
            except Shed:
                served.append(f"no {party}{number}")
                return
            await asyncio.sleep(1)
            served.append(f"{party}{number}")
            bulkhead.leave(entered, party)

        calls = [call("a", n) for n in range(5)] + [call("b", n) for n in range(2)]
        tasks = [asyncio.create_task(one) for one in calls]
        await asyncio.gather(*tasks)
        assert (bulkhead.active, bulkhead.queued) == (0, 0)
        return served

    assert run_virtually(work()) == ["no a4", "no a3", "a0", "a1", "b0", "a2", "b1"]


@pytest.mark.parametrize("others", [0, 1])
def test_who_gives_up_just_when_its_turn_comes_leaves_the_place_to_the_next(others: int) -> None:
    async def work() -> tuple[int, int, int]:
        loop = asyncio.get_running_loop()
        one, deadline = Bulkhead(1, 10, clock=loop.time), loop.time() + 10
        entered = await one.enter(deadline, "first")
        turn = asyncio.create_task(one.enter(deadline, "impatient"))
        await asyncio.sleep(0)
        after = [asyncio.create_task(one.enter(deadline, "next")) for _ in range(others)]
        await asyncio.sleep(0)
        one.leave(entered, "first")
        turn.cancel()
        with pytest.raises(asyncio.CancelledError):
            await turn
        for task in after:
            await task
        return one.active, one.queued, one.shed_total

    assert run_virtually(work()) == (others, 0, 0)


def test_a_share_is_never_exceeded_and_the_rest_stays_for_others() -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        bulkhead = Bulkhead(10, 10, clock=loop.time)
        later = [asyncio.create_task(bulkhead.enter(loop.time() + 60, "later", share=0.5))
                 for _ in range(8)]  # fmt: skip
        await asyncio.sleep(0)
        assert (bulkhead.active, bulkhead.queued) == (5, 3)
        for _ in range(5):
            await bulkhead.enter(loop.time() + 1, "at a screen")
        bulkhead.leave(loop.time(), "later")
        await asyncio.sleep(0)
        assert (bulkhead.active, bulkhead.queued) == (10, 2)
        for task in later:
            task.cancel()
        await asyncio.gather(*later, return_exceptions=True)

    run_virtually(work())


PARTIES = ("one", "two", "three")


class QueueMachine(RuleBasedStateMachine):
    """Places are never oversold, never lost, and given to each party in the order of arrival."""

    PLACES, QUEUE = 3, 4

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.bulkhead = Bulkhead(self.PLACES, self.QUEUE, clock=self.loop.time)
        self.inside: list[tuple[float, str]] = []
        self.waiting: list[asyncio.Task[tuple[float, str]]] = []

    def teardown(self) -> None:
        for task in self.waiting:
            task.cancel()
        self.run(asyncio.sleep(0))
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def settle(self) -> None:
        self.run(asyncio.sleep(0))
        self.run(asyncio.sleep(0))
        done = [task for task in self.waiting if task.done()]
        for party in PARTIES:
            mine = [task for task in self.waiting if task.get_name() == party]
            ended = [task for task in done if task in mine]
            assert ended == mine[: len(ended)] or any(t.exception() for t in ended), "order"
        for task in done:
            self.waiting.remove(task)
            if not task.cancelled() and task.exception() is None:
                self.inside.append(task.result())

    @rule(patience=st.floats(min_value=0.5, max_value=50), party=st.sampled_from(PARTIES))
    def arrive(self, patience: float, party: str) -> None:
        async def enter() -> tuple[float, str]:
            return await self.bulkhead.enter(self.loop.time() + patience, party), party

        self.waiting.append(self.loop.create_task(enter(), name=party))
        self.settle()

    @precondition(lambda self: self.inside)
    @rule()
    def leave(self) -> None:
        self.bulkhead.leave(*self.inside.pop(0))
        self.settle()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        task = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        task.cancel()
        self.settle()

    @precondition(lambda self: self.waiting and self.inside)
    @rule()
    def leave_and_give_up_at_the_same_moment(self) -> None:
        task = self.waiting.pop(0)
        self.bulkhead.leave(*self.inside.pop(0))
        task.cancel()
        self.settle()

    @rule(seconds=st.floats(min_value=0.1, max_value=30))
    def time_passes(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))
        self.settle()

    @invariant()
    def places_are_neither_oversold_nor_lost(self) -> None:
        assert self.bulkhead.active == len(self.inside) <= self.PLACES
        assert self.bulkhead.queued == len(self.waiting) <= self.QUEUE
        assert not self.waiting or len(self.inside) == self.PLACES


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = SETTINGS
