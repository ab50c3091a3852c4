"""The breaker against a model of its promises, and its promises one by one."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from careweir.fanout.breaker import Breaker, BreakerRules, CircuitOpen
from support.clock import Clock

RULES = BreakerRules(
    window_s=10, calls_min=4, failed_share=0.5, slow_share=0.75, in_a_row=3, slow_s=1,
    lease_s=2, open_first_s=1, open_max_s=8,
)  # fmt: skip


def breaker(clock: Clock, **changes: Any) -> Breaker:
    values = {name: getattr(RULES, name) for name in RULES.__slots__} | changes
    return Breaker(BreakerRules(**values), clock=clock, rng=random.Random(5))


def fail(one: Breaker, times: int = 1) -> None:
    for _ in range(times):
        one.failed(one.admit())


def admitted(one: Breaker, callers: int) -> list[int]:
    tickets = []
    for _ in range(callers):
        try:
            tickets.append(one.admit())
        except CircuitOpen:
            continue
    return tickets


def test_failures_in_a_row_open_it_however_far_apart() -> None:
    clock = Clock()
    one = breaker(clock)

    for _ in range(3):
        assert one.state == "closed"
        fail(one)
        clock.now += 3600 if one.state == "closed" else 0

    assert one.state == "open"


def test_an_answer_between_failures_starts_the_row_again() -> None:
    one = breaker(Clock(), calls_min=100)

    for _ in range(20):
        fail(one, 2)
        one.succeeded(one.admit(), 0.1)

    assert one.state == "closed"


def test_half_of_enough_calls_failing_opens_it_and_a_quarter_does_not() -> None:
    half, quarter = breaker(Clock(), in_a_row=99), breaker(Clock(), in_a_row=99)

    for _ in range(2):
        half.succeeded(half.admit(), 0.1)
        fail(half)
    for _ in range(3):
        for _ in range(3):
            quarter.succeeded(quarter.admit(), 0.1)
        fail(quarter)

    assert (half.state, quarter.state) == ("open", "closed")


def test_failures_that_left_the_window_no_longer_count() -> None:
    clock = Clock()
    one = breaker(clock, in_a_row=99)
    fail(one, 3)

    clock.now += 11
    fail(one)

    assert one.state == "closed"


def test_answers_that_are_nearly_all_slow_open_it() -> None:
    one = breaker(Clock())

    one.succeeded(one.admit(), 0.1)
    for _ in range(3):
        one.succeeded(one.admit(), 1.5)

    assert one.state == "open"


@pytest.mark.parametrize("callers", [1, 50, 1000])
def test_of_all_callers_at_half_open_exactly_one_is_let_through(callers: int) -> None:
    clock = Clock()
    one = breaker(clock)
    fail(one, 3)

    clock.now += 1.3

    assert one.state == "half_open"
    assert len(admitted(one, callers)) == 1


def test_a_probe_that_answers_closes_it_for_everybody() -> None:
    clock = Clock()
    one = breaker(clock)
    fail(one, 3)
    clock.now += 1.3

    one.succeeded(one.admit(), 0.1)

    assert one.state == "closed"
    assert len(admitted(one, 50)) == 50


def test_a_probe_that_is_never_heard_of_loses_its_lease() -> None:
    clock = Clock()
    one = breaker(clock)
    fail(one, 3)
    clock.now += 1.3
    lost = one.admit()

    assert admitted(one, 50) == []
    clock.now += 2.1
    [second] = admitted(one, 50)
    one.failed(lost)  # heard of after all, too late to matter

    assert one.state == "half_open"
    one.succeeded(second, 0.1)
    assert one.state == "closed"


def test_a_probe_that_was_given_up_makes_room_for_the_next_at_once() -> None:
    clock = Clock()
    one = breaker(clock)
    fail(one, 3)
    clock.now += 1.3

    one.abandoned(one.admit())

    assert len(admitted(one, 50)) == 1


def test_calls_from_before_an_opening_say_nothing_about_the_time_after_it() -> None:
    clock = Clock()
    one = breaker(clock)
    early = [one.admit() for _ in range(5)]
    for ticket in early[:3]:
        one.failed(ticket)
    clock.now += 1.3

    one.succeeded(early[3], 0.1)
    one.failed(early[4])

    assert one.state == "half_open"


def test_the_open_time_doubles_while_trouble_lasts_and_is_jittered() -> None:
    clock = Clock()
    one = breaker(clock)
    fail(one, 3)
    waits = []
    for _ in range(6):
        waits.append(one.retry_after_s())
        clock.now += waits[-1]
        fail(one)

    for wait, plain in zip(waits, [1, 2, 4, 8, 8, 8], strict=True):
        assert 0.8 * plain <= wait <= 1.2 * plain
        assert wait != plain


def test_the_open_time_starts_small_again_after_a_quiet_window() -> None:
    clock = Clock()
    one = breaker(clock)
    fail(one, 3)
    for _ in range(3):
        clock.now += one.retry_after_s()
        fail(one)
    clock.now += one.retry_after_s()
    one.succeeded(one.admit(), 0.1)

    clock.now += 11
    fail(one, 3)

    assert one.retry_after_s() <= 1.2


def test_a_vendor_that_flaps_is_left_alone_longer_each_time() -> None:
    clock = Clock()
    one = breaker(clock)
    waits = []
    for _ in range(4):
        fail(one, 3)
        waits.append(one.retry_after_s())
        clock.now += waits[-1]
        one.succeeded(one.admit(), 0.1)

    assert waits == sorted(waits)
    assert waits[-1] > 4 * waits[0]


class BreakerMachine(RuleBasedStateMachine):
    """Any interleaving of calls, verdicts and time."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = breaker(self.clock)
        self.under_way: list[tuple[int, float, bool]] = []

    @rule(seconds=st.floats(min_value=0.01, max_value=20))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def ask(self) -> None:
        before, wait = self.breaker.state, self.breaker.retry_after_s()
        leased = [at for _, at, probe in self.under_way if probe]
        tickets = admitted(self.breaker, 1)
        assert bool(tickets) == (wait == 0)
        assert tickets or before != "closed"
        if not tickets:
            return
        assert before != "open"
        if before == "half_open":
            assert all(self.clock.now - at >= RULES.lease_s for at in leased), "a second probe"
        self.under_way.append((tickets[0], self.clock.now, before == "half_open"))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), how=st.sampled_from(["good", "slow", "failed", "abandoned"]))
    def end(self, data: st.DataObject, how: str) -> None:
        index = data.draw(st.integers(0, len(self.under_way) - 1))
        ticket, _, _ = self.under_way.pop(index)
        if how == "failed":
            self.breaker.failed(ticket)
        elif how == "abandoned":
            self.breaker.abandoned(ticket)
        else:
            self.breaker.succeeded(ticket, 0.1 if how == "good" else 1.5)
        if self.breaker.state != "half_open":
            self.under_way = [(t, at, False) for t, at, _ in self.under_way]

    @invariant()
    def it_is_never_shut_for_ever(self) -> None:
        assert self.breaker.retry_after_s() <= max(RULES.open_max_s * 1.2, RULES.lease_s)


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(
    max_examples=120, stateful_step_count=40, deadline=None, derandomize=True
)
