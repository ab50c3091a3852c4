"""Figures for Prometheus: tools, outcomes and states; never a patient, a caller or a value.

What guards know is read when it is scraped; a question costs a few counters.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from careweir.fanout import Guard, Guards
from careweir.log import alarms, log
from careweir.question import Reply

BUCKETS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
LOOK_AT_LOOP_S: Final = 0.1
LAG_KEPT: Final = 100  # looks: the worst lag of the last ten seconds
LAG_ALARM_S: Final = 0.1
STATES: Final = ("closed", "half_open", "open")


class Metrics:
    """One set for each gateway, so that two in one process do not mix."""

    def __init__(
        self,
        guards: Guards,
        *,
        in_flight: Callable[[], int],
        refused: Callable[[], int] = int,
        stuck: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self.registry = CollectorRegistry()
        self._answers = Counter(
            "careweir_answers", "Questions answered.", ["capability", "outcome"],
            registry=self.registry,
        )  # fmt: skip
        self._replies = Counter(
            "careweir_tool_replies", "What became of each tool of each question.",
            ["tool", "status"], registry=self.registry,
        )  # fmt: skip
        self._attempts = Counter(
            "careweir_tool_attempts", "Requests that left for a tool.", ["tool"],
            registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "careweir_tool_seconds", "From asking a tool to its reply, waiting included.",
            ["tool"], buckets=BUCKETS_S, registry=self.registry,
        )  # fmt: skip
        self._lag = Gauge(
            "careweir_event_loop_lag_seconds", "Worst delay of the event loop in the last 10 s.",
            registry=self.registry,
        )  # fmt: skip
        self._over_rate = Counter(
            "careweir_rate_exceeded", "Requests of applications over their rate.",
            registry=self.registry,
        )  # fmt: skip
        running = Gauge("careweir_in_flight", "Questions under way.", registry=self.registry)
        running.set_function(in_flight)
        self.registry.register(_Guarded(guards, refused, stuck))
        self.registry.register(_Alarms())

    def answered(self, capability: str, outcome: str, replies: Sequence[Reply]) -> None:
        """Count one answer and what became of its tools."""
        self._answers.labels(capability, outcome).inc()
        for reply in replies:
            self._replies.labels(reply.tool, reply.status).inc()
            if reply.attempts:
                self._attempts.labels(reply.tool).inc(reply.attempts)
            if reply.latency_ms:
                self._seconds.labels(reply.tool).observe(reply.latency_ms / 1000)

    def over_rate(self) -> None:
        """Count one request that was refused because its application asks too often."""
        self._over_rate.inc()

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)

    async def watch_loop(self) -> None:
        """Measure how late the event loop comes back from a short sleep; for ever."""
        loop = asyncio.get_running_loop()
        lags: deque[float] = deque(maxlen=LAG_KEPT)
        while True:
            began = loop.time()
            await asyncio.sleep(LOOK_AT_LOOP_S)
            lag = max(0.0, loop.time() - began - LOOK_AT_LOOP_S)
            lags.append(lag)
            self._lag.set(max(lags))
            if lag > LAG_ALARM_S:
                log.warning("event loop lagged", elapsed_ms=round(lag * 1000))


class _Guarded(Collector):
    """Breakers, queues and budgets, read when they are scraped."""

    def __init__(
        self, guards: Guards, refused: Callable[[], int], stuck: Callable[[], Iterable[str]]
    ) -> None:
        self._guards = guards
        self._refused = refused
        self._stuck = stuck

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """Families in the order of ``careweir.fanout``: places, breaker, budget, hold."""
        guards = self._guards.known()
        yield CounterMetricFamily(
            "careweir_overloaded", "Questions refused for want of room or time.",
            value=self._refused(),
        )  # fmt: skip
        yield _gauge("careweir_tool_calls", "Calls under way.",
                     ((g.tool.tool, g.bulkhead.active) for g in guards))  # fmt: skip
        yield _gauge("careweir_tool_queued", "Calls that wait for a place.",
                     ((g.tool.tool, g.bulkhead.queued) for g in guards))  # fmt: skip
        yield _counter("careweir_tool_shed", "Calls shed because too many waited.",
                       ((g.tool.tool, g.bulkhead.shed_total) for g in guards))  # fmt: skip
        yield _counter("careweir_tool_waited", "Calls that waited for a place and got one.",
                       ((g.tool.tool, g.bulkhead.waited_total) for g in guards))  # fmt: skip
        yield _counter("careweir_tool_waited_seconds", "How long they waited in all.",
                       ((g.tool.tool, g.bulkhead.waited_s_total) for g in guards))  # fmt: skip
        yield _counter("careweir_tool_repeats_refused", "Repeats that had no budget.",
                       ((g.tool.tool, g.budget.refused_total) for g in guards))  # fmt: skip
        yield _breakers(guards)
        yield _openings(guards)
        held = self._guards.holds()
        yield _gauge("careweir_tool_held", "1: held for a person.",
                     ((tool, 1) for tool in held))  # fmt: skip
        yield _gauge("careweir_tool_stuck", "1: gives everybody the same score.",
                     ((tool, 1) for tool in sorted(self._stuck())))  # fmt: skip


class _Alarms(Collector):
    """The alarms of the runbook, read when they are scraped."""

    def collect(self) -> Iterator[CounterMetricFamily]:
        """One family; of this process, as the log is."""
        family = CounterMetricFamily(
            "careweir_alarms", "Warnings and errors that were logged.", labels=["alarm"]
        )
        for alarm, count in sorted(alarms().items()):
            family.add_metric([alarm], count)
        yield family


def _breakers(guards: Sequence[Guard]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "careweir_breaker_state", "1 for the state that the breaker of an endpoint is in.",
        labels=["tool", "endpoint", "state"],
    )  # fmt: skip
    for guard in guards:
        for number, breaker in enumerate(guard.breakers()):
            for state in STATES:
                labels = [guard.tool.tool, str(number), state]
                family.add_metric(labels, float(breaker.state == state))
    return family


def _openings(guards: Sequence[Guard]) -> CounterMetricFamily:
    opened = ((g.tool.tool, sum(b.opened_total for b in g.breakers())) for g in guards)
    return _counter("careweir_breaker_opened", "How often the breakers of a tool opened.", opened)


def _gauge(name: str, text: str, values: Iterable[tuple[str, float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=["tool"])
    for tool, value in values:
        family.add_metric([tool], value)
    return family


def _counter(name: str, text: str, values: Iterable[tuple[str, float]]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=["tool"])
    for tool, value in values:
        family.add_metric([tool], value)
    return family
