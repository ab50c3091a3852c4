"""A gateway in this process whose tools say what a test wants, and people at its work list."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from careweir.access import Actor
from careweir.adjudication import Answered, Reading, Seen
from careweir.api.auth import TokenRules
from careweir.app import build_app
from careweir.audit import Query
from careweir.question import rfc3339
from careweir.settings import Settings
from careweir.stages import compared
from careweir.wiring.house import load_house
from careweir.wiring.overrides import Overrides
from careweir_fhir.model import Coding, Finding, Polarity

KEY = ECKey.generate_key("P-256", parameters={"kid": "k1"}, private=True)
RULES = TokenRules(
    "urn:issuer", "careweir", KeySet([ECKey.import_key(KEY.as_dict(private=False))]), 10**7
)
SCOPE = "capability/*.infer system/AuditEvent.rs"
START = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
KINDS = ("conflict", "answered-findings", "tool-score", "conflict-alert")
PURPOSES = {"governance-board": ["HOPERAT"], "coder": ["HPAYMT"], "auditor": ["HCOMPL"]}
SECRET = "a shared secret of the webhook"


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def tick(self, **delta: float) -> None:
        self.now += timedelta(**delta)


def token(role: str, *, subject: str | None = None, site: str | None = None) -> str:
    claims: dict[str, Any] = {
        "iss": "urn:issuer", "aud": "careweir", "sub": subject or f"Practitioner/{role}",
        "client_id": "ehr", "iat": int(START.timestamp()), "exp": int(START.timestamp()) + 10**6,
        "scope": SCOPE, "role": role, "purposes": PURPOSES.get(role, ["TREAT"]),
    }  # fmt: skip
    if site:
        claims["site"] = site
    return jwt.encode({"alg": "ES256", "kid": "k1"}, claims, KEY, algorithms=["ES256"])


def actor(role: str = "radiologist", *, site: str | None = "north", **more: Any) -> Actor:
    return Actor(
        subject=f"Practitioner/{role}", client="ehr", role=role, site=site,
        purposes=frozenset(PURPOSES.get(role, ["TREAT"])), scopes=frozenset(SCOPE.split()),
        **more,
    )  # fmt: skip


def pneumothorax(tool: str, polarity: Polarity = "present", **more: Any) -> Finding:
    fields: dict[str, Any] = {
        "kind": "assertion", "code": Coding(display="pneumothorax"), "tool_version": "1.0",
        "encounter": "Encounter/e1",
    }  # fmt: skip
    return Finding(tool=tool, polarity=polarity, **{**fields, **more})


class World:
    """The gateway as its callers meet it, and its second reader as the pipeline does."""

    def __init__(self, runner: asyncio.Runner, app: Any, clock: Clock, data: Path) -> None:
        self.run = runner.run
        self.app = app
        self.clock = clock
        self.data = data
        self._asked = 0
        self._forgotten_at = -1

    @property
    def adjudication(self) -> Any:
        return self.app.state.services.adjudication

    def answer(
        self,
        *findings: Finding,
        who: Actor | None = None,
        subject: str = "Patient/1",
        capability: str = "chest-xray-findings",
        seen: dict[str, Seen] | None = None,
        override: bool = False,
        sensitivity: Sequence[str] = (),
    ) -> Reading:
        """One answer of the gateway: compared, then kept."""
        asker = who or actor()
        self._asked += 1
        now = rfc3339(self.clock())
        dated = [f if f.effective else f.model_copy(update={"effective": now}) for f in findings]
        answered = Answered(
            inference=f"inf_{self._asked}", capability=capability, site=asker.site, at=now,
            asker=asker.subject, override=override, sensitivity=tuple(sensitivity),
            findings=tuple(f.model_dump(mode="json") for f in dated), seen=seen or {},
        )  # fmt: skip
        house = self.app.state.services.gateway.house
        second = self.adjudication.second

        async def whole() -> Reading:
            reading: Reading = await second.compare(
                subject, dated, answered, actor=asker, policies=house.policies,
                detect=lambda found: compared(found, house.rules, patient=subject),
            )  # fmt: skip
            await second.remember(subject, reading)
            await second.open(subject, reading)
            return reading

        return self.run(whole())

    def call(self, method: str, path: str, bearer: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {bearer}", **more.pop("headers", {})}

        async def called() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://gw") as client:
                return await client.request(method, path, headers=headers, **more)

        return self.run(called())

    def get(self, path: str, role: str = "radiologist", **more: Any) -> httpx.Response:
        return self.call("GET", path, token(role, **more))

    def rows(self, path: str = "/v1/conflicts", role: str = "radiologist", **more: Any) -> Any:
        response = self.get(path, role, **more)
        assert response.status_code == 200, response.text
        return response.json()["conflicts"]

    def settle(self, name: str, role: str = "radiologist", **body: Any) -> httpx.Response:
        subject = body.pop("subject", None)
        given = {"verdict": "not_a_conflict", "rationale": "seen on the film myself"} | body
        return self.call(
            "POST", f"/v1/conflicts/{name}/adjudication", token(role, subject=subject), json=given
        )

    def recorded(self, kind: str) -> list[Any]:
        """What is on the record since ``forget``."""

        async def found() -> list[Any]:
            trail = self.app.state.services.trail
            return [row async for row in trail.read(Query(type=kind))]

        return [row.entry for row in self.run(found()) if row.position > self._forgotten_at]

    def forget(self) -> None:
        """An empty work list, nothing remembered, and the clock at its start."""

        async def forgotten() -> None:
            state = self.app.state.store
            for kind in KINDS:
                for record in await state.find(kind, site=None, limit=500):
                    await state.delete(kind, record.key)

        self.clock.now = START
        self.run(forgotten())
        self._forgotten_at = self.run(self._newest())

    async def _newest(self) -> int:
        trail = self.app.state.services.trail
        newest = [row.position async for row in trail.read(Query(limit=1, newest_first=True))]
        return newest[0]


@contextmanager
def world(data: Path, config: Path | None = None) -> Iterator[World]:
    """A gateway over SQLite in ``data``."""
    tools = load_house(config).tools.values()
    secrets = {name: "s" for tool in tools for name in tool.auth.secrets}
    clock = Clock()
    app = build_app(
        Settings(data=data, config=config),
        Overrides(secrets=secrets | {"conflict-webhook": SECRET}, token_rules=RULES, clock=clock),
    )
    with asyncio.Runner() as runner:
        lifespan = app.router.lifespan_context(app)
        runner.run(lifespan.__aenter__())
        yield World(runner, app, clock, data)
        runner.run(lifespan.__aexit__(None, None, None))
