"""One demo gateway with an EHR that is known by its own key."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from careweir.demo import patients
from careweir.ids import new_id
from support.paths import ROOT
from support.running import Served, serving

ISSUER = "https://ehr.example.org"
BILLING = "https://billing.example.org"
SERVICE = "/cds-services/sepsis-risk"
KEY = ECKey.generate_key("P-384", parameters={"kid": "k1"}, private=True)
CLIENTS = f"""
version: 1
clients:
  main-ehr: {{issuer: "{ISSUER}", jwks_file: main-ehr.jwks, role: hospitalist, site: north}}
  billing: {{issuer: "{BILLING}", jwks_file: main-ehr.jwks, role: coder, purposes: [HPAYMT]}}
"""


@dataclass
class Ehr:
    """What an EHR does: discover, prefetch, call, tell what became of a card."""

    gateway: Served

    def bearer(self, path: str = SERVICE, **changes: Any) -> dict[str, str]:
        """A fresh token for one address."""
        now = datetime.now(UTC)
        claims = {
            "iss": ISSUER, "aud": str(self.gateway.client.base_url).rstrip("/") + path,
            "iat": int(now.timestamp()), "exp": int((now + timedelta(minutes=5)).timestamp()),
            "jti": new_id("jti"),
        } | changes  # fmt: skip
        header = {"alg": "ES384", "kid": "k1", "typ": "JWT"}
        return {"Authorization": f"Bearer {jwt.encode(header, claims, KEY, algorithms=['ES384'])}"}

    def service(self, name: str = "sepsis-risk") -> dict[str, Any]:
        """The descriptor of one service."""
        services = self.gateway.client.get("/cds-services").json()["services"]
        return next(service for service in services if service["id"] == name)

    def prefetch(self, chart: dict[str, Any]) -> dict[str, Any]:
        """What an EHR would find for the templates in this chart, by type alone."""
        found: dict[str, Any] = {}
        for key, query in self.service()["prefetch"].items():
            kind, _, search = query.partition("?")
            mine = [entry["resource"] for entry in chart["entry"]
                    if entry["resource"]["resourceType"] == kind.partition("/")[0]]  # fmt: skip
            entries = [{"resource": one} for one in mine]
            searchset = {"resourceType": "Bundle", "type": "searchset", "entry": entries}
            found[key] = searchset if search else mine[0]
        return found

    def body(self, **changes: Any) -> dict[str, Any]:
        """A whole call about a clearly septic patient."""
        chart = patients.septic(datetime.now(UTC))
        return {
            "hook": "patient-view",
            "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
            "context": {"patientId": chart["id"], "userId": "Practitioner/ehr-user"},
            "prefetch": self.prefetch(chart),
        } | changes

    def call(self, body: dict[str, Any] | None = None, **more: Any) -> Any:
        """Call the service; ``headers`` replaces the EHR's own token."""
        headers = more.pop("headers", None) or self.bearer()
        return self.gateway.client.post(SERVICE, json=body or self.body(), headers=headers, **more)


@pytest.fixture(scope="session")
def running_ehr(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ehr]:
    folder = tmp_path_factory.mktemp("cds")
    shutil.copytree(ROOT / "policies", folder / "policies")
    (folder / "policies" / "cds_clients.yaml").write_text(CLIENTS)
    keys = orjson.dumps({"keys": [KEY.as_dict(private=False)]})
    (folder / "policies" / "main-ehr.jwks").write_bytes(keys)
    origins = {"CAREWEIR_CDS_ORIGINS": "https://sandbox.example.org"}
    with serving(folder / "data", "--config", str(folder / "policies"), settings=origins) as served:
        yield Ehr(served)


@pytest.fixture
def ehr(running_ehr: Ehr) -> Ehr:
    running_ehr.gateway.heal()
    return running_ehr
