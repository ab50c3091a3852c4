"""Kill -9 again and again under load, then read the history: the promises held each time."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx

from jobs.conftest import TOOLS, Replica, Site, Vendors, finished
from support.charts import sepsis

KILLS = int(os.environ.get("CAREWEIR_TEST_KILLS", "2"))
SEED = 20260302
ASKED_A_ROUND = 6


def accepted(replica: Replica, key: str, question: dict[str, Any]) -> str | None:
    """The location of an accepted question; None where the gateway died before it said so."""
    with suppress(httpx.TransportError):
        answer = replica.ask(question, Prefer="respond-async", Idempotency_Key=key)
        if answer.status_code == 202:
            return str(answer.headers["location"])
    return None


def test_after_every_kill_nothing_was_sent_twice_lost_or_left_open(
    site: Site, vendors: Vendors
) -> None:
    source, question = random.Random(SEED), sepsis()
    before = {tool: vendors.calls(tool) for tool in TOOLS}
    for tool in TOOLS:
        vendors.slow(tool, 400)
    keys: list[str] = []
    replica = site.start()
    for _ in range(KILLS):
        mine = [f"key-{len(keys) + n}" for n in range(ASKED_A_ROUND)]
        keys += mine
        with ThreadPoolExecutor(ASKED_A_ROUND) as pool:
            asked = [pool.submit(accepted, replica, key, question) for key in mine]
            time.sleep(source.uniform(0.05, 0.8))
            replica.kill()
            _ = [one.result() for one in asked]
        replica = site.start()

    answers = {}
    for key in keys:  # who repeats with the key of a question that died learns what became of it
        again = replica.ask(question, Prefer="respond-async", Idempotency_Key=key)
        while again.status_code == 409:
            time.sleep(0.2)
            again = replica.ask(question, Prefer="respond-async", Idempotency_Key=key)
        if again.status_code == 202:
            again = finished(replica, again.headers["location"])
        answers[key] = again.json()

    assert len({answer["id"] for answer in answers.values()}) == len(keys)
    intents = Counter((row["inference"], row["tool"]) for row in site.records("intent"))
    assert set(intents.values()) == {1}, f"seed {SEED}: a tool was to be asked twice"
    for tool in TOOLS:
        intended = sum(count for (_, asked_tool), count in intents.items() if asked_tool == tool)
        assert vendors.calls(tool) - before[tool] <= intended
    rows = [row for answer in answers.values() for row in answer["tools"] if row["mode"] == "live"]
    assert {row["status"] for row in rows} <= {"answered", "unknown"}
    results = Counter(row["inference"] for row in site.records("answer"))
    assert set(results) >= {answer["id"] for answer in answers.values()}
    assert site.audit("verify").returncode == 0
