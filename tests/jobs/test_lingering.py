"""A vendor that is still at work at the deadline: asked on, on the record, and read as late."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from careweir.demo import patients
from careweir_adapters.azure_ta4h import simulator
from careweir_kit.simulation.faults import State
from careweir_kit.simulation.model import SimRequest, SimResponse, json_response
from careweir_kit.simulation.server import SimulatorServer, Vendor
from careweir_kit.tool import Tool
from support.charts import question
from support.inprocess import InProcess, bearer, gateway, run
from support.paths import ROOT

TOOL = "nimbus-entities"
FILE = yaml.safe_load((ROOT / "policies" / "tools" / f"{TOOL}.yaml").read_text())


@dataclass
class SlowVendor:
    """A job service that is at work until it is told to be ready; it counts what it is sent."""

    ready: bool = False
    url: str = ""
    state: State | None = None
    methods: Counter[str] = field(default_factory=Counter)

    def answer(self, request: SimRequest) -> SimResponse:
        self.methods[request.method] += 1
        if request.method == "GET" and not self.ready:
            name = request.path.partition("?")[0].rpartition("/")[2]
            running = {"jobId": name, "status": "running", "errors": [],
                       "createdDateTime": "2026-03-02T08:30:00Z",
                       "lastUpdateDateTime": "2026-03-02T08:30:00Z",
                       "expirationDateTime": "2026-03-03T08:30:00Z"}  # fmt: skip
            return json_response(200, running, **{"retry-after": "0.05"})
        tool = Tool.model_validate(FILE).model_dump(mode="json")
        return simulator.answer(tool, FILE["simulator"]["brain"], request)


@asynccontextmanager
async def vendor() -> AsyncIterator[SlowVendor]:
    made = SlowVendor()
    server = SimulatorServer(
        Vendor(answer=made.answer, seed=1, bytes_cap=1_048_576, bearer=None), latency_ms=0
    )
    listening, port = await server.listen(0)
    made.url, made.state = f"http://127.0.0.1:{port}", server.state
    try:
        yield made
    finally:
        listening.close()


def site(folder: Path, **changes: Any) -> Path:
    """The shipped policies with a short deadline for the tool."""
    shutil.copytree(ROOT / "policies", folder)
    file = folder / "tools" / f"{TOOL}.yaml"
    file.write_text(yaml.safe_dump(FILE | {"deadline_ms": 700} | changes))
    return folder


def served(tmp_path: Path, at: SlowVendor, config: Path, **settings: Any) -> Any:
    return gateway(tmp_path / "data", {TOOL: at.url}, config=config, job_lease_s=2, **settings)


def note() -> dict[str, Any]:
    text = "Chest pain since this morning. No fever."
    patient = patients.person("p-linger", "Quiet", "1960-05-05", "female")
    report = {
        "resourceType": "DiagnosticReport", "id": "r1", "status": "final",
        "subject": {"reference": "Patient/p-linger"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "30746-2"}]},
        "effectiveDateTime": datetime.now(UTC).isoformat(), "conclusion": text,
    }  # fmt: skip
    return question("clinical-entities", patients.chart("p-linger", [patient, report]),
                    tools=[TOOL])  # fmt: skip


async def until(done: Any, seconds: float = 20) -> Any:
    async with asyncio.timeout(seconds):
        while not (found := await done()):  # noqa: ASYNC110 - another task's state has no event
            await asyncio.sleep(0.05)
        return found


async def polled(up: InProcess, inference: str) -> list[str]:
    path = f"/v1/audit/records?inference={inference}"
    rows = (await up.client.get(path, headers=bearer("auditor"))).json()["records"]
    return [row["outcome"] for row in rows if row["type"] == "polled"]


async def kept(up: InProcess, inference: str) -> Any:
    return (await up.client.get(f"/v1/inferences/{inference}", headers=bearer())).json()


async def errand(up: InProcess, answer: Any) -> Any:
    return await up.app.state.store.get("lingering", answer["tools"][0]["disclosure"])


async def asked_in_vain(up: InProcess) -> Any:
    answer = (await up.ask(note())).json()
    (row,) = [one for one in answer["tools"] if one["tool"] == TOOL]
    assert (row["status"], answer["outcome"]) == ("timed_out", "failed")
    assert "still at work" in row["reason"]
    return answer


def test_a_job_that_is_pending_at_the_deadline_ends_as_a_late_result(tmp_path: Path) -> None:
    async def work() -> None:
        async with vendor() as at, served(tmp_path, at, site(tmp_path / "site")) as up:
            answer = await asked_in_vain(up)
            assert await errand(up, answer) is not None

            async def twice() -> bool:
                return (await polled(up, answer["id"])).count("asked") >= 2

            await until(twice)
            at.ready = True

            async def late() -> Any:
                body = await kept(up, answer["id"])
                return body if body.get("late") else None

            body = await until(late)
            (entry,) = body["late"]
            assert {finding["code"]["display"] for finding in entry["findings"]} >= {"Fever"}
            assert [r["status"] for r in body["tools"] if r["tool"] == TOOL] == ["late"]
            assert body["findings"] == answer["findings"] == []
            story = sorted(await polled(up, answer["id"]))
            assert story == ["asked"] * (len(story) - 1) + ["late"]
            assert at.methods["POST"] == 1

    run(work(), seconds=60)


def test_an_answer_in_time_is_asked_for_no_more(tmp_path: Path) -> None:
    async def work() -> None:
        async with vendor() as at, served(tmp_path, at, site(tmp_path / "site")) as up:
            at.ready = True
            answer = (await up.ask(note())).json()
            assert answer["outcome"] == "complete"
            assert await polled(up, answer["id"]) == []
            assert await errand(up, answer) is None  # the job that was planned finds nothing to do

    run(work(), seconds=60)


def test_a_restart_asks_on_where_the_last_process_stopped(tmp_path: Path) -> None:
    async def work() -> None:
        config = site(tmp_path / "site")
        async with vendor() as at:
            async with served(tmp_path, at, config) as up:
                answer = await asked_in_vain(up)
            at.ready = True
            async with served(tmp_path, at, config) as again:

                async def late() -> Any:
                    return (await kept(again, answer["id"])).get("late")

                assert len(await until(late)) == 1
            assert at.methods["POST"] == 1

    run(work(), seconds=60)


def test_a_late_answer_about_somebody_else_goes_nowhere_and_holds_its_tool(tmp_path: Path) -> None:
    async def work() -> None:
        async with vendor() as at, served(tmp_path, at, site(tmp_path / "site")) as up:
            answer = await asked_in_vain(up)
            assert at.state is not None
            at.state.set({"fault": "wrong_patient"})
            at.ready = True

            async def held() -> Any:
                return (await up.tool(TOOL))["held"]

            hold = await until(held)
            (row,) = [one for one in answer["tools"] if one["tool"] == TOOL]
            assert hold == {"disclosure": row["disclosure"]}

            async def ended() -> Any:
                return "wrong_patient" in await polled(up, answer["id"])

            await until(ended)
            assert "late" not in await kept(up, answer["id"])

    run(work(), seconds=60)


def test_it_ends_when_its_time_is_up_or_where_the_file_wants_none(tmp_path: Path) -> None:
    async def work() -> None:
        async with vendor() as at:
            brief = site(tmp_path / "brief", late_poll_s=1)
            async with served(tmp_path, at, brief) as up:
                answer = await asked_in_vain(up)

                async def ended() -> Any:
                    return "given_up" in await polled(up, answer["id"])

                await until(ended)
                assert "late" not in await kept(up, answer["id"])
            never = site(tmp_path / "never", late_poll_s=0)
            async with served(tmp_path / "other", at, never) as up:
                answer = (await up.ask(note())).json()
                assert answer["outcome"] == "failed"
                assert await errand(up, answer) is None

    run(work(), seconds=60)
