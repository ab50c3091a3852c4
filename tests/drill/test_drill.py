"""The rehearsal: what it breaks, what it notices, what it writes."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from careweir.drill.goals import goals
from careweir.drill.report import as_html
from careweir.drill.scenes import (
    DOWN,
    OUTAGES,
    Played,
    Scene,
    broken,
    broken_without_record,
    scenes,
)
from careweir.drill.target import Seen, read_target
from careweir.errors import ConfigInvalid
from support.running import careweir, serving

SCENE = Scene("c", "one: down", ("one",), DOWN)


def seen(one: str, two: str = "answered", **changes: Any) -> Seen:
    rows = [
        {"tool": "one", "status": one, "mode": "live", "latency_ms": 20},
        {"tool": "two", "status": two, "mode": "live", "latency_ms": 20},
    ]
    findings = [{"tool": row["tool"]} for row in rows if row["status"] == "answered"]
    whole = "complete" if one == two == "answered" else "degraded"
    facts = {"status": 200, "seconds": 0.1, "findings": findings, "outcome": whole} | changes
    body = {"tools": rows, "findings": facts["findings"], "outcome": facts["outcome"]}
    return Seen(int(facts["status"]), body, float(facts["seconds"]))


def judged(one: Seen, *, calls: int = 2, intents: int = 2) -> tuple[str, ...]:
    return broken(SCENE, [one], ["one", "two"], deadline_s=1, calls=calls, intents=intents)


def test_an_outage_that_is_told_honestly_breaks_no_promise() -> None:
    assert judged(seen("unavailable")) == ()


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (seen("unavailable", seconds=1.6), "after its deadline"),
        (seen("answered"), "another status"),
        (seen("unavailable", findings=[{"tool": "one"}]), "was delivered"),
        (seen("unavailable", "timed_out"), "drawn in"),
        (seen("unavailable", outcome="complete"), "complete"),
        (seen("unavailable", status=502), "HTTP status"),
        (seen("unavailable", outcome="failed"), "HTTP status"),
    ],
)
def test_each_promise_that_is_broken_is_noticed(one: Seen, words: str) -> None:
    assert any(words in promise for promise in judged(one))


def test_a_call_without_an_intent_is_noticed() -> None:
    assert any("intent" in promise for promise in judged(seen("unavailable"), calls=3))


def test_without_a_record_no_vendor_may_hear_and_every_caller_must() -> None:
    told = Seen(503, {"code": "audit_unavailable"}, 0.1)

    assert broken_without_record([told], calls=0) == ()
    assert broken_without_record([told], calls=1)
    assert broken_without_record([told, seen("answered")], calls=0)


def test_every_tool_is_rehearsed_in_every_outage_and_all_of_them_at_once() -> None:
    played = list(scenes("c", ["one", "two"], flood=9))

    assert len(played) == 2 * len(OUTAGES) + 1
    assert (played[-1].tools, played[-1].questions) == (("one", "two"), 9)


def test_the_report_is_one_page_without_script_that_shows_what_broke() -> None:
    good = Played(SCENE, (seen("unavailable"),), 2, 2, ())
    bad = Played(Scene("c", "<b>", ("one",), DOWN), (seen("answered"),), 2, 2, ("it <lied>",))

    page = as_html([good, bad], goals([good, bad], deadline_s=1), when="now", base_url="http://g")

    HTMLParser().feed(page)
    assert "it &lt;lied&gt;" in page
    assert "<script" not in page
    assert not re.search(r'(src|href)="', page)
    assert "<svg" in page
    assert "unavailable" in page


def test_a_file_that_describes_no_gateway_is_refused() -> None:
    with pytest.raises(ConfigInvalid):
        read_target(b'{"base_url": "http://x"}')


def promises_broken(talk: str) -> set[str]:
    """What stands below the scenes that are marked with a cross."""
    below = re.findall(r"^✗ .*\n((?:    .*\n)*)", talk, re.M)
    lines = [line.strip() for one in below for line in one.splitlines()]
    return {line for line in lines if ": " not in line}


def test_the_promises_that_a_drill_prints_as_broken_are_read() -> None:
    talk = "✓ one\n    a: 1 answered\n✗ two\n    a: 1 timed_out\n    it lied\n✓ three\n"

    assert promises_broken(talk) == {"it lied"}


def test_a_wrong_patient_is_not_rehearsed_with_a_tool_that_names_nobody() -> None:
    titles = [one.title for one in scenes("c", ["one", "two"], flood=2, nameless={"two"})]

    assert "one: another patient" in titles
    assert "two: another patient" not in titles
    assert "two: down" in titles


@pytest.mark.slow
def test_a_drill_on_a_running_gateway_keeps_every_promise(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as up:
        report = tmp_path / "drill.html"
        done = careweir(
            "drill",
            "--data",
            str(up.data),
            "--report",
            str(report),
            "--flood",
            "24",
            "--only",
            "sepsis-risk",
            timeout=120,
        )
        after = up.get("/v1/tools", role="operator").json()["tools"]

    talk = done.stdout.decode()
    assert promises_broken(talk) <= {"an answer came after its deadline"}, talk  # a busy machine
    assert done.returncode == bool(promises_broken(talk)), done.stderr.decode()
    assert "sepsis-risk · all tools down" in talk
    assert "the record cannot be written" in talk
    assert "vendor calls without an intent" in talk
    assert "another patient" in report.read_text()
    assert all(row["breaker"] in ("closed", None) and row["held"] is None for row in after)


def test_a_drill_without_a_gateway_says_so(tmp_path: Path) -> None:
    done = careweir("drill", "--data", str(tmp_path))

    assert done.returncode == 2
    assert b"is the gateway running" in done.stderr
