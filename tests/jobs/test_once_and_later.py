"""One question, one disclosure a tool: through repeats, replicas, restarts and kills.

The tests share the replicas of their site. ``CAREWEIR_TEST_KILLS=50`` makes the last one long.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import pytest

from jobs.conftest import TOOLS, Replica, Site, Vendors, finished, statuses, wait_for
from support.charts import sepsis

KILLS = int(os.environ.get("CAREWEIR_TEST_KILLS", "1"))
SEED = 20260302
ASKED_A_ROUND = 6
SETTLE_AFTER = 4  # a question that is killed eight times in a row is given up, and says so


def disclosures(vendors: Vendors) -> dict[str, int]:
    return {tool: vendors.calls(tool) for tool in TOOLS}


def more_than(before: dict[str, int], vendors: Vendors) -> dict[str, int]:
    return {tool: count - before[tool] for tool, count in disclosures(vendors).items()}


def test_a_key_gives_one_answer_at_every_replica_and_after_a_restart(
    site: Site, vendors: Vendors
) -> None:
    before, question = disclosures(vendors), sepsis()
    one, other = site.living(), site.start()

    vendors.slow("acme-sepsis", 300)
    with ThreadPoolExecutor(6) as pool:
        asked = [
            pool.submit(replica.ask, question, Idempotency_Key="key-1")
            for _ in range(3)
            for replica in (one, other)
        ]
        answers = [each.result() for each in asked]
    one.kill()
    restarted = site.start()
    answers += [at.ask(question, Idempotency_Key="key-1") for at in (other, restarted)]

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert more_than(before, vendors) == dict.fromkeys(TOOLS, 1)
    refused = restarted.ask(question | {"deadline_ms": 2999}, Idempotency_Key="key-1")
    assert (refused.status_code, refused.json()["code"]) == (409, "idempotency_key_reused")
    assert more_than(before, vendors) == dict.fromkeys(TOOLS, 1)
    elsewhere = restarted.ask(question, role="hospitalist", Idempotency_Key="key-1")
    assert elsewhere.status_code in (200, 403)
    if elsewhere.status_code == 200:
        assert elsewhere.json()["id"] != answers[0].json()["id"]


def test_a_refusal_frees_its_key(site: Site, vendors: Vendors) -> None:
    before, replica = disclosures(vendors), site.living()

    wrong = replica.ask(sepsis(subject="Patient/somebody-else"), Idempotency_Key="key-2")
    right = replica.ask(sepsis(), Idempotency_Key="key-2")

    assert wrong.status_code == 422
    assert right.status_code == 200
    assert more_than(before, vendors) == dict.fromkeys(TOOLS, 1)


def test_a_kill_in_mid_call_is_never_followed_by_a_second_call(
    site: Site, vendors: Vendors
) -> None:
    before, question = disclosures(vendors), sepsis(deadline_ms=1500)
    first = site.living()
    vendors.slow("acme-sepsis", 8_000)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(first.ask, question, Idempotency_Key="key-3")
        wait_for(lambda: min(more_than(before, vendors).values()) == 1)
        first.kill()
    second = site.living()

    early = second.ask(question, Idempotency_Key="key-3")

    def answered() -> Any:
        got = second.ask(question, Idempotency_Key="key-3")
        return got if got.status_code != 409 else None

    answer = wait_for(answered)
    assert early.status_code in (409, 200)
    assert statuses(answer.json()) == dict.fromkeys(TOOLS, "unknown")
    assert answer.json()["outcome"] == "degraded"  # the published score stands in
    assert more_than(before, vendors) == dict.fromkeys(TOOLS, 1)
    assert second.ask(question, Idempotency_Key="key-3").content == answer.content
    listed = second.get("/v1/inferences?status=unknown", "operator").json()["inferences"]
    (mine,) = [row for row in listed if row["id"] == answer.json()["id"]]
    assert mine["tools"] == list(TOOLS)


def test_respond_async_answers_202_and_then_200_to_who_asked(site: Site, vendors: Vendors) -> None:
    before, replica = disclosures(vendors), site.living()
    vendors.slow("acme-sepsis", 1_000)

    accepted = replica.ask(sepsis(deadline_ms=100), Prefer="respond-async")

    location = accepted.headers["location"]
    assert accepted.status_code == 202
    assert accepted.json()["status"] == "running"
    assert location == f"/v1/inferences/{accepted.json()['id']}"
    assert replica.get(location).status_code == 202
    assert replica.get(location, "radiologist").status_code == 404
    answer = finished(replica, location)
    assert answer.status_code == 200
    assert statuses(answer.json()) == dict.fromkeys(TOOLS, "answered")
    assert answer.json()["id"] == accepted.json()["id"]
    assert replica.get(location, "radiologist").status_code == 404
    assert replica.get("/v1/inferences/inf_nobody").status_code == 404
    fhir = replica.client.get(
        location, headers=replica.headers("ed-physician", Accept="application/fhir+json")
    )
    assert fhir.json()["resourceType"] == "Bundle"
    assert more_than(before, vendors) == dict.fromkeys(TOOLS, 1)


def test_a_question_that_is_refused_is_refused_at_once(site: Site) -> None:
    replica = site.living()

    forbidden = replica.ask(sepsis(), role="scheduler", Prefer="respond-async")
    wrong = replica.ask(sepsis(subject="Patient/x"), Prefer="respond-async")

    assert (forbidden.status_code, wrong.status_code) == (403, 422)


def test_a_job_of_a_killed_replica_is_finished_by_another_without_a_second_call(
    site: Site, vendors: Vendors
) -> None:
    before, one = disclosures(vendors), site.living()
    other = site.start()
    vendors.slow("acme-sepsis", 6_000)
    question = sepsis()
    accepted = one.ask(question, Prefer="respond-async", Idempotency_Key="key-4")
    wait_for(lambda: min(more_than(before, vendors).values()) == 1)

    one.kill()

    answer = finished(other, accepted.headers["location"])
    assert answer.status_code == 200
    assert statuses(answer.json()) == dict.fromkeys(TOOLS, "unknown")
    assert answer.json()["outcome"] == "degraded"
    assert more_than(before, vendors) == dict.fromkeys(TOOLS, 1)
    repeat = other.ask(question, Prefer="respond-async", Idempotency_Key="key-4")
    assert repeat.json() == answer.json()


@pytest.mark.parametrize("site", ["postgres"], indirect=True)
def test_a_paused_replica_that_wakes_sends_nothing_and_changes_nothing(
    site: Site, vendors: Vendors
) -> None:
    """Its lease is over: another has answered meanwhile. A paused SQLite writer would stop both."""
    paused = site.living()
    other = next((one for one in site.replicas if one is not paused and one.alive), None)
    other = other or site.start()
    before = disclosures(vendors)
    vendors.slow("acme-sepsis", 1_500)
    accepted = paused.ask(sepsis(), Prefer="respond-async")
    wait_for(lambda: min(more_than(before, vendors).values()) == 1)

    paused.process.send_signal(signal.SIGSTOP)
    answer = finished(other, accepted.headers["location"])
    paused.process.send_signal(signal.SIGCONT)

    assert statuses(answer.json()) == dict.fromkeys(TOOLS, "unknown")
    assert wait_for(lambda: paused.get("/readyz").status_code == 200)
    assert other.get(accepted.headers["location"]).json() == answer.json()
    assert paused.get(accepted.headers["location"]).json() == answer.json()
    assert more_than(before, vendors) == dict.fromkeys(TOOLS, 1)
    assert site.audit("verify").returncode == 0


def accepted(replica: Replica, key: str, question: dict[str, Any]) -> str | None:
    """The location of an accepted question; None where the gateway died before it said so."""
    with suppress(httpx.TransportError):
        answer = replica.ask(question, Prefer="respond-async", Idempotency_Key=key)
        if answer.status_code == 202:
            return str(answer.headers["location"])
    return None


def became_of(key: str, replica: Replica, question: dict[str, Any]) -> Any:
    """Who repeats with the key of a question that died learns what became of it."""
    again = replica.ask(question, Prefer="respond-async", Idempotency_Key=key)
    while again.status_code == 409:
        time.sleep(0.2)
        again = replica.ask(question, Prefer="respond-async", Idempotency_Key=key)
    if again.status_code == 202:
        again = finished(replica, again.headers["location"])
    return again.json()


def test_after_every_kill_nothing_was_sent_twice_lost_or_left_open(
    site: Site, vendors: Vendors
) -> None:
    source, question = random.Random(SEED), sepsis()
    before = {tool: vendors.calls(tool) for tool in TOOLS}
    for tool in TOOLS:
        vendors.slow(tool, 400)
    keys: list[str] = []
    answers: dict[str, Any] = {}
    replica = site.living()
    for round_ in range(KILLS):
        mine = [f"load-{len(keys) + n}" for n in range(ASKED_A_ROUND)]
        keys += mine
        with ThreadPoolExecutor(ASKED_A_ROUND) as pool:
            asked = [pool.submit(accepted, replica, key, question) for key in mine]
            time.sleep(source.uniform(0.05, 0.8))
            replica.kill()
            _ = [one.result() for one in asked]
        replica = site.living()
        if (round_ + 1) % SETTLE_AFTER == 0 or round_ + 1 == KILLS:
            answers |= {key: became_of(key, replica, question) for key in keys[len(answers) :]}

    ids = {answer["id"] for answer in answers.values()}
    assert len(ids) == len(keys)
    intents = Counter((row["inference"], row["tool"]) for row in site.records("intent"))
    assert set(intents.values()) == {1}, f"seed {SEED}: a tool was to be asked twice"
    for tool in TOOLS:
        assert vendors.calls(tool) - before[tool] <= sum((one, tool) in intents for one in ids)
    rows = [row for answer in answers.values() for row in answer["tools"] if row["mode"] == "live"]
    assert {row["status"] for row in rows} <= {"answered", "unknown"}
    results = Counter(row["inference"] for row in site.records("answer"))
    assert set(results) >= ids
    assert site.audit("verify").returncode == 0
