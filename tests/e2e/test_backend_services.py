"""An application gets its tokens by itself, by SMART Backend Services, and asks."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from careweir.ids import new_id
from support.charts import sepsis
from support.running import Served

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CONFIGURATION = "/fhir/.well-known/smart-configuration"


class App:
    """What an application does with its key and the gateway's configuration."""

    def __init__(self, gateway: Served) -> None:
        self.gateway = gateway
        self.file = gateway.data / "demo-client.json"
        self.me = json.loads(self.file.read_bytes())
        self.key = ECKey.import_key(self.me["private_jwk"])
        self.endpoint = gateway.client.get(CONFIGURATION).json()["token_endpoint"]

    def assertion(self, key: ECKey | None = None, **changes: Any) -> str:
        now = int(datetime.now(UTC).timestamp())
        name = self.me["client_id"]
        claims = {"iss": name, "sub": name, "aud": self.endpoint, "exp": now + 120,
                  "jti": new_id("jti")} | changes  # fmt: skip
        header = {"alg": "ES384", "kid": self.key.kid, "typ": "JWT"}
        return jwt.encode(header, claims, key or self.key, algorithms=["ES384"])

    def asked(self, scope: str = "capability/*.infer", **changes: str) -> Any:
        form = {"grant_type": "client_credentials", "client_assertion_type": TYPE, "scope": scope,
                "client_assertion": self.assertion()} | changes  # fmt: skip
        return self.gateway.client.post(self.endpoint, data=form)

    def bearer(self, scope: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.asked(scope).json()['access_token']}"}

    def found(self, kind: str, scope: str) -> list[dict[str, Any]]:
        answer = self.gateway.client.get(f"/fhir/{kind}", headers=self.bearer(scope))
        assert answer.status_code == 200, answer.text
        return [one["resource"] for one in answer.json().get("entry", ())
                if one["search"]["mode"] == "match"]  # fmt: skip


@pytest.fixture
def app(gateway: Served) -> App:
    return App(gateway)


def test_the_configuration_says_where_tokens_are_had_and_what_they_open(gateway: Served) -> None:
    xml = {"Accept": "application/fhir+xml"}
    answer = gateway.client.get(CONFIGURATION, headers=xml)
    told = answer.json()

    assert answer.headers["content-type"] == "application/json"
    assert told == gateway.client.get("/.well-known/smart-configuration").json()
    assert told["token_endpoint"] == f"{gateway.client.base_url}/demo/token".replace("//d", "/d")
    assert told["grant_types_supported"] == ["client_credentials"]
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert {"permission-v1", "permission-v2", "client-confidential-asymmetric"} <= set(
        told["capabilities"]
    )
    served = {
        one["type"] for one in gateway.client.get("/fhir/metadata").json()["rest"][0]["resource"]
    }
    assert {f"system/{kind}.rs" for kind in served} <= set(told["scopes_supported"])
    assert "capability/sepsis-risk.infer" in told["scopes_supported"]


def test_an_application_signs_gets_a_token_and_asks(app: App) -> None:
    answer = app.asked()
    token = answer.json()

    assert answer.headers["cache-control"] == "no-store"
    assert (token["token_type"], token["expires_in"]) == ("bearer", 300)
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    asked = app.gateway.client.post("/v1/inferences", json=sepsis(), headers=headers)
    assert asked.status_code == 200
    assert stat.S_IMODE(app.file.stat().st_mode) == 0o600


def test_assertions_that_do_not_hold_get_no_token(app: App) -> None:
    now = int(datetime.now(UTC).timestamp())
    stranger = ECKey.generate_key("P-384", {"kid": str(app.key.kid)}, private=True)
    used = app.assertion()
    assert app.asked(client_assertion=used).status_code == 200
    for bad in (
        used,
        app.assertion(key=stranger),
        app.assertion(aud=app.endpoint + "/"),
        app.assertion(exp=now - 1),
        app.assertion(exp=now + 3600),
        app.assertion(sub="another"),
        app.assertion(iss="another"),
        app.assertion(jti=None),
    ):
        answer = app.asked(client_assertion=bad)
        assert (answer.status_code, answer.json()) == (401, {"error": "invalid_client"})
    for change, error in (
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"client_assertion_type": "secret"}, "invalid_request"),
        ({"client_assertion": "a.b"}, "invalid_request"),
        ({"scope": "system/*.cud"}, "invalid_scope"),
        ({"scope": ""}, "invalid_scope"),
        ({"scope": "capability/*.infer openid"}, "invalid_scope"),
    ):
        assert app.asked(**change).json() == {"error": error}


def test_scopes_open_results_by_type_and_by_condition(app: App) -> None:
    headers = app.bearer("capability/sepsis-risk.infer")
    question = sepsis()
    asked = app.gateway.client.post("/v1/inferences", json=question, headers=headers).json()
    patient = question["subject"]
    whole = app.found("RiskAssessment", "system/RiskAssessment.rs")

    assert len(whole) >= 2
    assert app.found("RiskAssessment", f"system/RiskAssessment.rs?patient={patient}")
    assert app.found("RiskAssessment", "system/RiskAssessment.rs?patient=Patient/other") == []
    assert app.found("RiskAssessment", "system/RiskAssessment.rs?colour=red") == []
    assert app.found("RiskAssessment", f"system/*.rs?patient={patient}")
    assert app.found("Provenance", f"system/*.rs?patient={patient}") == []  # it has none here
    one = f"/fhir/RiskAssessment/{whole[0]['id']}"
    for scope, status in (
        ("system/RiskAssessment.r", 200),
        (f"system/RiskAssessment.r?patient={patient}", 200),
        ("system/RiskAssessment.r?patient=Patient/other", 404),
        ("system/RiskAssessment.s", 403),
        ("system/Observation.rs", 403),
    ):
        answer = app.gateway.client.get(one, headers=app.bearer(scope))
        assert answer.status_code == status, scope
    answer = app.gateway.client.get(
        f"/v1/inferences/{asked['id']}", headers=app.bearer("system/*.rs")
    )
    assert answer.status_code == 403  # the whole answer is not a resource
    assert 'scope="capability/sepsis-risk.infer"' in answer.headers["WWW-Authenticate"]


def test_no_scope_on_resources_lets_a_question_be_asked(app: App) -> None:
    headers = app.bearer("system/*.cruds")

    answer = app.gateway.client.post("/v1/inferences", json=sepsis(), headers=headers)

    assert answer.status_code == 403
    assert answer.json()["because"] == ["scope"]
