"""A question that names a source, over HTTP to the answer and the record."""

from __future__ import annotations

import asyncio
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from careweir.app import build_app
from careweir.demo.issuer import DemoIssuer
from careweir.settings import Settings
from careweir.wiring.house import load_house
from careweir.wiring.overrides import Overrides
from minimise.charts import LOINC, ROOT, Json, blood_pressure, observation, patient
from source.pulling import SECRETS, SMART, written
from source.server import Server

CHART = [
    patient(),
    blood_pressure(112, 71),
    *(
        observation(code, value, unit)
        for code, value, unit in (
            ("8867-4", 96, "/min"), ("9279-1", 22, "/min"), ("8310-5", 38.4, "Cel"),
            ("59408-5", 95, "%"),
        )
    ),
    observation(
        "67775-7", valueCodeableConcept={"coding": [{"system": LOINC, "code": "LA9340-6"}]}
    ),
    observation("3151-8", 0, "L/min"),
    observation("718-7", 13, "g/dL", id="not-needed"),
]  # fmt: skip


def ask(folder: Path, server: Server, path: str = "/v1/inferences", **change: Any) -> Any:
    """Status, body and audit rows of one question put to a gateway with this source."""
    config = folder / "config"
    shutil.copytree(ROOT / "policies", config, dirs_exist_ok=True)
    written(config, **{"main-ehr": {"base_url": server.base_url, "auth": SMART,
                                    "sites": ["north"]}})  # fmt: skip
    issuer = DemoIssuer(audience="careweir")
    named = {n for tool in load_house(config).tools.values() for n in tool.auth.secrets}
    app = build_app(
        Settings(config=config, data=folder / "data", allow_http_endpoints=True),
        Overrides(
            secrets={name: "x" for name in named} | SECRETS,
            token_rules=issuer.rules(),
            endpoints={name: "http://127.0.0.1:9" for name in ("acme-sepsis", "beacon-sepsis")},
        ),
    )
    body: Json = {
        "capability": "sepsis-risk", "subject": "Patient/p1", "purpose": "TREAT",
        "source": {"fhir_server": "main-ehr"},
        "context": {"site": "north", "as_of": "2026-03-02T08:30:00Z"}, **change,
    }  # fmt: skip

    async def once() -> Any:
        token = issuer.token(body.pop("role", "ed-physician"), datetime.now(UTC))
        transport = httpx.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://gateway") as client,
        ):
            answer = await client.post(
                path, json=body, headers={"Authorization": f"Bearer {token}"}
            )
        return answer.status_code, answer.json()

    return asyncio.run(once())


def recorded(folder: Path) -> str:
    """Everything that the record holds, as text."""
    files = [file for file in (folder / "data").rglob("*") if file.is_file()]
    return "".join(file.read_bytes().decode("latin-1") for file in files)


def test_a_question_that_names_a_source_is_answered_from_it(
    guarded: Server, tmp_path: Path
) -> None:
    guarded.hold(*CHART)

    status, body = ask(tmp_path, guarded)

    assert (status, body["outcome"]) == (200, "degraded")  # both vendors are down: NEWS2 answers
    assert {one["tool"]: one["status"] for one in body["tools"]}["news2"] == "answered"
    asked = json.dumps([one.params for one in guarded.requests])
    assert "8867-4" in asked
    assert "718-7" not in asked
    held = recorded(tmp_path)
    assert "Observation?patient&combo-code&date&date&_elements&_count" in held
    assert "Quillfeather" not in held


def test_a_denied_question_fetches_nothing(guarded: Server, tmp_path: Path) -> None:
    guarded.hold(*CHART)

    status, _ = ask(tmp_path, guarded, role="scheduler")

    assert status == 403
    assert guarded.requests == []


@pytest.mark.parametrize(
    ("change", "code"),
    [({"source": {"fhir_server": "other"}}, "source_unknown"),
     ({"context": {"site": "south"}}, "source_unknown"),
     ({"subject": "Patient/p9"}, "question_invalid")],
)  # fmt: skip
def test_a_source_that_cannot_be_used_is_refused(
    guarded: Server, tmp_path: Path, change: Json, code: str
) -> None:
    guarded.hold(*CHART)

    status, body = ask(tmp_path, guarded, **change)

    assert (status, body["code"]) == (422, code)


def test_a_source_that_is_down_is_said_and_recorded(guarded: Server, tmp_path: Path) -> None:
    guarded.hold(*CHART)
    guarded.twist.refuse_tokens = 100

    status, body = ask(tmp_path, guarded)

    assert (status, body["code"]) == (503, "source_unavailable")
    assert "source_unavailable" in recorded(tmp_path)


def test_a_preview_over_a_source_shows_what_would_be_sent(guarded: Server, tmp_path: Path) -> None:
    guarded.hold(*CHART)

    status, body = ask(tmp_path, guarded, path="/v1/disclosures/preview")

    assert status == 200
    assert any("8867-4" in json.dumps(one) for one in body["disclosures"])
    assert "Observation?patient" in recorded(tmp_path)
