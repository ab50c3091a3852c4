"""A policy is read again on SIGHUP: a good one comes into force, a broken one changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.charts import sepsis
from support.paths import ROOT
from support.running import Served, careweir, serving


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    folder = tmp_path / "policies"
    shutil.copytree(ROOT / "policies", folder)
    file = folder / "tools" / "acme-sepsis.yaml"  # so that a busy machine is no time-out
    file.write_text(file.read_text().replace("deadline_ms: 2500", "deadline_ms: 30000"))
    return folder


@pytest.fixture
def gateway(tmp_path: Path, policies: Path) -> Iterator[Served]:
    with serving(tmp_path / "data", "--config", str(policies)) as served:
        yield served


def hang_up(gateway: Served, *, times: int) -> list[dict[str, object]]:
    """Send SIGHUP and wait until the trail holds that many reloads; newest first."""
    os.kill(gateway.pid, signal.SIGHUP)
    rows: list[dict[str, object]] = []
    for _ in range(60):
        found = careweir("audit", "search", "--type", "policy", "--data", str(gateway.data))
        rows = [json.loads(line) for line in found.stdout.splitlines()]
        if len(rows) >= times:
            return rows
        time.sleep(0.1)
    raise AssertionError(f"only {len(rows)} reloads are on the record")


def test_a_new_policy_counts_from_the_next_question_on(gateway: Served, policies: Path) -> None:
    roles = policies / "roles.yaml"
    before = gateway.ask(sepsis()).json()["policy"]["revision"]
    forbid = "  - role: ed-physician\n    purpose: TREAT\n    reason: a test\n"
    roles.write_text(roles.read_text().replace("forbids:\n", "forbids:\n" + forbid))

    (reloaded,) = hang_up(gateway, times=1)

    assert reloaded["outcome"] == "reloaded"
    assert gateway.ask(sepsis()).status_code == 403
    assert gateway.ask(sepsis(), role="hospitalist").json()["policy"]["revision"] != before


def test_a_broken_policy_keeps_the_old_one_and_raises_an_alarm(
    gateway: Served, policies: Path
) -> None:
    before = gateway.ask(sepsis()).json()["policy"]["revision"]
    alarm = 'careweir_alarms_total{alarm="policy refused, the old one stays"}'
    assert alarm not in gateway.get("/metrics").text
    (policies / "roles.yaml").write_text("version: 1\nrolls: {}\n")

    (refused,) = hang_up(gateway, times=1)

    assert refused["outcome"] == "refused"
    assert "roles.yaml" in json.dumps(refused["body"])
    assert "policy refused, the old one stays" in gateway.stderr.read_text()
    assert f"{alarm} 1.0" in gateway.get("/metrics").text
    assert gateway.ask(sepsis()).json()["policy"]["revision"] == before


def test_a_policy_that_is_broken_at_the_start_is_refused(policies: Path, tmp_path: Path) -> None:
    (policies / "roles.yaml").write_text("")

    done = careweir("serve", "--config", str(policies), "--data", str(tmp_path / "d"))

    assert done.returncode == 2
    assert b"roles.yaml" in done.stderr


def asked(gateway: Served) -> list[str]:
    return [row["tool"] for row in gateway.ask(sepsis()).json()["tools"]]


def test_a_tool_file_counts_from_the_next_question_on_and_a_broken_one_changes_nothing(
    gateway: Served, policies: Path
) -> None:
    file = policies / "tools" / "beacon-sepsis.yaml"
    shipped = file.read_text()
    assert asked(gateway) == ["acme-sepsis", "beacon-sepsis"]

    file.write_text(shipped.replace("mode: live\n", "mode: live\nlifecycle: suspended\n"))
    (first,) = hang_up(gateway, times=1)
    assert first["outcome"] == "reloaded"
    assert asked(gateway) == ["acme-sepsis"]

    file.write_text(shipped.replace("adapter: cds_hooks", "adapter: telepathy"))
    second, _ = hang_up(gateway, times=2)
    assert second["outcome"] == "refused"
    assert "beacon-sepsis.yaml" in json.dumps(second["body"])
    assert asked(gateway) == ["acme-sepsis"]

    file.write_text(shipped)
    third, *_ = hang_up(gateway, times=3)
    assert third["outcome"] == "reloaded"
    assert asked(gateway) == ["acme-sepsis", "beacon-sepsis"]


def test_a_question_under_way_is_answered_over_the_connections_it_began_with(
    gateway: Served, policies: Path
) -> None:
    gateway.fault("acme-sepsis", "off", latency_ms=3000)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(gateway.ask, sepsis() | {"deadline_ms": 30_000})
        while gateway.calls()["acme-sepsis"] == 0:
            time.sleep(0.02)
        file = policies / "tools" / "acme-sepsis.yaml"
        file.write_text(
            file.read_text().replace("mode: live\n", "mode: live\nlifecycle: suspended\n")
        )
        hang_up(gateway, times=1)
        assert asked(gateway) == ["beacon-sepsis"]
        rows = slow.result(timeout=60).json()["tools"]

    first = rows[0]
    assert (first["tool"], first["status"]) == ("acme-sepsis", "answered")
