"""Whoever may have lost the lease of a question sends nothing more for it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from careweir.access import Actor
from careweir.errors import LeaseLost
from careweir.pipeline import Run
from careweir.question import read_question
from support.charts import sepsis
from support.inprocess import bearer, gateway, run, simulated

ACTOR = Actor("Practitioner/a", "ehr", "ed-physician", None, frozenset({"TREAT"}),
              frozenset({"capability/*.infer"}))  # fmt: skip


def test_without_the_lease_nothing_leaves_and_the_record_says_so(tmp_path: Path) -> None:
    async def outcomes(up: Any, inference: str) -> set[str]:
        path = f"/v1/audit/records?inference={inference}"
        rows = (await up.client.get(path, headers=bearer("auditor"))).json()["records"]
        return {row["outcome"] for row in rows if row["type"] == "outcome"}

    async def work() -> None:
        question = read_question(orjson.dumps(sepsis(deadline_ms=20_000)), deadline_ms_default=3000)
        async with (
            simulated("acme-sepsis") as vendor,
            gateway(tmp_path, {"acme-sepsis": vendor.url}) as up,
        ):
            asker = up.app.state.services.gateway

            with pytest.raises(LeaseLost):
                await asker.answer(question, ACTOR, run=Run("inf_lost", fence=lambda: False))

            assert vendor.state.calls == 0
            async with asyncio.timeout(20):
                # the outcome follows by itself, and has no event to wait for
                while not (told := await outcomes(up, "inf_lost")):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            assert told == {"not_sent"}
            kept = await asker.answer(question, ACTOR, run=Run("inf_kept", fence=lambda: True))
            assert vendor.state.calls == 1
            assert kept.outcome == "degraded"  # nobody else listens
            assert "not_sent" not in await outcomes(up, "inf_kept")

    run(work())
