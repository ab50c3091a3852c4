"""The commands: data on stdout, talk on stderr, and exit codes that mean something."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from careweir.demo import patients
from support.paths import ROOT
from support.running import careweir

CHART = json.dumps(patients.septic(datetime.now(UTC))).encode()
CASES = [
    {"id": "a", "patient": "Patient/1", "findings": [
        {"tool": tool, "kind": "assertion", "code": {"system": None, "code": None,
         "display": "pneumothorax"}, "polarity": polarity, "study": "ImagingStudy/1"}
        for tool, polarity in (("one", "present"), ("two", "absent"))]},
    {"id": "b", "patient": "Patient/1", "findings": []},
]  # fmt: skip


def minimise(*more: str, stdin: bytes = CHART, role: str = "ed-physician") -> Any:
    return careweir("minimise", "--role", role, "--purpose", "TREAT", "--tool", "acme-sepsis",
                    *more, "-", stdin=stdin)  # fmt: skip


def test_minimise_prints_payload_and_manifest_and_nothing_else() -> None:
    done = minimise()

    shown = json.loads(done.stdout)
    assert done.returncode == 0
    assert set(shown) == {"payload", "manifest"}
    assert shown["manifest"]["bytes"] > 0
    assert len(shown["manifest"]["payload_sha256"]) == 64


def test_minimise_explains_in_words_and_shows_the_request() -> None:
    shown = json.loads(minimise("--explain").stdout)

    assert shown["explain"]
    digest = hashlib.sha256(shown["request"].encode()).hexdigest()
    assert shown["manifest"]["payload_sha256"] == digest


def test_minimise_denies_with_exit_3_and_says_why() -> None:
    done = minimise(role="scheduler")

    shown = json.loads(done.stdout)
    assert done.returncode == 3
    assert shown["payload"] is None
    assert {row["reason"] for row in shown["manifest"]["withheld"]} == {"role"}


@pytest.mark.parametrize("chart", [b"", b"{", b"[]", b'{"resourceType":"Patient"}'])
def test_minimise_says_what_is_unreadable_with_exit_2(chart: bytes) -> None:
    done = minimise(stdin=chart)

    assert done.returncode == 2
    assert done.stdout == b""
    assert b"inputs" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["minimise", "--role", "x", "--purpose", "TREAT", "--tool", "none-such", "-"],
        ["minimise", "--role", "x", "--purpose", "TREAT", "--tool", "acme-sepsis", "/no/file"],
        ["minimise", "--role", "x", "--purpose", "TREAT", "--tool", "acme-sepsis", "--as-of",
         "yesterday", "-"],
        ["adapter", "replay", "none-such", "-"],
        ["adapter", "check", "none-such"],
        ["conflicts", "detect", "/no/file"],
        ["policy", "diff", "/no/folder", "/no/other"],
        ["serve", "--config", "/no/folder"],
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_clear_line_with_exit_2(arguments: list[str]) -> None:
    done = careweir(*arguments)

    assert done.returncode == 2
    assert done.stdout == b""
    assert len(done.stderr.strip().splitlines()) == 1


def test_conflicts_are_detected_line_by_line() -> None:
    lines = "\n".join(json.dumps(case) for case in CASES).encode()

    done = careweir("conflicts", "detect", stdin=lines)

    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert done.returncode == 0
    assert (first["id"], second) == ("a", {"id": "b", "conflicts": []})
    assert first["conflicts"][0]["type"] == "assertion_contradiction"
    assert sorted(first["conflicts"][0]["between"]) == [0, 1]
    assert set(first["conflicts"][0]) == {"type", "between", "severity", "reason", "rule"}


def test_a_line_that_cannot_be_read_does_not_stop_the_stream() -> None:
    lines = b'{"id":"x"\n' + json.dumps(CASES[1]).encode()

    done = careweir("conflicts", "detect", stdin=lines)

    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 2
    assert "error" in rows[0]
    assert rows[1] == {"id": "b", "conflicts": []}


def test_every_adapter_is_listed_with_its_tier() -> None:
    listed = json.loads(careweir("adapter", "list").stdout)["adapters"]

    names = {one["adapter"] for one in listed}
    assert {"oip_v2", "cds_hooks", "openai_chat", "published_score"} <= names
    for name in names:
        assert next(one["tier"] for one in listed if one["adapter"] == name) in ("silver", "gold")


def test_a_check_prints_a_graded_report_with_its_evidence() -> None:
    page = careweir("adapter", "check", "oip_v2")
    data = json.loads(careweir("adapter", "check", "published_score", "--json").stdout)

    assert page.returncode == 0, page.stderr
    assert page.stdout.startswith(b"oip_v2: gold (claims gold: kept)")
    assert b"18 faults" in page.stdout
    assert (data["tier"], data["passed"]) == ("gold", True)
    assert {check["state"] for check in data["checks"]} == {"pass"}


def test_a_recorded_answer_is_replayed_and_garbage_is_refused() -> None:
    cassettes = ROOT / "adapters" / "careweir_adapters" / "oip_v2" / "cassettes"
    recording = json.loads(next(iter(sorted(cassettes.glob("*.json")))).read_bytes())

    garbage = careweir("adapter", "replay", "oip_v2", "-", stdin=b"\x00garbage")
    busy = careweir("adapter", "replay", "oip_v2", "-", "--status", "503", stdin=b"{}")

    assert recording
    assert json.loads(garbage.stdout)["outcome"] == "protocol_broken"
    assert json.loads(garbage.stdout)["findings"] == []
    assert json.loads(busy.stdout)["outcome"] == "vendor_fault"


def test_policies_are_tested_explained_and_compared(tmp_path: Path) -> None:
    shipped = str(ROOT / "policies")

    assert careweir("policy", "test").returncode == 0
    assert careweir("policy", "diff", shipped, shipped).returncode == 0
    asked = ("--role", "radiologist", "--purpose", "TREAT", "--capability")
    assert careweir("policy", "explain", *asked, "chest-xray-findings").returncode == 0
    assert careweir("policy", "explain", *asked, "sepsis-risk").returncode == 3


def test_a_comparison_says_in_words_who_gains_what(tmp_path: Path) -> None:
    shipped, wider = ROOT / "policies", shutil.copytree(ROOT / "policies", tmp_path / "wider")
    roles = wider / "roles.yaml"
    narrow = "classes: [age, sex, imaging-reports, report-text]"
    text = roles.read_text(encoding="utf-8")
    assert narrow in text
    roles.write_text(text.replace(narrow, narrow[:-1] + ", notes]"), encoding="utf-8")

    changed = careweir("policy", "diff", str(shipped), str(wider))
    same = careweir("policy", "diff", str(shipped), str(shipped))

    lines = changed.stderr.decode().splitlines()
    assert changed.returncode == 1
    assert any(
        line.startswith("radiologist for TREAT, lexia-entities gains DocumentReference.content")
        for line in lines
    )
    assert not any("loses" in line for line in lines)
    assert same.stderr.decode() == "nothing changes: no role gains or loses a path with any tool\n"


def test_a_name_that_the_policy_does_not_know_is_pointed_out() -> None:
    asked = ("--role", "ed_physician", "--purpose", "treat")
    named = (*asked, "--tool", "acme-sepsis", "--site", "mars", "-")

    explained = careweir("policy", "explain", *asked, "--capability", "crystal-ball")
    shown = careweir("minimise", *named, stdin=CHART)

    hints = explained.stderr.decode().splitlines()
    assert (explained.returncode, shown.returncode) == (3, 3)
    assert hints[:2] == [
        "this policy knows no role 'ed_physician'; is ed-physician meant?",
        "this policy knows no purpose 'treat'; is TREAT meant?",
    ]
    assert hints[2].startswith("this policy knows no capability 'crystal-ball'; it knows chest-")
    assert "this policy knows no site 'mars'; it knows north, south" in shown.stderr.decode()
    assert json.loads(shown.stdout)["payload"] is None


@pytest.mark.parametrize(
    "command",
    ["serve", "demo", "minimise", "conflicts detect", "conflicts evaluate", "adapter list",
     "adapter check", "adapter replay", "policy test", "policy explain", "policy diff",
     "policy lint", "audit verify", "bench"],
)  # fmt: skip
def test_every_command_explains_itself(command: str) -> None:
    done = careweir(*command.split(), "--help")

    assert done.returncode == 0
    assert b"Usage" in done.stdout
