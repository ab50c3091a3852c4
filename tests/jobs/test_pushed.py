"""Results that a vendor sends by itself: bound to what it was sent, compared, never merged."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
import yaml

from careweir.webhook import holds, secret_bytes, signed
from jobs.conftest import Replica, Site, Vendors, finished, statuses, wait_for
from support.charts import sepsis

PATH = "/v1/tools/acme-sepsis/results"
SECRET = "whsec_c2VjcmV0LW9mLXRoZS12ZW5kb3I="  # the words "secret-of-the-vendor"
NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def hook() -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """An application that listens for webhooks: refuses each message once."""
    heard: list[tuple[dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            heard.append(({k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(204 if [one for _, one in heard].count(body) > 1 else 503)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/careweir", heard
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def pushing_site(small_site: Site, hook: tuple[str, Any]) -> Site:
    """A site whose vendor may push, by token or signature, and whose caller has a webhook."""
    secrets = small_site.folder / "secrets"
    secrets.mkdir()
    (secrets / "ACME_PUSH").write_text(SECRET)
    (secrets / "HOOK").write_text("hook secret")
    hooks = small_site.folder / "webhooks.yaml"
    hooks.write_text(yaml.safe_dump({"careweir-demo": {"url": hook[0], "secret": "HOOK"}}))
    file = small_site.folder / "policies" / "tools" / "acme-sepsis.yaml"
    tool = yaml.safe_load(file.read_text())
    tool["push"] = {"senders": ["Organization/demo-vendor"], "secret": "ACME_PUSH"}
    file.write_text(yaml.safe_dump(tool))
    small_site.settings |= {"CAREWEIR_SECRETS_DIR": str(secrets), "CAREWEIR_WEBHOOKS": str(hooks)}
    return small_site


@pytest.fixture
def pushing(pushing_site: Site) -> Replica:
    """A gateway of that site; the same one for every test that does not kill it."""
    return pushing_site.living()


def asked_too_late(
    gateway: Replica, vendors: Vendors, question: Any = None, **changes: Any
) -> tuple[Any, bytes]:
    """An answer for which acme was too slow, and what acme would have answered."""
    calls = vendors.calls("acme-sepsis")
    vendors.control("acme-sepsis", fault="hang", count=1)
    answer = gateway.ask((question or sepsis()) | {"deadline_ms": 700}, **changes)
    assert vendors.calls("acme-sepsis") == calls + 1
    sent = vendors.received("acme-sepsis")
    url = f"{vendors.urls['acme-sepsis']['url']}/v2/models/sepsis6h/infer"
    body = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    late = httpx.post(url, content=body, headers={"content-type": "application/json"})
    assert late.status_code == 200
    return answer, late.content


def push(gateway: Replica, body: bytes, *, role: str | None = "vendor", **headers: str) -> Any:
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {"content-type": "application/json", **more}
    if role is not None:
        sent |= gateway.headers(role)
    return gateway.client.post(PATH, content=body, headers=sent)


def let_go(gateway: Replica) -> None:
    """A person looks at the held tool, and lets it be asked again."""
    released = gateway.client.post(
        "/v1/tools/acme-sepsis/release",
        json={"reason": "drill"},
        headers=gateway.headers("operator"),
    )
    assert released.status_code == 200


def late_answer(gateway: Replica, inference: str) -> Any:
    def done() -> Any:
        body = gateway.get(f"/v1/inferences/{inference}").json()
        return body if body.get("late") else None

    return wait_for(done)


def test_a_late_result_is_stored_compared_announced_and_never_twice(
    small_site: Site, pushing: Replica, vendors: Vendors, hook: tuple[str, list[Any]]
) -> None:
    answer, late = asked_too_late(pushing, vendors)
    given = answer.json()
    assert statuses(given)["acme-sepsis"] == "timed_out"

    first, again = push(pushing, late), push(pushing, late)

    assert (first.status_code, again.status_code) == (200, 200)
    body = late_answer(pushing, given["id"])
    assert statuses(body)["acme-sepsis"] == "late"
    assert body["outcome"] == given["outcome"]
    count = len(given["findings"]) + len(given.get("earlier", ()))
    assert body["findings"] == given["findings"]
    assert body["conflicts"][: len(given["conflicts"])] == given["conflicts"]
    (entry,) = body["late"]
    assert entry["first"] == count
    assert {finding["tool"] for finding in entry["findings"]} == {"acme-sepsis"}
    assert all(max(c["between"]) >= count for c in body["conflicts"][len(given["conflicts"]) :])
    fhir = pushing.client.get(
        f"/v1/inferences/{given['id']}",
        headers=pushing.headers("ed-physician", Accept="application/fhir+json"),
    )
    assert fhir.status_code == 200
    records = pushing.get(f"/v1/audit/records?inference={given['id']}", "auditor").json()
    pushed = [row["outcome"] for row in records["records"] if row["type"] == "pushed"]
    assert sorted(pushed) == ["late", "repeated"]

    def announced() -> list[tuple[dict[str, str], bytes]]:
        told = [one for one in hook[1] if given["id"].encode() in one[1]]
        return told if len(told) >= 2 else []

    (refused, _), (headers, message) = wait_for(announced)
    assert holds(b"hook secret", headers, message, now=datetime.now(UTC))
    assert json.loads(message)["data"]["inference"] == given["id"]
    assert b"Patient" not in message
    assert refused["webhook-id"] == headers["webhook-id"]
    assert small_site.audit("verify").returncode == 0


def test_a_late_result_is_compared_with_earlier_answers_and_its_conflict_is_settled_like_any(
    small_site: Site, pushing: Replica, vendors: Vendors
) -> None:
    question = sepsis(context={"encounter": "Encounter/e7", "site": "north"})
    earlier = pushing.ask(question | {"tools": ["beacon-sepsis"]}).json()
    assert statuses(earlier) == {"beacon-sepsis": "answered"}
    answer, late = asked_too_late(pushing, vendors, question | {"tools": ["acme-sepsis"]})
    given = answer.json()
    assert given["conflicts"] == []
    calm = json.loads(late)
    for output in calm["outputs"]:
        output["data"] = [0.99, 0.01][-len(output["data"]) :]

    assert push(pushing, json.dumps(calm).encode()).status_code == 200

    body = late_answer(pushing, given["id"])
    (entry,) = body["late"]
    assert entry["conflicts"] == len(body["conflicts"]) >= 1
    (row,) = entry["earlier"]
    assert row["inference"] == earlier["id"]
    order = [*body["findings"], *body.get("earlier", []), *entry["findings"], row["finding"]]
    said = {order[at]["tool"] for at in body["conflicts"][0]["between"]}
    assert said == {"acme-sepsis", "beacon-sepsis"}
    name = body["conflicts"][0]["id"]
    listed = pushing.get(f"/v1/conflicts/{name}").json()
    assert {one["inference"] for one in listed["findings"]} == {earlier["id"], given["id"]}
    fhir = pushing.client.get(
        f"/v1/inferences/{given['id']}",
        headers=pushing.headers("ed-physician", Accept="application/fhir+json"),
    )
    kinds = [one["resource"]["resourceType"] for one in fhir.json()["entry"]]
    assert "DetectedIssue" in kinds
    again = pushing.ask(question | {"tools": ["beacon-sepsis"]}).json()
    assert {one["inference"] for one in again["earlier"]} == {given["id"]}


def test_a_result_about_somebody_else_goes_no_further_than_the_record(
    small_site: Site, pushing: Replica, vendors: Vendors
) -> None:
    before = len(small_site.records("pushed"))
    answer, late = asked_too_late(pushing, vendors)
    _, other = asked_too_late(pushing, vendors)
    name, foreign = json.loads(late)["id"], json.loads(other)["id"]
    swapped = f"{name.partition('~')[0]}~{foreign.partition('~')[2]}"

    nobody = push(pushing, late.replace(name.encode(), b"s" + b"a" * 26))
    swap = push(pushing, late.replace(name.encode(), swapped.encode()))
    broken = push(pushing, b'{"id": 1}')

    assert (nobody.status_code, swap.status_code, broken.status_code) == (422, 422, 400)
    given = answer.json()
    assert pushing.get(f"/v1/inferences/{given['id']}").json() == given
    held = pushing.get("/v1/tools/acme-sepsis").json()
    assert (held["breaker"], held["held"] is not None) == ("open", True)
    calls = vendors.calls("acme-sepsis")
    assert statuses(pushing.ask(sepsis()).json())["acme-sepsis"] == "circuit_open"
    assert vendors.calls("acme-sepsis") == calls
    holds_now = [row for row in small_site.records("hold") if row["outcome"] == "held"]
    assert held["held"]["disclosure"] in {row["disclosure"] for row in holds_now}
    let_go(pushing)
    assert statuses(pushing.ask(sepsis()).json())["acme-sepsis"] == "answered"
    rows = small_site.records("pushed")  # newest first
    assert sorted(row["outcome"] for row in rows[: len(rows) - before]) == [
        "protocol_broken",
        "wrong_patient",
        "wrong_patient",
    ]


def test_only_the_named_sender_or_the_holder_of_the_secret_may_push(
    pushing: Replica, vendors: Vendors
) -> None:
    answer, late = asked_too_late(pushing, vendors)
    key, now = secret_bytes(SECRET), datetime.now(UTC)

    assert push(pushing, late, role=None).status_code == 401
    assert push(pushing, late, role="ed-physician").status_code == 403
    forged = signed(b"another secret", "msg_1", late, now=now)
    assert push(pushing, late, role=None, **forged).status_code == 401
    old = signed(key, "msg_1", late, now=now - timedelta(seconds=301))
    assert push(pushing, late, role=None, **old).status_code == 401
    right = signed(key, "msg_1", late, now=now)
    assert push(pushing, late + b" ", role=None, **right).status_code == 401
    assert push(pushing, late, content_type="text/html").status_code == 415
    assert pushing.client.post("/v1/tools/beacon-sepsis/results").status_code == 404
    assert push(pushing, late, role=None, **right).status_code == 200
    assert late_answer(pushing, answer.json()["id"])["late"]


def test_a_push_survives_a_kill_right_after_its_receipt(
    pushing_site: Site, pushing: Replica, vendors: Vendors
) -> None:
    answer, late = asked_too_late(pushing, vendors, Idempotency_Key="key-9")
    assert push(pushing, late).status_code == 200
    pushing.kill()

    body = late_answer(pushing_site.living(), answer.json()["id"])

    assert len(body["late"]) == 1
    assert statuses(body)["acme-sepsis"] == "late"


def test_a_push_for_a_question_that_still_runs_waits_for_its_answer(
    pushing: Replica, vendors: Vendors
) -> None:
    vendors.control("acme-sepsis", fault="hang", count=1)
    calls = vendors.calls("acme-sepsis")
    accepted = pushing.ask(sepsis(), Prefer="respond-async")
    wait_for(lambda: vendors.calls("acme-sepsis") == calls + 1)
    sent = vendors.received("acme-sepsis")
    url = f"{vendors.urls['acme-sepsis']['url']}/v2/models/sepsis6h/infer"
    body = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    late = httpx.post(url, content=body, headers={"content-type": "application/json"}).content

    assert push(pushing, late).status_code == 200

    location = accepted.headers["location"]
    answer = finished(pushing, location).json()
    assert statuses(answer)["acme-sepsis"] in ("timed_out", "late")
    assert len(late_answer(pushing, answer["id"])["late"]) == 1


def test_a_signature_holds_for_its_bytes_time_and_secret_only() -> None:
    key, body = secret_bytes(SECRET), b"{}"
    headers = signed(key, "msg_1", body, now=NOW)

    assert key == b"secret-of-the-vendor"
    assert holds(key, headers, body, now=NOW + timedelta(seconds=299))
    assert holds(key, headers | {"webhook-signature": "v1,AAAA " + headers["webhook-signature"]},
                 body, now=NOW)  # fmt: skip
    for changed in (
        {"webhook-id": "msg_2"}, {"webhook-id": ""}, {"webhook-timestamp": "0"},
        {"webhook-timestamp": "9" * 20}, {"webhook-signature": ""}, {"webhook-signature": "v1,é"},
    ):  # fmt: skip
        assert not holds(key, headers | changed, body, now=NOW)
    assert not holds(key, headers, b"{} ", now=NOW)
    assert not holds(b"other", headers, body, now=NOW)
    assert not holds(key, headers, body, now=NOW + timedelta(seconds=301))
    assert not holds(key, headers, body, now=NOW - timedelta(seconds=301))
