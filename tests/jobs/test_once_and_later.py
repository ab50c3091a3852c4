"""One question, one disclosure a tool: through repeats, replicas, restarts and kills."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from jobs.conftest import TOOLS, Site, Vendors, finished, statuses, wait_for
from support.charts import sepsis


def disclosures(vendors: Vendors) -> dict[str, int]:
    return {tool: vendors.calls(tool) for tool in TOOLS}


def more_than(before: dict[str, int], vendors: Vendors) -> dict[str, int]:
    return {tool: count - before[tool] for tool, count in disclosures(vendors).items()}


def test_a_key_gives_one_answer_at_every_replica_and_after_a_restart(
    site: Site, vendors: Vendors
) -> None:
    before, question = disclosures(vendors), sepsis()
    one, other = site.start(), site.start()

    vendors.slow("acme-sepsis", 300)
    with ThreadPoolExecutor(6) as pool:
        asked = [
            pool.submit(replica.ask, question, Idempotency_Key="key-1")
            for _ in range(3)
            for replica in (one, other)
        ]
        answers = [each.result() for each in asked]
    one.kill()
    other.kill()
    answers.append(site.start().ask(question, Idempotency_Key="key-1"))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert more_than(before, vendors) == dict.fromkeys(TOOLS, 1)
    again = site.replicas[-1]
    refused = again.ask(question | {"deadline_ms": 2999}, Idempotency_Key="key-1")
    assert (refused.status_code, refused.json()["code"]) == (409, "idempotency_key_reused")
    assert more_than(before, vendors) == dict.fromkeys(TOOLS, 1)
    elsewhere = again.ask(question, role="hospitalist", Idempotency_Key="key-1")
    assert elsewhere.status_code in (200, 403)
    if elsewhere.status_code == 200:
        assert elsewhere.json()["id"] != answers[0].json()["id"]


def test_a_refusal_frees_its_key(small_site: Site, vendors: Vendors) -> None:
    before, replica = disclosures(vendors), small_site.start()

    wrong = replica.ask(sepsis(subject="Patient/somebody-else"), Idempotency_Key="key-2")
    right = replica.ask(sepsis(), Idempotency_Key="key-2")

    assert wrong.status_code == 422
    assert right.status_code == 200
    assert more_than(before, vendors) == dict.fromkeys(TOOLS, 1)


def test_a_kill_in_mid_call_is_never_followed_by_a_second_call(
    site: Site, vendors: Vendors
) -> None:
    before, question = disclosures(vendors), sepsis(deadline_ms=1500)
    first = site.start()
    vendors.slow("acme-sepsis", 8_000)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(first.ask, question, Idempotency_Key="key-3")
        wait_for(lambda: min(more_than(before, vendors).values()) == 1)
        first.kill()
    second = site.start()

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
    assert [row["id"] for row in listed] == [answer.json()["id"]]
    assert listed[0]["tools"] == list(TOOLS)


def test_respond_async_answers_202_and_then_200_to_who_asked(
    small_site: Site, vendors: Vendors
) -> None:
    before, replica = disclosures(vendors), small_site.start()
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


def test_a_question_that_is_refused_is_refused_at_once(small_site: Site) -> None:
    replica = small_site.start()

    forbidden = replica.ask(sepsis(), role="scheduler", Prefer="respond-async")
    wrong = replica.ask(sepsis(subject="Patient/x"), Prefer="respond-async")

    assert (forbidden.status_code, wrong.status_code) == (403, 422)


def test_a_job_of_a_killed_replica_is_finished_by_another_without_a_second_call(
    site: Site, vendors: Vendors
) -> None:
    before, one = disclosures(vendors), site.start()
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
