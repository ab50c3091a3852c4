"""The shipped tools on charts from elsewhere: who asks aside learns nothing that they must not.

Read from ``../shared`` where that stands beside the repository, and never copied into it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import pytest

from careweir.access import Decision
from careweir.minimise import Chart, Minimised, minimise, read_chart
from careweir.minimise.compare import newest
from careweir.minimise.moment import window_start
from careweir_kit.registry import discover_adapters, load_tools
from careweir_kit.tool import Need, Tool
from minimise.charts import ROOT, Json, leaves, policies
from minimise.test_real_charts import CHARTS, SENSITIVE, identifiers, loaded

pytestmark = pytest.mark.skipif(not CHARTS, reason="needs ../shared/data/patients/synthea_r4")
TOOLS = load_tools(ROOT / "policies" / "tools", discover_adapters())
# Images, schedules and bills: who asks about these needs neither who it is nor what is sensitive.
ASIDE = ("chest-xray-findings", "no-show-risk", "prior-auth", "coding-suggestion")
WORD = re.compile(r"[\w@.+-]+")
PARAMS = pytest.mark.parametrize("path", CHARTS, ids=lambda path: path.stem.split("_")[0])


@lru_cache(maxsize=1)
def chart_of(path: Path) -> Chart:
    return read_chart(path.read_bytes(), subject=None)


def permitted(tool: Tool) -> Iterator[tuple[str, str, Decision]]:
    """Each different set of rights under which anybody may ask this tool."""
    seen: list[object] = []
    for role in sorted(policies().roles):
        for purpose in ("TREAT", "HPAYMT", "HOPERAT"):
            found = policies().decide(
                role=role, purpose=purpose, capability=tool.capabilities[0], site="north"
            )
            if found.effect == "permit" and found.rights.summary() not in seen:
                seen.append(found.rights.summary())
                yield role, purpose, found


def ask(path: Path, tool: Tool, role: str, purpose: str, by: Decision) -> Minimised:
    chart = chart_of(path)
    return minimise(
        chart, tool, by, subject_pseudonym="px", pseudonyms=lambda kind, real: "ref",
        as_of=newest(chart), study=None, purpose=purpose, role=role, site="north",
    )  # fmt: skip


def told(text: str, secrets: set[str]) -> set[str]:
    """The secrets that stand in a text: of one word as a word, of several as they are."""
    text = text.lower()
    words = set(re.findall(r"[\w@.+-]+", text)) | set(re.findall(r"\w+", text))
    return {one for one in secrets if one in words or (not WORD.fullmatch(one) and one in text)}


@PARAMS
def test_no_identifier_and_nothing_sensitive_reaches_a_tool_aside(path: Path) -> None:
    secrets = {secret.lower() for secret in identifiers(path)}
    assert len(told(path.read_text(encoding="utf-8"), secrets)) > len(secrets) // 2
    asked = [tool for tool in TOOLS.values() if set(tool.capabilities) & set(ASIDE)]
    assert {tool.capabilities[0] for tool in asked} == set(ASIDE)

    for tool in asked:
        for role, purpose, by in permitted(tool):
            found = ask(path, tool, role, purpose, by)
            text = "\n".join(leaves(found.payload))  # attachments decoded
            assert told(text, secrets) == set(), tool.tool
            assert told(found.manifest.model_dump_json(), secrets) == set(), tool.tool
            assert SENSITIVE.search(text) is None, tool.tool


def within(path: Path, need: Need, as_of: datetime) -> Iterator[tuple[str, Json]]:
    """Code and resource of each observation of a chart that a need asks for."""
    wanted = {code for codes in need.codes.values() for code in codes}
    for entry in loaded(path)["entry"]:
        one = entry["resource"]
        if one["resourceType"] == "Observation" and "valueQuantity" in one:
            at = datetime.fromisoformat(one["effectiveDateTime"])
            if need.window is None or window_start(need.window, as_of) <= at <= as_of:
                yield from ((c["code"], one) for c in one["code"]["coding"] if c["code"] in wanted)


@PARAMS
def test_the_sepsis_tool_gets_the_newest_of_each_value_that_it_needs(path: Path) -> None:
    tool = TOOLS["acme-sepsis"]
    by = policies().decide(
        role="ed-physician", purpose="TREAT", capability="sepsis-risk", site="north"
    )
    found = ask(path, tool, "ed-physician", "TREAT", by)
    assert found.payload is not None
    sent = {
        (coding["code"], one["effectiveDateTime"], one["valueQuantity"]["value"])
        for one in (entry["resource"] for entry in found.payload["entry"])
        if one["resourceType"] == "Observation" and "valueQuantity" in one
        for coding in one["code"]["coding"]
    }

    for need in tool.needs:
        if need.resource != "Observation":
            continue
        last = {}
        for code, one in within(path, need, newest(chart_of(path))):
            if code not in last or one["effectiveDateTime"] > last[code]["effectiveDateTime"]:
                last[code] = one
        expected = {
            (code, one["effectiveDateTime"], one["valueQuantity"]["value"])
            for code, one in last.items()
        }
        assert expected <= sent


def test_in_these_charts_there_is_something_for_the_sepsis_tool() -> None:
    needs = [need for need in TOOLS["acme-sepsis"].needs if need.resource == "Observation"]
    counts = [
        sum(1 for need in needs for _ in within(path, need, newest(chart_of(path))))
        for path in CHARTS
    ]

    assert sum(count > 0 for count in counts) >= 5
