"""A gateway in this process with a written history, and readers of its FHIR base."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from careweir.api.auth import TokenRules
from careweir.app import build_app
from careweir.audit import AuditKeys, Entry
from careweir.settings import Settings
from careweir.wiring.house import load_house
from careweir.wiring.overrides import Overrides

KEY = ECKey.generate_key("P-256", parameters={"kid": "k1"}, private=True)
RULES = TokenRules(
    "urn:issuer", "careweir", KeySet([ECKey.import_key(KEY.as_dict(private=False))]), 3600
)
START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
SCOPE = "system/AuditEvent.rs"


class Clock:
    """Ten milliseconds further at each reading, from a minute after ``START`` on."""

    def __init__(self) -> None:
        self.now = START + timedelta(minutes=1)

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=10)
        return self.now


def token(role: str = "auditor", *, scope: str = SCOPE, **more: str) -> str:
    claims = {
        "iss": "urn:issuer", "aud": "careweir", "sub": f"Practitioner/{role}", "client_id": "tool",
        "iat": int(START.timestamp()), "exp": int(START.timestamp()) + 3600, "scope": scope,
        "role": role, **more,
    }  # fmt: skip
    return jwt.encode({"alg": "ES256", "kid": "k1"}, claims, KEY, algorithms=["ES256"])


class Base:
    """The FHIR base as a client meets it."""

    def __init__(self, runner: asyncio.Runner, app: Any, keys: AuditKeys) -> None:
        self._runner = runner
        self._app = app
        self.keys = keys

    def call(self, method: str, path: str, bearer: str | None, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        headers |= more.pop("headers", {})

        async def called() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://gw") as client:
                return await client.request(method, path, headers=headers, **more)

        return self._runner.run(called())

    def get(self, path: str, bearer: str | None = None, **more: Any) -> httpx.Response:
        return self.call("GET", path, bearer or token(), **more)

    def search(self, bearer: str | None = None, **parameters: str) -> list[dict[str, Any]]:
        """The events of a search that must succeed."""
        given = {name.replace("__", "."): value for name, value in parameters.items()}
        response = self.get("/fhir/AuditEvent", bearer, params=given)
        assert response.status_code == 200, response.text
        entries = response.json().get("entry", [])
        return [e["resource"] for e in entries if e["search"]["mode"] == "match"]

    def write(self, *entries: Entry) -> None:
        async def written() -> None:
            for entry in entries:
                await self._app.state.services.trail.append(entry)

        self._runner.run(written())

    def read_back(self, query: Any) -> list[Any]:
        async def found() -> list[Any]:
            return [row async for row in self._app.state.services.trail.read(query)]

        return self._runner.run(found())


def story(keys: AuditKeys, n: int, *, patient: str, site: str, ended: str | None) -> list[Entry]:
    """What one question leaves on the record."""
    facts: Any = {
        "inference": f"inf_{n}", "patient_key": keys.patient_key(patient), "actor": f"dr-{n % 3}",
        "client": "ehr",
    }  # fmt: skip
    said = {"role": "ed-physician", "purpose": "TREAT" if n % 2 else "BTG", "site": site,
            "token": f"tok-{n}", "policy_revision": "sha256:0a"}  # fmt: skip
    sent: Any = {"tool": "acme-sepsis", "disclosure": f"dis_{n}"}
    manifest = {"withheld": [{"path": "Patient.name", "count": 1, "reason": "role"}]}
    intent = {**said, "sent": ["Observation.code"], "vendor_host": "acme.example",
              "manifest": manifest}  # fmt: skip
    found = [
        Entry("decision", said, outcome="permit", **facts),
        Entry("intent", intent, **facts, **sent),
    ]
    if ended is not None:
        found.append(Entry("outcome", said, outcome=ended, **facts, **sent))
        found.append(Entry("answer", said, outcome="complete", **facts))
    return found


QUESTIONS = 12


@contextmanager
def serving_base(data: Path) -> Iterator[Base]:
    """Twelve questions at two sites about two patients; some failed, and one is open."""
    tools = load_house(None).tools.values()
    app = build_app(
        Settings(data=data),
        Overrides(
            secrets={name: "s" for tool in tools for name in tool.auth.secrets},
            token_rules=RULES,
            clock=Clock(),
        ),
    )
    with asyncio.Runner() as runner:
        lifespan = app.router.lifespan_context(app)
        runner.run(lifespan.__aenter__())
        found = Base(runner, app, AuditKeys.load_or_create(data / "keys"))
        for n in range(QUESTIONS):
            ended = "vendor_timed_out" if n % 4 == 0 else "answered"
            patient = f"Patient/{n % 2}"
            site = "north" if n < 8 else "south"
            last = n == QUESTIONS - 1
            found.write(
                *story(found.keys, n, patient=patient, site=site, ended=None if last else ended)
            )
        found.write(
            Entry("refusal", {"role": "coder", "purpose": "HPAYMT", "site": "south"},
                  inference="inf_x", actor="coder-1", client="ehr", outcome="access_denied")
        )  # fmt: skip
        yield found
        runner.run(lifespan.__aexit__(None, None, None))
