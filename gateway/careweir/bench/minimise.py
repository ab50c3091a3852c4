"""Minimisation beside one ``orjson.loads`` of the same chart.

What is timed is what ``Gateway.answer`` does between the caller's bytes and the adapters: read
the chart once, then decide and minimise for each tool, under the shipped policy and the shipped
tools. The serialising of what leaves is the adapter's and is not in it. The baseline parses the
whole chart into dicts, the least that any gateway does which does not minimise while decoding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle, islice

import orjson

from careweir.bench.chart import AS_OF, SUBJECT, synthetic_chart
from careweir.bench.figure import Budget, Figure, fastest_s
from careweir.bench.size import Size
from careweir.ids import Pseudonyms
from careweir.minimise import Minimised, minimise, read_chart
from careweir.minimise.command import decide_for_tool
from careweir.stages import House
from careweir.wiring.house import load_house
from careweir_kit.tool import Tool

ROLE, PURPOSE, CAPABILITY = "ed-physician", "TREAT", "sepsis-risk"
TEXT_CAPABILITY = "chest-xray-findings"
BUDGETS = {500_000: 1.2, 5_000_000: 0.3}


def measure(size: Size) -> Iterator[Figure]:
    """For each chart size: one tool, four tools, and one tool that reads reports as text."""
    house = load_house(None)
    asked = [(f"{count} tool{'s' * (count > 1)}", some_tools(house, count)) for count in (1, 4)]
    asked.append(("1 tool that reads reports", a_text_tool(house)))
    for bytes_min in size.chart_bytes:
        chart = synthetic_chart(bytes_min)
        rounds = size.rounds * 3 if bytes_min < 1_000_000 else size.rounds
        for what, tools in asked:
            yield _figure(chart, bytes_min, house, what, tools, rounds)


def some_tools(house: House, count: int) -> list[Tool]:
    """Tools of one capability that read values; repeated under other names to make up a number."""
    shipped = [
        tool
        for tool in house.tools.values()
        if CAPABILITY in tool.capabilities and not any(need.text for need in tool.needs)
    ]
    some = islice(cycle(shipped), count)
    return [tool.model_copy(update={"tool": f"bench-{n}"}) for n, tool in enumerate(some)]


def a_text_tool(house: House) -> list[Tool]:
    """The first shipped tool that is sent the reports of images as text."""
    tools = (
        tool
        for tool in house.tools.values()
        if TEXT_CAPABILITY in tool.capabilities and any(need.text for need in tool.needs)
    )
    return list(islice(tools, 1))


def minimise_all(chart: bytes, house: House, tools: Sequence[Tool]) -> list[Minimised]:
    """What each tool would receive of one chart."""
    read, sent = read_chart(chart, subject=SUBJECT), []
    for tool in tools:
        pseudonyms = Pseudonyms(b"k" * 32, inference="inf_bench", tool=tool.tool)
        found = minimise(
            read, tool,
            decide_for_tool(house.policies, tool, role=ROLE, purpose=PURPOSE, site=None),
            subject_pseudonym=pseudonyms("Subject", SUBJECT), pseudonyms=pseudonyms,
            as_of=AS_OF, study=None, purpose=PURPOSE, role=ROLE, site=None,
        )  # fmt: skip
        assert found.payload is not None
        assert found.payload["entry"]
        sent.append(found)
    return sent


def _figure(
    chart: bytes, bytes_min: int, house: House, what: str, tools: Sequence[Tool], rounds: int
) -> Figure:
    ours, bare = fastest_s(
        lambda: minimise_all(chart, house, tools), lambda: orjson.loads(chart), rounds=rounds
    )
    limit = BUDGETS.get(bytes_min)
    return Figure(
        benchmark="minimise",
        what=f"{len(chart) // 1000} kB chart, {what}",
        value=ours * 1000,
        unit="ms",
        baseline=bare * 1000,
        baseline_what="orjson.loads",
        budget=Budget(limit, "ratio") if limit else None,
    )
