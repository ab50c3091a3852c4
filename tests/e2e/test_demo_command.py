"""``careweir demo``: the tour ends well, and any chart gets an honest treatment."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from careweir.cli.demo import newest
from careweir.demo import patients
from careweir.question import rfc3339
from support.paths import SHARED, needs_shared
from support.running import Served, careweir

SYNTHEA = sorted((SHARED / "data" / "patients" / "synthea_r4").glob("*.json"))


def demo(tmp_path: Path, bundle: Any) -> tuple[int, str]:
    file = tmp_path / "bundle.json"
    file.write_bytes(bundle if isinstance(bundle, bytes) else json.dumps(bundle).encode())
    done = careweir("demo", "--bundle", str(file))
    assert b"Traceback" not in done.stderr + done.stdout
    return done.returncode, done.stdout.decode() + done.stderr.decode()


def test_the_tour_shows_everything_that_was_promised() -> None:
    done = careweir("demo")

    said = done.stdout.decode()
    assert done.returncode == 0, done.stderr
    for promised in (
        "outcome complete", "outcome degraded", "FALLBACK", "conflict:", "refused (asked as "
        "scheduler)", "what acme-sepsis received", "withheld (", "exit 0: audit: clean",
        "exit 1: audit: tampered", "first bad record", "settled by a person",
    ):  # fmt: skip
        assert promised in said, promised


def two_patients() -> dict[str, Any]:
    chart = patients.septic(datetime.now(UTC))
    chart["entry"].append({"resource": patients.person("other", "Other", "1990-01-01", "male")})
    return chart


def large() -> dict[str, Any]:
    chart = patients.septic(datetime.now(UTC))
    claim = {"resourceType": "Claim", "subject": {"reference": "Patient/demo-septic"},
             "item": [{"sequence": i, "note": "x" * 80} for i in range(1000)]}  # fmt: skip
    chart["entry"] += [{"resource": claim | {"id": f"c{i}"}} for i in range(95)]
    assert len(json.dumps(chart)) > 10_000_000
    return chart


@pytest.mark.parametrize(
    ("name", "bundle", "said"),
    [
        ("empty", {"resourceType": "Bundle", "type": "collection"}, "HTTP 422"),
        ("no Patient", {"resourceType": "Bundle", "entry": [{"resource": {
            "resourceType": "Observation", "id": "o"}}]}, "HTTP 422"),
        ("two Patients", two_patients(), "HTTP 422"),
        ("entries without resource", {"resourceType": "Bundle", "entry": [{}, {"fullUrl": "x"}]},
         "HTTP 422"),
        ("10 MB", large(), "outcome complete"),
    ],
)  # fmt: skip
def test_a_hospitals_worst_charts_are_treated_honestly(
    tmp_path: Path, name: str, bundle: Any, said: str
) -> None:
    exit_code, output = demo(tmp_path, bundle)

    assert exit_code == 0
    assert said in output


@pytest.mark.parametrize("content", [b"", b"not json", b'{"a":1,"a":2}', b"\xff"])
def test_what_is_not_json_is_a_clear_error(tmp_path: Path, content: bytes) -> None:
    exit_code, output = demo(tmp_path, content)

    assert exit_code == 2
    assert "cannot be read" in output


@needs_shared
def test_the_largest_public_synthetic_chart_is_asked_about() -> None:
    done = careweir("demo", "--bundle", str(max(SYNTHEA, key=lambda file: file.stat().st_size)))

    said = done.stdout.decode()
    assert done.returncode == 0, done.stderr
    assert said.count("asked as ed-physician") == 2
    assert "exit 0: audit: clean" in said


@needs_shared
@pytest.mark.parametrize("capability", ["sepsis-risk", "chest-xray-findings"])
@pytest.mark.parametrize("file", SYNTHEA, ids=lambda file: file.name.split("_")[0])
def test_every_public_synthetic_chart_gets_an_answer(
    gateway: Served, file: Path, capability: str
) -> None:
    chart = json.loads(file.read_bytes())
    resources = [entry["resource"] for entry in chart["entry"]]
    (subject,) = [one["id"] for one in resources if one["resourceType"] == "Patient"]
    as_of = newest(resources)
    assert as_of is not None

    answer = gateway.ask(
        {
            "capability": capability, "subject": f"Patient/{subject}", "purpose": "TREAT",
            "inputs": chart, "context": {"as_of": rfc3339(as_of)},
        }
    ).json()  # fmt: skip

    statuses = {row["tool"]: row["status"] for row in answer["tools"]}
    assert answer["outcome"] in ("complete", "degraded", "failed")
    assert len([one for one in statuses.values() if one != "withheld_by_policy"]) >= 1
    assert (answer["outcome"] == "complete") == (
        {row["status"] for row in answer["tools"] if row["mode"] == "live"} <= {"answered"}
    )
