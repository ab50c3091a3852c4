"""An application that asks too often is told when to return; nobody else notices."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from careweir.api.rates import CLIENTS_MAX, Rate, Rates, load_rates
from careweir.errors import ConfigInvalid, RateExceeded
from support.inprocess import bearer, gateway


class Clock:
    """Moved by hand."""

    now = 50.0

    def __call__(self) -> float:
        return self.now


def rates(clock: Callable[[], float], refused: list[str], **own: Rate) -> Rates:
    return Rates(Rate(2, 4), own, monotonic=clock, refused=lambda: refused.append("x"))


def taken(these: Rates, client: str, often: int) -> int:
    """How many of so many requests went through."""
    through = 0
    for _ in range(often):
        try:
            these.take(client)
            through += 1
        except RateExceeded:
            pass
    return through


def test_a_burst_goes_through_and_then_only_the_rate() -> None:
    clock, refused = Clock(), list[str]()
    these = rates(clock, refused)

    assert taken(these, "ehr", 10) == 4
    assert len(refused) == 6
    clock.now += 1
    assert taken(these, "ehr", 10) == 2
    clock.now += 3600
    assert taken(these, "ehr", 10) == 4  # never more than the burst


def test_one_application_never_uses_up_anothers() -> None:
    these = rates(Clock(), [])

    assert taken(these, "loud", 100) == 4
    assert taken(these, "quiet", 4) == 4


def test_an_application_may_have_a_rate_of_its_own() -> None:
    these = rates(Clock(), [], engine=Rate(1, 9))

    assert taken(these, "engine", 20) == 9
    assert taken(these, "ehr", 20) == 4


def test_who_returns_when_told_gets_through() -> None:
    clock = Clock()
    these = Rates(Rate(0.1, 1), {}, monotonic=clock, refused=lambda: None)
    these.take("ehr")

    with pytest.raises(RateExceeded) as refusal:
        these.take("ehr")
    assert refusal.value.retry_after_s == 10
    clock.now += 10
    these.take("ehr")


def test_buckets_that_are_full_again_are_forgotten_and_spent_ones_are_not() -> None:
    clock = Clock()
    these = rates(clock, [])
    assert taken(these, "loud", 10) == 4
    for number in range(CLIENTS_MAX):
        these.take(f"c{number}")
    clock.now += 0.6  # the many are full again, the loud one is not

    these.take("one more")

    assert len(these._buckets) == 2
    assert taken(these, "loud", 10) == 1


def test_rates_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "rates.yaml"
    file.write_text("engine: {per_s: 400, burst: 2000}\n")

    assert load_rates(file) == {"engine": Rate(400, 2000)}
    assert load_rates(None) == {}


@pytest.mark.parametrize(
    "text",
    ["engine: 5", "engine: {per_s: 0, burst: 1}", "engine: {per_s: 1, burst: 0}",
     "engine: {per_s: .inf, burst: 1}", "engine: {per_s: 1}", "engine: {per_s: 1, burst: 1, x: 1}",
     "engine: {per_s: 1, burst: 1}\nengine: {per_s: 2, burst: 2}", "[]"],
)  # fmt: skip
def test_a_file_that_cannot_be_meant_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "rates.yaml"
    file.write_text(text)

    with pytest.raises(ConfigInvalid):
        load_rates(file)


def test_a_gateway_answers_429_on_every_base_but_not_where_no_token_is_needed(
    tmp_path: Path,
) -> None:
    async def work() -> tuple[list[httpx.Response], list[httpx.Response], str]:
        async with gateway(tmp_path, {}, rate_burst=3, rate_per_s=0.001) as found:
            get: Any = found.client.get
            first = [await get("/v1/capabilities", headers=bearer()) for _ in range(3)]
            paths = ("/v1/capabilities", "/fhir/Device", "/cds-services", "/fhir/AuditEvent")
            # Another person at the same application is the same caller.
            over = [await get(path, headers=bearer("auditor")) for path in paths]
            free = [await get(path) for path in ("/healthz", "/readyz", "/fhir/metadata")]
            return [*first, *free], over, (await get("/metrics")).text

    through, over, metrics = asyncio.run(asyncio.wait_for(work(), 60))

    assert {answer.status_code for answer in through} == {200}
    assert {answer.status_code for answer in over} == {429}
    assert {answer.headers["Retry-After"] for answer in over} == {"1000"}
    assert over[0].json()["code"] == "rate_exceeded"
    assert over[1].json()["issue"][0]["code"] == "throttled"
    assert "careweir_rate_exceeded_total 4.0" in metrics
