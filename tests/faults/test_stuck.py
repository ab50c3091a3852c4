"""A model that gives everybody the same score."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from careweir.sameness import NOTE
from careweir_kit.simulation.model import SimResponse
from support.charts import sepsis
from support.inprocess import InProcess, gateway, run, simulated
from support.paths import ROOT

TOOL, SAME_MAX = "acme-sepsis", 6
ALARM = f'careweir_tool_stuck{{tool="{TOOL}"}} 1.0'


class Model:
    """A vendor whose model may be stuck at a score."""

    def __init__(self) -> None:
        self.scores = iter(lambda: 0.42, None)

    def answer(self, healthy: SimResponse) -> SimResponse:
        body, score = orjson.loads(healthy.body), next(self.scores)
        for output in body["outputs"]:
            output["data"] = [score for _ in output["data"]]
        return replace(healthy, body=orjson.dumps(body))


def site(folder: Path, **limits: int) -> Path:
    shutil.copytree(ROOT / "policies", folder)
    file = folder / "tools" / f"{TOOL}.yaml"
    body = yaml.safe_load(file.read_text(encoding="utf-8"))
    body["limits"] = body.get("limits", {}) | limits
    file.write_text(yaml.safe_dump(body))
    return folder


def about(patient: int) -> dict[str, Any]:
    """The same question about somebody else."""
    text = orjson.dumps(sepsis(tools=[TOOL])).replace(b"demo-septic", b"demo-%d" % patient)
    body: dict[str, Any] = orjson.loads(text)
    return body


async def noted(up: InProcess, patient: int) -> bool:
    answer = (await up.ask(about(patient))).json()
    (row,) = [one for one in answer["tools"] if one["tool"] == TOOL]
    assert row["status"] == "answered"
    assert TOOL in [finding["tool"] for finding in answer["findings"]]  # it is given all the same
    return NOTE in row.get("notes", [])


def test_the_same_score_for_many_patients_in_a_row_is_noted_and_alarmed_until_another_comes(
    tmp_path: Path,
) -> None:
    async def work() -> None:
        model = Model()
        async with (
            simulated(TOOL, changed=model.answer) as vendor,
            gateway(
                tmp_path / "data",
                {TOOL: vendor.url},
                config=site(tmp_path / "site", same_scores_max=SAME_MAX),
            ) as up,
        ):
            assert [await noted(up, 1) for _ in range(SAME_MAX + 2)] == [False] * (SAME_MAX + 2)
            later = [await noted(up, patient) for patient in range(2, SAME_MAX + 2)]
            assert later == [False] * (SAME_MAX - 2) + [True, True]
            assert (await up.tool(TOOL))["stuck"] is True
            assert ALARM in (await up.client.get("/metrics")).text

            model.scores = iter((0.17,))
            assert not await noted(up, 99)
            assert (await up.tool(TOOL))["stuck"] is False
            assert ALARM not in (await up.client.get("/metrics")).text

    run(work(), seconds=60)


@pytest.mark.parametrize("same_scores_max", [0, 3])
def test_scores_that_differ_or_are_not_watched_raise_no_alarm(
    tmp_path: Path, same_scores_max: int
) -> None:
    async def work() -> None:
        model = Model()
        if same_scores_max:
            model.scores = iter([0.1, 0.2] * 10)
        async with (
            simulated(TOOL, changed=model.answer) as vendor,
            gateway(
                tmp_path / "data",
                {TOOL: vendor.url},
                config=site(tmp_path / "site", same_scores_max=same_scores_max),
            ) as up,
        ):
            assert not any([await noted(up, patient) for patient in range(8)])
            assert (await up.tool(TOOL))["stuck"] is False

    run(work(), seconds=60)
