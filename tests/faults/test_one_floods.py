"""One application that asks without end, beside one that asks now and then."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from support.charts import sepsis
from support.inprocess import InProcess, bearer, gateway, run, simulated

FLOOD = 60


async def ask(up: InProcess, client: str) -> tuple[int, Any]:
    question = sepsis(tools=["acme-sepsis"], deadline_ms=20_000)
    headers = bearer(client=client)
    answer = await up.client.post("/v1/inferences", json=question, headers=headers)
    return answer.status_code, answer.json()


def test_an_application_over_its_rate_is_told_so_and_another_is_answered_in_full(
    tmp_path: Path,
) -> None:
    rates = tmp_path / "rates.yaml"
    rates.write_text(json.dumps({"floods": {"per_s": 0.001, "burst": 5}}))

    async def work() -> None:
        async with (
            simulated("acme-sepsis") as vendor,
            gateway(tmp_path / "data", {"acme-sepsis": vendor.url}, rates=rates) as up,
        ):
            flood = [asyncio.create_task(ask(up, "floods")) for _ in range(FLOOD)]
            steady = [await ask(up, "steady") for _ in range(5)]
            flooded = [status for status, _ in await asyncio.gather(*flood)]

            assert sorted(flooded) == [200] * 5 + [429] * (FLOOD - 5)
            assert {(status, body["outcome"]) for status, body in steady} == {(200, "complete")}
            assert vendor.state.calls == 5 + len(steady)  # a refused request reached nobody

    run(work(), seconds=60)


def test_an_application_that_fills_the_process_shuts_out_only_itself(tmp_path: Path) -> None:
    async def work() -> None:
        async with (
            simulated("acme-sepsis") as vendor,
            gateway(tmp_path, {"acme-sepsis": vendor.url}, in_flight_max=32) as up,
        ):
            vendor.state.set({"fault": "hang"})
            flood = [asyncio.create_task(ask(up, "floods")) for _ in range(FLOOD)]
            while vendor.state.calls < 28:  # all that one application may have under way
                await asyncio.wait(flood, timeout=0.02)
            shut_out = [task.result() for task in flood if task.done()]
            vendor.state.set({"fault": "off"})
            steady = [await ask(up, "steady") for _ in range(3)]

            assert {(status, body["code"]) for status, body in shut_out} == {(503, "overloaded")}
            assert {(status, body["outcome"]) for status, body in steady} == {(200, "complete")}
            for task in flood:
                task.cancel()
            await asyncio.gather(*flood, return_exceptions=True)

    run(work(), seconds=60)
