"""A second request to a slow tool: recorded, paid for, only where policy and tool allow it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from pydantic import ValidationError

from careweir.fanout import Asked, Guards, Prepared, ask_all
from careweir.fanout.transport import ConnectionLost
from careweir.question import Reply
from careweir_kit.adapter import VendorAnswer, VendorRequest
from support.clock import run_virtually
from support.vendors import Book, answered, guards_of, prepared

HEDGED = {"idempotent": "natural", "hedge_after_ms": 100, "deadline_ms": 5000}


@dataclass
class Vendor:
    """Each call by its own number: how long it takes, and what comes then."""

    plays: list[tuple[float, Any]]
    urls: list[str] = field(default_factory=list)

    async def send(self, url: str, request: VendorRequest, *, bytes_max: int) -> VendorAnswer:
        seconds, play = self.plays[min(len(self.urls), len(self.plays) - 1)]
        self.urls.append(url)
        await asyncio.sleep(seconds)
        if isinstance(play, Exception):
            raise play
        return play or answered()

    async def close(self) -> None:
        return None


def tool_of(vendor: Vendor, **changes: Any) -> Prepared:
    return replace(prepared([], Book(), **(HEDGED | changes)), transport=vendor)


async def ask(
    one: Prepared, book: Book, *, hedges: bool = True, guards: Guards | None = None
) -> tuple[Reply, float]:
    loop = asyncio.get_running_loop()
    began = loop.time()
    known = guards or guards_of(loop)
    asked = Asked(book, "2026-03-02T08:00:00Z", began + 3, known, hedges=hedges)
    (reply,) = await ask_all([one], asked, strategy="all")
    return reply, loop.time() - began


def played(plays: list[tuple[float, Any]], **changes: Any) -> tuple[Reply, float, Book, Vendor]:
    book, vendor = Book(), Vendor(plays)
    hedges = changes.pop("hedges", True)
    others = changes.pop("others", ())
    one = replace(tool_of(vendor, **changes), others=others)
    reply, seconds = run_virtually(_alone(one, book, hedges))
    return reply, seconds, book, vendor


async def _alone(one: Prepared, book: Book, hedges: bool) -> tuple[Reply, float]:
    return await ask(one, book, hedges=hedges)


def test_a_slow_tool_is_asked_again_and_the_loser_is_concluded() -> None:
    reply, seconds, book, vendor = played([(2.0, None), (0.05, None)])

    assert (reply.status, reply.attempts, reply.disclosure) == ("answered", 2, "dis_2")
    assert seconds == pytest.approx(0.15, abs=0.01)
    assert len(vendor.urls) == 2
    assert [e for e in book.events if e.startswith("intent")] == ["intent 1", "intent 2"]
    assert sorted(book.events[-2:]) == ["answered 2", "unknown 1"]


def test_the_first_answer_counts_even_when_the_second_was_sent() -> None:
    reply, _, book, _ = played([(0.2, None), (2.0, None)])

    assert (reply.status, reply.attempts, reply.disclosure) == ("answered", 2, "dis_1")
    assert sorted(book.events[-2:]) == ["answered 1", "unknown 2"]


@pytest.mark.parametrize(
    ("plays", "changes"),
    [
        ([(2.0, None)], {"hedges": False}),  # policy does not allow a second disclosure
        ([(2.0, None)], {"hedge_after_ms": None}),  # the tool's file does not ask for it
        ([(0.05, None)], {}),  # it was quick enough
    ],
)
def test_otherwise_there_is_one_disclosure(plays: Any, changes: dict[str, Any]) -> None:
    reply, _, book, vendor = played(plays, **changes)

    assert (reply.status, reply.attempts, len(vendor.urls)) == ("answered", 1, 1)
    assert sum(event.startswith("intent") for event in book.events) == 1


def test_a_tool_that_may_not_be_asked_twice_cannot_be_hedged() -> None:
    with pytest.raises(ValidationError, match="idempotent"):
        tool_of(Vendor([]), idempotent="none")


def test_the_second_goes_to_the_next_endpoint() -> None:
    _, _, _, vendor = played([(2.0, None), (0.05, None)], others=("http://other.test",))

    assert vendor.urls == ["http://vendor.test", "http://other.test"]


def test_a_wrong_patient_in_either_decides_and_holds_the_tool() -> None:
    for plays in ([(2.0, None), (0.05, answered(echo="somebody"))],
                  [(0.2, answered(echo="somebody")), (2.0, None)]):  # fmt: skip
        reply, _, book, _ = played(plays)
        assert (reply.status, reply.findings) == ("wrong_patient", ())
        wrong = next(e for e in book.events if e.startswith("wrong_patient")).split()[1]
        assert f"held dis_{wrong}" in book.events
        assert reply.disclosure == f"dis_{wrong}"


def test_one_failure_waits_for_the_other_and_two_are_a_failure() -> None:
    lost = ConnectionLost("gone")
    saved, _, _, _ = played([(0.2, lost), (0.5, None)])
    both, _, book, _ = played([(0.2, lost), (0.5, lost)])

    assert (saved.status, saved.disclosure) == ("answered", "dis_2")
    assert both.status == "unavailable"
    assert sum(event.startswith("vendor_unavailable") for event in book.events) == 2


def test_hedges_are_paid_from_the_budget_of_repeats() -> None:
    async def work() -> int:
        book, vendor = Book(), Vendor([(1.0, None)])
        known = guards_of(asyncio.get_running_loop())
        await asyncio.gather(*(ask(tool_of(vendor), book, guards=known) for _ in range(100)))
        return len(vendor.urls) - 100

    assert 1 <= run_virtually(work()) <= 20 + 11


def test_whoever_no_longer_waits_ends_both() -> None:
    async def work() -> list[str]:
        book = Book()
        asking = asyncio.ensure_future(ask(tool_of(Vendor([(2.0, None)])), book))
        await asyncio.sleep(0.5)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        return book.events

    events = run_virtually(work())
    assert sorted(e for e in events if e.startswith("unknown")) == ["unknown 1", "unknown 2"]
