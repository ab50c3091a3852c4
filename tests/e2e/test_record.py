"""Every disclosure is on the record before it leaves; reading the record is on it too."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from support.charts import chest, sepsis
from support.running import Served, careweir, serving


def records(gateway: Served, inference: str) -> list[dict[str, Any]]:
    found = gateway.get("/v1/audit/records", params={"inference": inference})
    rows: list[dict[str, Any]] = found.json()["records"]
    return rows


def test_what_a_vendor_received_is_what_its_manifest_says(gateway: Served) -> None:
    body = gateway.ask(sepsis()).json()

    for row in body["tools"]:
        manifest = gateway.get(f"/v1/disclosures/{row['disclosure']}").json()
        wire = orjson.dumps(gateway.seen(row["tool"])["received"][-1])
        assert manifest["payload_sha256"] == hashlib.sha256(wire).hexdigest()
        assert manifest["bytes"] == len(wire)
        assert manifest["tool"] == row["tool"]
        assert "Observation.valueQuantity" in manifest["sent"]


def test_the_story_of_an_inference_is_decision_intent_outcome_answer(gateway: Served) -> None:
    body = gateway.ask(chest(), role="radiologist").json()

    told = records(gateway, body["id"])
    story = [row for row in told if row["type"] != "conflict"]  # put on the work list afterwards
    kinds = [row["type"] for row in story]
    assert kinds[0] == "decision"
    assert kinds[-1] == "answer"
    assert "conflict" not in [row["type"] for row in told[: told.index(story[-1])]]
    assert kinds.count("intent") == kinds.count("outcome") == 2
    assert all(row["actor"] == "Practitioner/demo-radiologist" for row in story)
    assert all(row["client"] == "careweir-demo" for row in story)
    assert story[-1]["hash"] == body["audit"]["hash"]
    assert "demo-film" not in json.dumps(story)


def test_each_attempt_has_an_intent_of_its_own(gateway: Served) -> None:
    gateway.fault("acme-sepsis", "http_503")

    body = gateway.ask(sepsis()).json()

    acme = next(row for row in body["tools"] if row["tool"] == "acme-sepsis")
    intents = [
        row for row in records(gateway, body["id"])
        if row["type"] == "intent" and row["tool"] == "acme-sepsis"
    ]  # fmt: skip
    assert acme["attempts"] == len(intents) == 2


def test_a_refusal_is_on_the_record(gateway: Served) -> None:
    gateway.ask(sepsis(), role="scheduler")

    with sqlite3.connect(f"file:{gateway.data / 'audit.db'}?mode=ro", uri=True) as database:
        found = database.execute(
            "SELECT count(*) FROM audit_entry WHERE type = 'refusal' AND actor = ?",
            ("Practitioner/demo-scheduler",),
        ).fetchone()
    assert found[0] >= 1


def test_a_disclosure_is_read_by_auditors_and_by_who_caused_it_only(gateway: Served) -> None:
    disclosure = gateway.ask(sepsis()).json()["tools"][0]["disclosure"]
    path = f"/v1/disclosures/{disclosure}"

    assert gateway.get(path, role="auditor").status_code == 200
    assert gateway.get(path, role="ed-physician").status_code == 200
    assert gateway.get(path, role="scheduler").status_code == 404
    assert gateway.get("/v1/disclosures/dis_none").status_code == 404
    assert gateway.get("/v1/audit/records?inference=x", role="ed-physician").status_code == 403


def test_a_preview_shows_what_would_leave_and_sends_nothing(gateway: Served) -> None:
    before = gateway.calls()
    headers = {"Authorization": f"Bearer {gateway.tokens['ed-physician']}"}

    response = gateway.client.post("/v1/disclosures/preview", json=sepsis(), headers=headers)

    rows = {row["tool"]: row for row in response.json()["disclosures"]}
    assert "Observation.valueQuantity" in rows["acme-sepsis"]["manifest"]["sent"]
    assert rows["acme-sepsis"]["manifest"]["bytes"] == len(rows["acme-sepsis"]["request"])
    assert gateway.calls() == before


def test_what_cannot_be_recorded_is_not_sent(tmp_path: Path) -> None:
    """A second connection holds the database locked: 503, and no vendor hears anything."""
    with serving(tmp_path / "data") as gateway:
        assert gateway.ask(sepsis()).status_code == 200
        before = gateway.calls()
        lock = sqlite3.connect(gateway.data / "audit.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        try:
            response = gateway.ask(sepsis())
            ready = gateway.client.get("/readyz").status_code
        finally:
            lock.execute("ROLLBACK")
            lock.close()

        assert response.status_code == 503
        assert response.json()["code"] == "audit_unavailable"
        assert gateway.calls() == before
        assert ready == 503
        assert gateway.ask(sepsis()).status_code == 200


def test_verify_is_clean_after_a_stop_and_names_a_changed_record(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data) as gateway:
        gateway.ask(sepsis())
        while_running = careweir("audit", "verify", "--data", str(data))

    after = careweir("audit", "verify", "--data", str(data))
    database = data / "audit.db"
    content = bytearray(database.read_bytes())
    content[content.index(b'"purpose":"TREAT"') + 12] ^= 1
    database.write_bytes(bytes(content))
    tampered = careweir("audit", "verify", "--data", str(data))

    assert while_running.returncode == 0, while_running.stderr
    assert after.returncode == 0, after.stderr
    assert tampered.returncode == 1
    report = json.loads(tampered.stdout)
    assert report["status"] == "tampered"
    assert report["first_bad"]["seq"] is not None


@pytest.mark.parametrize("arguments", [["--data", "/no/such/folder"]])
def test_verify_of_nothing_is_a_clear_error(arguments: list[str]) -> None:
    done = careweir("audit", "verify", *arguments)

    assert done.returncode == 2
    assert b"Traceback" not in done.stderr


def test_the_record_is_exported_searched_and_verified_offline(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data) as gateway:
        receipt = gateway.ask(sepsis()).json()["audit"]
        checkpoint = wait_for_checkpoint(gateway, receipt)
        earlier = {"first": checkpoint.splitlines()[1]}
        kept = gateway.get("/v1/audit/consistency", params=earlier)
        others = gateway.get("/v1/audit/consistency", params=earlier, role="coder").status_code
        never = gateway.get("/v1/audit/consistency", params={"first": 10**6}).status_code
    answer = tmp_path / "answer.json"
    answer.write_text(json.dumps({"audit": receipt}))

    exported = careweir("audit", "export", "--format", "ndjson", "--data", str(data))
    file = tmp_path / "audit.ndjson"
    file.write_bytes(exported.stdout)
    verified = careweir("audit", "verify", "--export", str(file), "--keys", str(data / "keys"),
                        "--receipt", str(answer))  # fmt: skip
    found = careweir("audit", "search", "--patient", "Patient/demo-septic", "--type", "intent",
                     "--data", str(data))  # fmt: skip
    nobody = careweir("audit", "search", "--patient", "Patient/x", "--data", str(data))
    table = careweir("audit", "export", "--format", "csv", "--data", str(data))
    events = careweir("audit", "export", "--format", "ocsf", "--data", str(data))

    assert checkpoint.startswith("careweir")
    assert (kept.json()["earlier"], others, never) == (checkpoint, 403, 404)
    assert verified.returncode == 0, verified.stderr
    rows = [json.loads(line) for line in found.stdout.splitlines()]
    assert {row["tool"] for row in rows} == {"acme-sepsis", "beacon-sepsis"}
    assert all(row["body"]["rule"].startswith("grant ed-physician") for row in rows)
    assert nobody.stdout == b""
    assert table.stdout.startswith(b"position,recorded,type")
    assert json.loads(events.stdout.splitlines()[0])["class_uid"] == 6003


def wait_for_checkpoint(gateway: Served, receipt: dict[str, Any]) -> str:
    """Sealing takes up to a second: ask until the receipt is proved."""
    where = {"writer": receipt["writer"], "seq": receipt["seq"]}
    for _ in range(100):
        proof = gateway.get("/v1/audit/proof", params=where)
        if proof.status_code == 200:
            assert gateway.get("/v1/audit/proof", params=where, role="coder").status_code == 403
            return str(gateway.get("/v1/audit/checkpoint").text)
        time.sleep(0.05)
    raise AssertionError("never sealed")
