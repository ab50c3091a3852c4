"""What an operator relies on: figures without patients, honest readiness, an orderly end."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from careweir.api.middleware import CrashToProblem
from careweir.metrics import Metrics
from support.charts import sepsis
from support.inprocess import bearer, gateway, run, simulated
from support.paths import ROOT
from support.running import careweir, serving
from support.vendors import guards_of

OPEN = 12  # questions under way when the process is told to end


def families(text: str) -> set[str]:
    return set(re.findall(r"^# TYPE (\w+)", text, re.M))


def test_the_figures_name_tools_and_outcomes_and_never_a_patient_or_a_caller(
    tmp_path: Path,
) -> None:
    async def work() -> str:
        async with (
            simulated("acme-sepsis") as vendor,
            gateway(tmp_path, {"acme-sepsis": vendor.url}) as up,
        ):
            await up.ask(sepsis())
            await up.ask(sepsis(deadline_ms=500))
            answer = await up.client.get("/metrics")
            assert answer.headers["content-type"].startswith("text/plain")
            return answer.text

    text = run(work())

    assert 'careweir_answers_total{capability="sepsis-risk",outcome="degraded"} 2.0' in text
    assert 'careweir_tool_replies_total{status="answered",tool="acme-sepsis"} 2.0' in text
    assert 'careweir_breaker_state{endpoint="0",state="closed",tool="acme-sepsis"} 1.0' in text
    chart = sepsis()
    names = [r["resource"]["id"] for r in chart["inputs"]["entry"]]
    for secret in [chart["subject"], *names, "Practitioner", "ed-physician", "ehr", "inf_", "dis_"]:
        assert secret not in text


def test_every_figure_is_on_the_operators_page_and_no_other() -> None:
    async def work() -> str:
        guards = guards_of(asyncio.get_running_loop())
        return Metrics(guards, in_flight=lambda: 0).text().decode()

    real = {name for name in families(asyncio.run(work())) if not name.endswith("_created")}
    page = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `(careweir_\w+)", page, re.M))

    assert told == real


def test_one_vendor_or_all_of_them_down_leave_the_gateway_ready(tmp_path: Path) -> None:
    async def work() -> None:
        async with gateway(tmp_path, {}) as up:
            answer = await up.ask(sepsis())
            assert answer.json()["outcome"] != "complete"
            assert (await up.client.get("/readyz")).status_code == 200

    run(work())


def test_a_record_that_does_not_answer_makes_it_unready_and_it_stays_alive(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("careweir.api.routes.READY_S", 0.05)

    async def never() -> bool:
        await asyncio.Event().wait()
        return True

    async def work() -> None:
        async with gateway(tmp_path, {}) as up:
            assert (await up.client.get("/readyz")).status_code == 200
            trail = up.app.state.services.trail
            monkeypatch.setattr(trail, "healthy", never)
            assert (await up.client.get("/readyz")).status_code == 503
            assert (await up.client.get("/healthz")).status_code == 200
            assert (await up.client.get("/metrics", headers=bearer())).status_code == 200

    run(work())


def test_a_slow_event_loop_is_noticed() -> None:
    async def work() -> str:
        metrics = Metrics(guards_of(asyncio.get_running_loop()), in_flight=lambda: 0)
        watching = asyncio.create_task(metrics.watch_loop())
        await asyncio.sleep(0.01)
        time.sleep(0.4)  # noqa: ASYNC251 - blocking the loop is the point
        await asyncio.sleep(0.01)
        watching.cancel()
        return metrics.text().decode()

    lag = re.search(r"^careweir_event_loop_lag_seconds (\S+)", asyncio.run(work()), re.M)

    assert lag is not None
    assert float(lag[1]) >= 0.2


def test_whoever_still_waits_when_the_server_ends_is_told_so() -> None:
    async def hangs(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    async def work() -> list[Any]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            await asyncio.Event().wait()

        scope = {"type": "http", "path": "/v1/inferences", "headers": [], "method": "POST"}
        serving = asyncio.ensure_future(CrashToProblem(hangs)(scope, receive, send))
        await asyncio.sleep(0)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        assert serving.cancelled()
        return sent

    start, body = asyncio.run(work())

    assert start["status"] == 503
    assert (b"retry-after", b"1") in start["headers"]
    assert json.loads(body["body"])["code"] == "shutting_down"


def test_sigterm_under_load_lets_open_questions_end_loses_none_and_closes_the_chain(
    tmp_path: Path,
) -> None:
    later: dict[str, Any] = {"headers": {"Prefer": "respond-async"}}
    with serving(tmp_path / "data") as up:
        up.client.post(up.simulators["acme-sepsis"]["control"], json={"latency_ms": 1500})
        before = up.seen("acme-sepsis")["calls"]
        with ThreadPoolExecutor(OPEN) as pool:
            now = [pool.submit(up.ask, sepsis()) for _ in range(OPEN // 2)]
            waiting = [pool.submit(up.ask, sepsis(), **later) for _ in range(OPEN // 2)]
            accepted = [one.result() for one in waiting]
            while up.seen("acme-sepsis")["calls"] < before + OPEN:
                time.sleep(0.02)
            os.kill(up.pid, signal.SIGTERM)
            answers = [one.result(timeout=25) for one in now]

    verified = careweir("audit", "verify", "--data", str(tmp_path / "data"))
    with closing(sqlite3.connect(tmp_path / "data" / "audit.db")) as record:
        last = record.execute("SELECT type FROM audit_entry ORDER BY seq DESC LIMIT 1").fetchone()
    with serving(tmp_path / "data") as again:
        kept = [again.get(one.headers["location"], "ed-physician") for one in accepted]

    assert {one.status_code for one in accepted} == {202}
    assert {one.json()["outcome"] for one in answers} == {"complete"}
    assert {(one.status_code, one.json()["outcome"]) for one in kept} == {(200, "complete")}
    assert verified.returncode == 0
    assert last == ("close",)
