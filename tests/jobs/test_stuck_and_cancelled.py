"""A question that is answered later: given up and taken up again, or no longer wanted."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from careweir.audit import Query
from careweir.jobs import runner
from support.charts import sepsis
from support.inprocess import InProcess, Simulated, bearer, gateway, run, simulated
from support.paths import ROOT

LATER = {"Prefer": "respond-async"}


def never_twice(folder: Path) -> Path:
    """The shipped policies, with a vendor that does not know a repeat."""
    shutil.copytree(ROOT / "policies", folder / "policies")
    file = folder / "policies" / "tools" / "acme-sepsis.yaml"
    body = yaml.safe_load(file.read_text(encoding="utf-8"))
    file.write_text(yaml.safe_dump(body | {"idempotent": "none", "attempts_max": 1}))
    return folder / "policies"


async def until(done: Callable[[], Awaitable[Any]]) -> Any:
    """Poll for what another task does, until it gives something."""
    while True:
        if found := await done():
            return found
        await asyncio.sleep(0.02)


async def was_called(vendor: Simulated) -> bool:
    return vendor.state.calls > 0


async def accepted(up: InProcess) -> str:
    question = sepsis(tools=["acme-sepsis"])
    answer = await up.client.post("/v1/inferences", json=question, headers=bearer() | LATER)
    assert answer.status_code == 202
    return str(answer.headers["location"])


async def ended(up: InProcess, location: str) -> httpx.Response:
    async def done() -> httpx.Response | None:
        answer = await up.client.get(location, headers=bearer())
        return answer if answer.status_code != 202 else None

    answer: httpx.Response = await until(done)
    return answer


async def resumed(up: InProcess, location: str) -> int:
    """Resume it as an operator, once its last try has been put away."""

    async def done() -> int | None:
        answer = await up.client.post(f"{location}/resume", headers=bearer("operator"))
        return answer.status_code if answer.status_code != 409 else None

    return int(await until(done))


async def listed(up: InProcess) -> list[str]:
    path = "/v1/inferences?status=stuck"
    rows = (await up.client.get(path, headers=bearer("operator"))).json()["inferences"]
    return [f"/v1/inferences/{row['id']}" for row in rows]


async def steps(up: InProcess) -> list[tuple[str | None, str | None]]:
    query = Query(type="job")
    trail = up.app.state.services.trail
    return [(row.entry.actor, row.entry.outcome) async for row in trail.read(query)]


def test_a_question_that_was_given_up_stands_on_the_work_list_and_can_be_taken_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        async with (
            simulated("acme-sepsis") as vendor,
            gateway(tmp_path, {"acme-sepsis": vendor.url}) as up,
        ):
            with monkeypatch.context() as no_tries:
                no_tries.setattr(runner, "TAKES_MAX", 0)
                location = await accepted(up)
                lost = await ended(up, location)

            async def resume(role: str) -> int:
                path = f"{location}/resume"
                return (await up.client.post(path, headers=bearer(role))).status_code

            assert (lost.status_code, lost.json()["code"]) == (500, "answer_lost")
            assert await listed(up) == [location]
            assert [await resume(role) for role in ("ed-physician", "auditor")] == [403, 403]
            assert await steps(up) == []
            assert await resumed(up, location) == 202
            answer = await ended(up, location)
            assert answer.status_code == 200
            assert answer.json()["id"] == location.rpartition("/")[2]
            assert [row["status"] for row in answer.json()["tools"]] == ["answered"]
            assert await listed(up) == []
            assert await resume("operator") == 409
            assert ("Practitioner/operator", "resumed") in await steps(up)

    run(work(), seconds=60)


def test_what_was_sent_before_it_was_given_up_is_not_sent_again_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        async with (
            simulated("acme-sepsis") as vendor,
            gateway(tmp_path, {"acme-sepsis": vendor.url}, config=never_twice(tmp_path)) as up,
        ):
            location = await _sent_and_dropped(up, vendor)
            with monkeypatch.context() as no_tries:
                no_tries.setattr(runner, "TAKES_MAX", 0)
                lost = await ended(up, location)
            assert lost.status_code == 500
            assert await resumed(up, location) == 202
            answer = (await ended(up, location)).json()
            live = {row["tool"]: row["status"] for row in answer["tools"] if row["mode"] == "live"}
            assert live == {"acme-sepsis": "unknown"}
            assert vendor.state.calls == 1

    async def _sent_and_dropped(up: InProcess, vendor: Simulated) -> str:
        """Its process is gone after the request left: nobody renews its lease any more."""
        vendor.state.set({"fault": "hang"})
        location = await accepted(up)
        await until(lambda: was_called(vendor))
        jobs: Any = up.app.state.services.inferences._later._runner  # as a kill leaves it
        for task in list(jobs._running.values()):
            task.cancel()
        vendor.state.set({"fault": "off"})
        return location

    run(work(), seconds=60)


def test_who_asked_may_cancel_and_then_nothing_more_is_sent_or_kept(tmp_path: Path) -> None:
    async def work() -> None:
        async with (
            simulated("acme-sepsis") as vendor,
            gateway(tmp_path, {"acme-sepsis": vendor.url}) as up,
        ):
            vendor.state.set({"fault": "hang"})
            location = await accepted(up)
            await until(lambda: was_called(vendor))

            async def cancel(role: str) -> int:
                return (await up.client.delete(location, headers=bearer(role))).status_code

            assert await cancel("radiologist") == 404
            assert (await up.client.get(location, headers=bearer())).status_code == 202
            assert await cancel("ed-physician") == 204
            gone = await up.client.get(location, headers=bearer())
            assert (gone.status_code, gone.json()["code"]) == (410, "cancelled")
            assert await cancel("ed-physician") == 409
            assert vendor.state.calls == 1
            assert await steps(up) == [("Practitioner/ed-physician", "cancelled")]
            again = await up.client.post(f"{location}/resume", headers=bearer("operator"))
            assert again.status_code == 409

    run(work(), seconds=60)
