"""What a demo gateway does not have: an emergency override, and a record that was changed."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from careweir.api.auth import TokenRules
from careweir.app import build_app
from careweir.settings import Settings
from careweir.wiring.house import load_house
from careweir.wiring.overrides import Overrides
from support.charts import sepsis

KEY = ECKey.generate_key("P-256", parameters={"kid": "k1"}, private=True)
RULES = TokenRules(
    "urn:issuer", "careweir", KeySet([ECKey.import_key(KEY.as_dict(private=False))]), 3600
)
SCOPE = "capability/*.infer system/AuditEvent.rs"
REASON = "unconscious, <b>no</b> relatives"
CLOSED = "http://127.0.0.1:9"  # discard: nothing listens
PATH = "/console/audit"


def token(role: str, purposes: list[str], **more: str) -> str:
    now = int(datetime.now(UTC).timestamp())
    claims = {
        "iss": "urn:issuer", "aud": "careweir", "sub": f"Practitioner/{role}", "client_id": "ehr",
        "iat": now, "exp": now + 300, "scope": SCOPE, "role": role,
        "purposes": purposes, **more,
    }  # fmt: skip
    return jwt.encode({"alg": "ES256", "kid": "k1"}, claims, KEY, algorithms=["ES256"])


@asynccontextmanager
async def gateway(data: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway in this process whose vendors are all gone, and an auditor's session."""
    tools = load_house(None).tools.values()
    overrides = Overrides(
        endpoints={tool.tool: CLOSED for tool in tools},
        secrets={name: "s" for tool in tools for name in tool.auth.secrets},
        token_rules=RULES,
        seed=1,
    )
    app = build_app(Settings(data=data), overrides)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://127.0.0.1",
            headers={"Origin": "http://127.0.0.1"}, timeout=60,
        ) as client,
    ):  # fmt: skip
        await client.post("/console/session", data={"token": token("auditor", ["HCOMPL"])})
        yield client


def run(data: Path, visit: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with gateway(data) as client:
            await visit(client)

    asyncio.run(whole())


async def ask(client: httpx.AsyncClient, bearer: str, purpose: str) -> httpx.Response:
    return await client.post(
        "/v1/inferences", json=sepsis(purpose=purpose, deadline_ms=500),
        headers={"Authorization": f"Bearer {bearer}"},
    )  # fmt: skip


def test_an_override_is_listed_with_its_reason_and_flagged_in_its_story(tmp_path: Path) -> None:
    async def visit(client: httpx.AsyncClient) -> None:
        empty = await client.get(f"{PATH}/break-glass")
        await ask(client, token("ed-physician", ["TREAT"]), "TREAT")
        overridden = token("ed-physician", ["BTG"], break_glass_reason=REASON)
        answer = (await ask(client, overridden, "BTG")).json()

        listed = (await client.get(f"{PATH}/break-glass")).text
        story = (await client.get(f"{PATH}/{answer['id']}")).text

        assert "No emergency override" in empty.text
        assert listed.count("Story of question") == 1
        assert "unconscious, &lt;b&gt;no&lt;/b&gt; relatives" in listed
        assert "BTG (break the glass)" in listed
        assert "<b>Break-glass.</b>" in story
        assert "unconscious, &lt;b&gt;no" in story

    run(tmp_path / "data", visit)


def test_a_refused_override_is_listed_too(tmp_path: Path) -> None:
    async def visit(client: httpx.AsyncClient) -> None:
        refused = await ask(client, token("coder", ["BTG"], break_glass_reason=REASON), "BTG")
        listed = (await client.get(f"{PATH}/break-glass")).text

        assert refused.status_code == 403
        assert "refused, not allowed; nothing was sent" in listed

    run(tmp_path / "data", visit)


def test_an_auditor_of_one_site_sees_that_site_only(tmp_path: Path) -> None:
    async def visit(client: httpx.AsyncClient) -> None:
        asker = token("ed-physician", ["TREAT"])
        north = (await ask(client, asker, "TREAT")).json()["id"]
        records = f"/v1/audit/records?inference={north}"
        shown = {}
        for site in ("north", "south"):
            bearer = token("auditor", ["HCOMPL"], site=site)
            await client.post("/console/session", data={"token": bearer})
            shown[site] = (
                (await client.get(PATH)).text,
                (await client.get(f"{PATH}/{north}")).status_code,
                (await client.get(f"{PATH}/download", params={"format": "ndjson"})).text,
                len((await client.get(records, headers={"Authorization": f"Bearer {bearer}"}))
                    .json()["records"]),
            )  # fmt: skip

        assert north in shown["north"][0]
        assert shown["north"][1] == 200
        assert north in shown["north"][2]
        assert shown["north"][3] > 1
        assert north not in shown["south"][0]
        assert shown["south"][1] == 404
        assert north not in shown["south"][2]
        assert shown["south"][3] == 0

    run(tmp_path / "data", visit)


def test_verify_now_names_the_first_changed_record(tmp_path: Path) -> None:
    data = tmp_path / "data"

    async def visit(client: httpx.AsyncClient) -> None:
        await ask(client, token("ed-physician", ["TREAT"]), "TREAT")
        before = (await client.get(f"{PATH}/verify")).text
        await client.post(f"{PATH}/verify")
        clean = await settled(client)
        seq = forge(data)
        await client.post(f"{PATH}/verify")
        tampered = await settled(client)

        assert "Not verified since this gateway started" in before
        assert "✓ Intact" in clean
        assert "✗ Tampered" in tampered
        assert f"number <code>{seq}</code>" in tampered
        assert "body_changed" in tampered
        assert "✗ Tampered" in (await client.get(PATH)).text  # the badge of every page

    run(data, visit)


async def settled(client: httpx.AsyncClient) -> str:
    """The integrity page once no verification is under way; each press waits for a while."""
    for _ in range(20):
        page = (await client.get(f"{PATH}/verify")).text
        if "Verifying since" not in page:
            return page
        await client.post(f"{PATH}/verify")
    raise AssertionError("the verification does not end")


def forge(data: Path) -> int:
    """Change the purpose in a recorded decision behind the gateway's back; its number."""
    with sqlite3.connect(data / "audit.db") as database:
        (trigger,) = database.execute(
            "SELECT sql FROM sqlite_master WHERE name = 'audit_no_update'"
        ).fetchone()
        place, seq, body = database.execute(
            "SELECT position, seq, body FROM audit_entry WHERE type = 'decision'"
        ).fetchone()
        database.execute("DROP TRIGGER audit_no_update")
        forged = bytes(body).replace(b'"purpose":"TREAT"', b'"purpose":"TRAIN"')
        database.execute("UPDATE audit_entry SET body = ? WHERE position = ?", (forged, place))
        database.execute(trigger)
    return int(seq)
