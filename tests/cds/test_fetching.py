"""What an EHR leaves out of the prefetch is fetched from its configured server, as ourselves."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from careweir.app import build_app
from careweir.ids import new_id
from careweir.settings import Settings
from careweir.wiring.house import load_house
from careweir.wiring.overrides import Overrides
from minimise.charts import LOINC, ROOT, blood_pressure, observation, patient
from source.conftest import guarded  # noqa: F401
from source.pulling import SECRETS, SMART, written
from source.server import Server
from support.inprocess import CLOSED, run

GATE = "https://gate.example.org"
PATH = "/cds-services/sepsis-risk"
ISSUER = "https://ehr.example.org"
KEY = ECKey.generate_key("P-384", parameters={"kid": "k1"}, private=True)
CLIENTS = f"""
version: 1
clients:
  main-ehr: {{issuer: "{ISSUER}", jwks_file: ehr.jwks, role: ed-physician, site: SITE, source: EHR}}
"""


def bearer() -> dict[str, str]:
    now = datetime.now(UTC)
    claims = {"iss": ISSUER, "aud": GATE + PATH, "iat": int(now.timestamp()), "jti": new_id("jti"),
              "exp": int((now + timedelta(minutes=5)).timestamp())}  # fmt: skip
    header = {"alg": "ES384", "kid": "k1", "typ": "JWT"}
    return {"Authorization": f"Bearer {jwt.encode(header, claims, KEY, algorithms=['ES384'])}"}


def configured(folder: Path, server: Server, *, site: str = "north", source: str = "ehr") -> Path:
    config = folder / "config"
    shutil.copytree(ROOT / "policies", config)
    written(config, ehr={"base_url": server.base_url, "auth": SMART, "sites": ["north"]})
    (config / "cds_clients.yaml").write_text(CLIENTS.replace("SITE", site).replace("EHR", source))
    (config / "ehr.jwks").write_bytes(orjson.dumps({"keys": [KEY.as_dict(private=False)]}))
    return config


def call(folder: Path, config: Path, **changes: Any) -> httpx.Response:
    """One call without any prefetch; no vendor is there, so a published score answers."""
    tools = load_house(config).tools
    app = build_app(
        Settings(config=config, data=folder / "data", allow_http_endpoints=True, public_url=GATE),
        Overrides(secrets={n: "x" for t in tools.values() for n in t.auth.secrets} | SECRETS,
                  endpoints={name: CLOSED for name in tools}),
    )  # fmt: skip
    body = {
        "hook": "patient-view", "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {"patientId": "p1", "userId": "Practitioner/u1"},
    } | changes  # fmt: skip

    async def once() -> httpx.Response:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=GATE) as client,
        ):
            return await client.post(PATH, json=body, headers=bearer())

    answer: httpx.Response = run(once())
    return answer


def given(server: Server) -> dict[str, Any]:
    """What an EHR may send beside its address: a token of its own, for a server of its own."""
    token = {"access_token": "HANDED-OVER", "token_type": "Bearer", "expires_in": 300,
             "scope": "user/*.rs", "subject": "careweir"}  # fmt: skip
    return {"fhirServer": server.base_url, "fhirAuthorization": token}


def vitals(moment: str) -> list[Any]:
    """Everything that NEWS2 counts, measured then."""
    measured = (("8867-4", 131, "/min"), ("9279-1", 31, "/min"), ("8310-5", 39.4, "Cel"),
                ("59408-5", 90, "%"), ("3151-8", 2, "L/min"))  # fmt: skip
    alert = {"coding": [{"system": LOINC, "code": "LA9340-6"}]}
    found = [patient(), blood_pressure(92, 51), observation("67775-7", valueCodeableConcept=alert)]
    found += [observation(code, value, unit) for code, value, unit in measured]
    return [one | {"effectiveDateTime": moment} if one["resourceType"] == "Observation" else one
            for one in found]  # fmt: skip


def test_what_the_ehr_left_out_is_fetched_from_its_configured_server(
    guarded: Server, tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    guarded.hold(*vitals(datetime.now(UTC).isoformat()))

    answer = call(tmp_path, configured(tmp_path, guarded), **given(guarded))

    assert answer.status_code == 200
    assert any("fallback" in card["summary"] for card in answer.json()["cards"])
    read = [one for one in guarded.requests if one.kind[:1].isupper()]
    assert {"Patient", "Observation"} <= {one.kind for one in read}
    for one in read:
        assert one.authorization is not None
        assert "HANDED-OVER" not in one.authorization


@pytest.mark.parametrize(
    "wrong", ["http://127.0.0.1:9/fhir", "https://evil.example/fhir", "ftp://x"]
)
def test_no_other_server_than_the_configured_one_is_asked(
    guarded: Server, tmp_path: Path, wrong: str  # noqa: F811
) -> None:  # fmt: skip
    before = len(guarded.requests)

    answer = call(tmp_path, configured(tmp_path, guarded), **given(guarded) | {"fhirServer": wrong})

    assert answer.status_code == 412
    assert len(guarded.requests) == before


def test_a_site_that_the_source_is_not_for_gets_nothing(
    guarded: Server, tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    before = len(guarded.requests)

    answer = call(tmp_path, configured(tmp_path, guarded, site="south"), **given(guarded))

    assert answer.status_code in (403, 422)
    assert len(guarded.requests) == before
