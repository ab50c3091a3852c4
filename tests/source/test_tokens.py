"""SMART Backend Services against a token endpoint that verifies what it is given."""

from __future__ import annotations

import asyncio
import time
import traceback
from dataclasses import dataclass
from typing import Any

import pytest

from careweir.source import Fetched, SourceUnavailable
from minimise.charts import CHEST, SEPSIS, Json, observation, patient
from source.pulling import SECRETS, SMART, fetched, kinds, opened, pull
from source.server import Server


@dataclass
class Clock:
    """Time that moves when told."""

    now: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.now


def tokens_asked(server: Server) -> int:
    return sum(one.path == "/oauth/token" for one in server.requests)


def pulled(server: Server, times: int, clock: Clock | None = None, step: float = 0) -> list[Any]:
    """Several pulls through one source, the clocks of both moved on between them."""

    async def all_of_them() -> list[Fetched]:
        moved = clock or Clock()
        source = opened(server, auth=SMART, monotonic=moved)
        found = []
        try:
            for _ in range(times):
                found.append(await fetched(source))
                moved.now += step
        finally:
            await source.close()
        return found

    return asyncio.run(all_of_them())


@pytest.mark.parametrize("secret", ["EC_KEY", "RSA_KEY"])
def test_a_signed_assertion_buys_a_token_for_the_scopes_of_the_searches(
    guarded: Server, secret: str
) -> None:
    guarded.hold(patient(), observation("8867-4", 80))

    chart = pull(guarded, file={"auth": {**SMART, "secret": secret}})

    assert kinds(chart) == ["Observation", "Patient"]
    _, scopes = list(guarded.issued.values())[-1]
    assert scopes == {"system/Patient.rs", "system/Consent.rs", "system/Observation.rs"}


def test_a_configured_token_endpoint_needs_no_discovery(guarded: Server) -> None:
    guarded.hold(patient())

    pull(guarded, file={"auth": {**SMART, "token_url": guarded.token_url}})

    assert not any("smart-configuration" in one.path for one in guarded.requests)
    pull(guarded, file={"auth": SMART})
    assert any("smart-configuration" in one.path for one in guarded.requests)


def test_one_token_serves_all_searches_until_four_fifths_of_its_life(guarded: Server) -> None:
    guarded.hold(patient(), observation("8867-4", 80))

    pulled(guarded, 4, step=70)  # at 0, 70, 140, 210 of 300 s: 240 s is four fifths
    assert tokens_asked(guarded) == 1

    guarded.hold(patient(), observation("8867-4", 80))
    pulled(guarded, 5, step=70)  # the fifth at 280 s
    assert tokens_asked(guarded) == 2


def test_a_refused_token_is_dropped_and_the_request_made_once_more(guarded: Server) -> None:
    guarded.hold(patient())
    guarded.twist.refuse_tokens = 1

    assert kinds(pull(guarded, file={"auth": SMART})) == ["Patient"]
    assert tokens_asked(guarded) == 2

    guarded.hold(patient())
    guarded.twist.refuse_tokens = 100
    with pytest.raises(SourceUnavailable, match="401"):
        pull(guarded, file={"auth": SMART})
    assert len(guarded.searches("Consent")) <= 2


def test_a_token_that_expired_at_the_server_is_replaced(guarded: Server) -> None:
    guarded.hold(patient())
    guarded.expires_in = 3

    async def later() -> Fetched:
        source = opened(guarded, auth=SMART, monotonic=lambda: 0.0)  # a clock that stands still
        try:
            await fetched(source)
            guarded.now = lambda: time.time() + 10
            return await fetched(source)
        finally:
            await source.close()
            guarded.now, guarded.expires_in = time.time, 300

    assert kinds(asyncio.run(later())) == ["Patient"]
    assert any(one.status == 401 for one in guarded.requests)


def test_another_question_needs_another_scope(guarded: Server) -> None:
    guarded.hold(patient())

    for of in (SEPSIS, CHEST):
        pull(guarded, of, file={"auth": SMART})

    assert {"system/DiagnosticReport.rs"} <= list(guarded.issued.values())[-1][1]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"access_token": "a b", "token_type": "bearer", "expires_in": 300},
        {"access_token": "CANARY\r\nx: y", "token_type": "bearer", "expires_in": 300},
        {"access_token": "abc", "token_type": "mac", "expires_in": 300},
        {"access_token": "abc", "token_type": "bearer", "expires_in": -1},
        {"access_token": "abc", "token_type": "bearer", "expires_in": True},
        {"access_token": ["CANARY"], "token_type": "bearer"},
        [],
    ],
)
def test_a_token_answer_that_is_none_refuses_the_pull(guarded: Server, body: Json) -> None:
    guarded.hold(patient())
    guarded.twist.token = body

    with pytest.raises(SourceUnavailable) as caught:
        pull(guarded, file={"auth": SMART})
    shown = "".join(traceback.format_exception(caught.value))
    assert "CANARY" not in shown
    assert SECRETS["EC_KEY"] not in shown
    assert not guarded.searches("Patient")


def test_a_client_that_the_server_does_not_know_is_refused_in_our_words(guarded: Server) -> None:
    guarded.hold(patient())

    with pytest.raises(SourceUnavailable, match="did not give a token"):
        pull(guarded, file={"auth": {**SMART, "client_id": "somebody-else"}})


def test_a_fixed_token_is_sent_as_it_is_and_not_asked_for_again(server: Server) -> None:
    server.hold(patient())

    pull(server, file={"auth": {"kind": "bearer", "secret": "FIXED"}})

    assert {one.authorization for one in server.requests} == {"Bearer abc.def"}
    server.requests.clear()
    pull(server)
    assert {one.authorization for one in server.requests} == {None}
