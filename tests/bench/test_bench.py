"""The benchmarks run and print well-formed figures; nothing here asserts a time."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from careweir.bench.chart import small_chart, synthetic_chart
from careweir.bench.figure import Budget, Figure, fastest_s
from careweir.bench.minimise import a_text_tool, minimise_all, some_tools
from careweir.wiring.house import load_house
from support.running import careweir

FIELDS = {"benchmark", "what", "value", "unit", "baseline", "baseline_what", "ratio", "budget",
          "verdict"}  # fmt: skip
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: reads a CPU clock")


@pytest.mark.parametrize(
    "which",
    ["minimise", "audit", "conflicts", "fhir", "faults", pytest.param("gateway", marks=LINUX)],
)
def test_each_benchmark_prints_figures_as_json(which: str) -> None:
    ran = careweir("bench", "--quick", "--json", which)

    assert ran.returncode == 0, ran.stderr.decode()
    document = json.loads(ran.stdout)
    assert {row["benchmark"] for row in document["figures"]} == {which}, ran.stderr.decode()
    assert document["quick"] is True
    assert "noisy" in document["note"]
    for row in document["figures"]:
        assert set(row) == FIELDS
        assert row["baseline"] > 0
        assert row["verdict"] in ("within", "over", "no budget")


def test_without_json_the_figures_are_a_table_on_stdout_and_the_progress_is_on_stderr() -> None:
    ran = careweir("bench", "--quick", "fhir")

    assert ran.returncode == 0
    table = ran.stdout.decode()
    assert "ratio" in table
    assert "orjson.dumps" in table
    assert "measuring" not in table
    assert b"measuring fhir" in ran.stderr


@pytest.mark.parametrize("wrong", [["everything"], ["--scratch", "/no/such/folder", "fhir"]])
def test_what_cannot_be_measured_is_refused_with_exit_code_2(wrong: list[str]) -> None:
    ran = careweir("bench", "--quick", *wrong)

    assert ran.returncode == 2
    assert ran.stdout == b""


def figure(value: float, baseline: float, budget: Budget | None) -> Figure:
    return Figure("b", "w", value, "ms", baseline, "bare", budget)


@pytest.mark.parametrize(
    ("value", "budget", "verdict", "text"),
    [
        (4.0, Budget(4, "value"), "within", "≤ 4 ms"),
        (4.1, Budget(4, "value"), "over", "≤ 4 ms"),
        (4.0, Budget(2, "ratio"), "within", "≤ 2 ×"),
        (4.1, Budget(2, "ratio"), "over", "≤ 2 ×"),
        (4.0, Budget(2, "ratio", least=True), "within", "≥ 2 ×"),
        (3.9, Budget(2, "ratio", least=True, note="why"), "over", "≥ 2 × (why)"),
        (4.0, None, "no budget", None),
    ],
)
def test_a_figure_is_within_or_over_its_budget(
    value: float, budget: Budget | None, verdict: str, text: str | None
) -> None:
    row = figure(value, 2.0, budget).as_json()

    assert (row["verdict"], row["budget"]) == (verdict, text)


def test_a_baseline_too_small_to_measure_gives_no_ratio_and_is_over() -> None:
    row = figure(1.0, 0.0, Budget(2, "ratio")).as_json()

    assert row["ratio"] is None
    assert row["verdict"] == "over"


def test_every_piece_of_work_is_timed_in_turns_as_often_as_asked() -> None:
    ran: list[str] = []

    times = fastest_s(lambda: ran.append("a"), lambda: ran.append("b"), rounds=3)

    assert ran == ["a", "b"] * 3
    assert all(0 <= one < 60 for one in times)


@pytest.mark.parametrize("bytes_min", [20_000, 500_000])
def test_a_synthetic_chart_is_the_same_every_time_and_as_large_as_asked(bytes_min: int) -> None:
    first = synthetic_chart(bytes_min)
    synthetic_chart.cache_clear()

    assert synthetic_chart(bytes_min) == first
    assert bytes_min <= len(first) < bytes_min * 1.5


def test_claims_are_most_of_a_large_chart_as_in_an_export() -> None:
    chart = synthetic_chart(500_000)
    claims = sum(len(json.dumps(one)) for one in entries(json.loads(chart))
                 if one["resourceType"] in ("Claim", "ExplanationOfBenefit"))  # fmt: skip

    assert 0.4 < claims / len(chart) < 0.8


@pytest.mark.parametrize("chart", [small_chart(), synthetic_chart(20_000)])
def test_each_measured_tool_is_sent_something_and_no_claim(chart: bytes) -> None:
    house = load_house(None)
    tools = [*some_tools(house, 4), *(a_text_tool(house) if len(chart) > 10_000 else [])]

    for sent in minimise_all(chart, house, tools):
        kinds = {one["resourceType"] for one in entries(sent.payload)}
        assert kinds - {"Patient"}
        assert not kinds & {"Claim", "ExplanationOfBenefit"}


def entries(bundle: Any) -> Iterator[dict[str, Any]]:
    return (entry["resource"] for entry in bundle["entry"])
