"""No secret of the gateway and no token of a caller stands in an answer, a log or the record."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from careweir import log as logs
from careweir.app import build_app
from careweir.settings import Settings
from careweir.wiring.house import load_house
from careweir.wiring.overrides import Overrides
from careweir_kit.simulation.faults import State
from support.charts import sepsis
from support.inprocess import CLOSED, RULES, bearer, simulated

SECRET = "CANARY-vendor-secret-7781"
FAULTS = ("http_500", "garbage", "html_200", "wrong_schema", "reset", "redirect", "http_429")


async def played(data: Path) -> tuple[list[httpx.Response], State]:
    """Questions that go well, that fail in each way, and requests with bad tokens."""
    house = load_house(None)
    async with simulated("acme-sepsis") as vendor:
        overrides = Overrides(
            endpoints={name: CLOSED for name in house.tools} | {"acme-sepsis": vendor.url},
            secrets={n: SECRET for tool in house.tools.values() for n in tool.auth.secrets},
            token_rules=RULES,
            seed=1,
        )
        app = build_app(Settings(data=data), overrides)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gw") as client,
        ):
            answers = [await _ask(client)]
            for fault in FAULTS:
                vendor.state.set({"fault": fault})
                answers.append(await _ask(client))
            for header in (f"Bearer {SECRET}.{SECRET}.{SECRET}", f"Basic {SECRET}"):
                answers.append(await client.get("/v1/tools", headers={"Authorization": header}))
            for path in (
                "/v1/tools",
                "/v1/tools/acme-sepsis",
                "/openapi.json",
                "/metrics",
                "/fhir/metadata",
                "/fhir/Device",
                "/readyz",
                "/docs",
            ):
                answers.append(await client.get(path, headers=bearer()))
    return answers, vendor.state


async def _ask(client: httpx.AsyncClient) -> httpx.Response:
    asked: Any = sepsis(deadline_ms=1500)
    return await client.post("/v1/inferences", json=asked, headers=bearer())


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[httpx.Response], State, Path]:
    data = tmp_path_factory.mktemp("secrets") / "data"
    answers, state = asyncio.run(asyncio.wait_for(played(data), 120))
    return answers, state, data


def test_the_secret_was_really_used_and_the_questions_really_asked(
    story: tuple[list[httpx.Response], State, Path],
) -> None:
    answers, state, _ = story

    assert state.view()["calls"] >= len(FAULTS)
    assert answers[0].status_code == 200
    assert any(row["tool"] == "acme-sepsis" and row["status"] == "answered"
               for row in answers[0].json()["tools"])  # fmt: skip


def test_no_answer_holds_a_secret_or_a_token(
    story: tuple[list[httpx.Response], State, Path],
) -> None:
    token = bearer()["Authorization"].removeprefix("Bearer ").partition(".")[0]
    for answer in story[0]:
        assert SECRET not in answer.text
        assert token not in answer.text
        assert SECRET not in str(answer.headers)


def test_no_file_of_the_gateway_holds_a_secret_or_a_token(
    story: tuple[list[httpx.Response], State, Path],
) -> None:
    files = [file for file in story[2].rglob("*") if file.is_file()]
    token = bearer()["Authorization"].removeprefix("Bearer ").partition(".")[0].encode()

    assert any(file.name.endswith(".db") for file in files)
    assert not [file.name for file in files if SECRET.encode() in file.read_bytes()]
    assert not [file.name for file in files if token in file.read_bytes()]


def test_settings_and_errors_do_not_show_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    url = f"postgresql://careweir:{SECRET}@db/careweir"
    settings = Settings(database_url=url)  # type: ignore[arg-type]

    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == url
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings.model_dump())
    logs.configure(json=True)
    try:
        raise RuntimeError(SECRET)
    except RuntimeError as error:
        logs.log.error("request failed", exc_info=error)
    said = capsys.readouterr().err
    assert "request failed" in said
    assert SECRET not in said
