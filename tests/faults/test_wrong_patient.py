"""Answers about somebody else: never delivered, and the tool waits for a person after one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from careweir.fanout import ask_all
from careweir.question import Reply
from careweir_kit.adapter import VendorAnswer, VendorRequest
from support.charts import sepsis
from support.clock import run_virtually
from support.inprocess import bearer, gateway, run, simulated
from support.vendors import Book, answered, asked_by, guards_of, prepared

SWAPS = 10_000


@dataclass
class Swapping:
    """A vendor, or a proxy before it, that gives the answers of two callers to each other."""

    swaps: bool = True
    waiting: tuple[str, asyncio.Future[str]] | None = None

    async def send(self, url: str, request: VendorRequest, *, bytes_max: int) -> VendorAnswer:
        mine = request.body.decode()
        if not self.swaps:
            return answered(echo=mine)
        if self.waiting is None:
            self.waiting = mine, asyncio.get_running_loop().create_future()
            return answered(echo=await self.waiting[1])
        theirs, other = self.waiting
        self.waiting = None
        other.set_result(mine)
        return answered(echo=theirs)

    async def close(self) -> None:
        return None


def test_of_ten_thousand_swapped_answers_none_is_delivered() -> None:
    async def work() -> list[Reply]:
        loop, book, vendor = asyncio.get_running_loop(), Book(), Swapping()
        template = replace(prepared([], book), transport=vendor)
        replies: list[Reply] = []

        async def one(subject: str) -> None:
            asked = asked_by(2, book, guards_of(loop))  # each with a process of its own: no hold
            replies.extend(
                await ask_all([replace(template, subject=subject)], asked, strategy="all")
            )

        for pair in range(SWAPS // 2):
            await asyncio.gather(one(f"a{pair}"), one(f"b{pair}"))
        return replies

    replies = run_virtually(work())

    assert len(replies) == SWAPS
    assert {reply.status for reply in replies} == {"wrong_patient"}
    assert not any(reply.findings for reply in replies)


def test_the_same_vendor_delivers_when_it_does_not_swap() -> None:
    async def work() -> list[Reply]:
        book = Book()
        one = replace(prepared([], book), transport=Swapping(swaps=False))
        return await ask_all([one], asked_by(2, book), strategy="all")

    assert [reply.status for reply in run_virtually(work())] == ["answered"]


def test_after_one_swap_nobody_asks_the_tool_again_however_many_call() -> None:
    async def work() -> tuple[list[Reply], list[str]]:
        loop, book = asyncio.get_running_loop(), Book()
        guards = guards_of(loop)
        template = replace(prepared([], book), transport=Swapping())

        async def one(subject: str) -> list[Reply]:
            asked = asked_by(2, book, guards)
            return await ask_all([replace(template, subject=subject)], asked, strategy="all")

        first = await asyncio.gather(one("a"), one("b"))
        later = await asyncio.gather(*(one(f"p{n}") for n in range(1000)))
        assert {reply.status for replies in first for reply in replies} == {"wrong_patient"}
        return [reply for replies in later for reply in replies], book.events

    later, events = run_virtually(work())

    assert {reply.status for reply in later} == {"circuit_open"}
    assert "held for a person" in str(later[0].reason)
    assert events.count("intent 1") == 2
    assert sum(event.startswith("held") for event in events) == 2


# --- the hold: on the record, across restarts, ended by a person ----------------------------------


async def let_go(
    client: httpx.AsyncClient, role: str, body: Any, tool: str = "acme-sepsis"
) -> httpx.Response:
    return await client.post(f"/v1/tools/{tool}/release", json=body, headers=bearer(role))


def row(body: Any, tool: str = "acme-sepsis") -> Any:
    return next(one for one in body["tools"] if one["tool"] == tool)


@pytest.fixture
def endpoint_of() -> Any:
    return lambda vendor: {"acme-sepsis": vendor.url}


def test_a_tool_is_held_after_one_wrong_answer_and_across_restarts(
    tmp_path: Path, endpoint_of: Any
) -> None:
    async def work() -> None:
        async with simulated("acme-sepsis") as vendor:
            async with gateway(tmp_path, endpoint_of(vendor)) as up:
                vendor.state.set({"fault": "wrong_patient", "count": 1})
                wrong = (await up.ask(sepsis())).json()
                assert row(wrong)["status"] == "wrong_patient"
                assert not [f for f in wrong["findings"] if f["tool"] == "acme-sepsis"]
                assert (await up.tool("acme-sepsis"))["breaker"] == "open"

            async with gateway(tmp_path, endpoint_of(vendor)) as again:
                shown = await again.tool("acme-sepsis")
                assert shown["held"] == {"disclosure": row(wrong)["disclosure"]}
                assert (shown["breaker"], shown["healthy"]) == ("open", False)
                after = (await again.ask(sepsis())).json()
                assert row(after)["status"] == "circuit_open"
                assert vendor.state.calls == 1

    run(work())


def test_a_person_lets_it_go_with_a_reason_and_that_is_on_the_record(
    tmp_path: Path, endpoint_of: Any
) -> None:
    async def work() -> None:
        async with simulated("acme-sepsis") as vendor:
            async with gateway(tmp_path, endpoint_of(vendor)) as up:
                vendor.state.set({"fault": "wrong_patient", "count": 1})
                wrong = (await up.ask(sepsis())).json()

                answer = await let_go(up.client, "operator", {"reason": "vendor_mended"})

                assert (answer.status_code, answer.json()["held"]) == (200, None)
                assert row((await up.ask(sepsis())).json())["status"] == "answered"
            async with gateway(tmp_path, endpoint_of(vendor)) as again:
                assert (await again.tool("acme-sepsis"))["held"] is None
                records = await again.client.get(
                    f"/v1/audit/records?inference={wrong['id']}", headers=bearer("auditor")
                )
                held = [one for one in records.json()["records"] if one["type"] == "hold"]
                assert [one["outcome"] for one in held] == ["held"]
                assert held[0]["disclosure"] == row(wrong)["disclosure"]

    run(work())


def test_only_an_operator_or_the_board_lets_go_and_only_with_a_coded_reason(
    tmp_path: Path, endpoint_of: Any
) -> None:
    refused: list[tuple[str, Any, str, int]] = [
        ("ed-physician", {"reason": "vendor_mended"}, "acme-sepsis", 403),
        ("auditor", {"reason": "vendor_mended"}, "acme-sepsis", 403),
        ("operator", {"reason": "the patient was John"}, "acme-sepsis", 422),
        ("operator", {}, "acme-sepsis", 422),
        ("operator", {"reason": "drill", "note": "x"}, "acme-sepsis", 422),
        ("operator", {"reason": "drill"}, "beacon-sepsis", 404),
        ("operator", {"reason": "drill"}, "none-such", 404),
    ]

    async def work() -> None:
        async with (
            simulated("acme-sepsis") as vendor,
            gateway(tmp_path, endpoint_of(vendor)) as up,
        ):
            vendor.state.set({"fault": "wrong_patient", "count": 1})
            await up.ask(sepsis())

            for role, body, tool, status in refused:
                answer = await let_go(up.client, role, body, tool)
                assert answer.status_code == status
                assert "John" not in answer.text
                assert (await up.tool("acme-sepsis"))["held"] is not None
            permitted = await let_go(up.client, "operator", {"reason": "drill"})
            assert permitted.status_code == 200

    run(work())


def test_another_replica_on_the_same_record_holds_and_lets_go_too(
    tmp_path: Path, endpoint_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("careweir.holds.LOOK_S", 0.05)

    async def until(other: Any, held: bool) -> None:
        async with asyncio.timeout(10):
            # another replica's state has no event to wait for
            while ((await other.tool("acme-sepsis"))["held"] is not None) != held:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def work() -> None:
        async with (
            simulated("acme-sepsis") as vendor,
            gateway(tmp_path, endpoint_of(vendor), replica="one") as one,
            gateway(tmp_path, endpoint_of(vendor), replica="two") as two,
        ):
            vendor.state.set({"fault": "wrong_patient", "count": 1})
            await one.ask(sepsis())
            await until(two, True)
            assert row((await two.ask(sepsis())).json())["status"] == "circuit_open"
            await let_go(two.client, "governance-board", {"reason": "false_alarm"})
            await until(one, False)
            assert row((await one.ask(sepsis())).json())["status"] == "answered"

    run(work())
