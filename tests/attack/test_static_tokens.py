"""A token that never changes opens what its line in the file says, and nothing without the file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from careweir.api.static_tokens import PREFIX, StaticTokens, load_static_tokens
from careweir.errors import ConfigInvalid, NotAuthenticated
from support.charts import chest, sepsis
from support.inprocess import InProcess, bearer, gateway, run

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
TOKEN = PREFIX + "3ZQ7rT0sYbV9uL2kXwFhA8dMpEoCgJnKiRqSxUvWyHc"
HEADER = {"Authorization": f"Bearer {TOKEN}"}
DIGEST = hashlib.sha256(TOKEN.encode()).hexdigest()
FILE = f"""
version: 1
tokens:
  lab-engine:
    sha256: {DIGEST}
    role: integration-engine
    purposes: [TREAT]
    capabilities: [sepsis-risk]
    site: north
    until: 2026-12-31
"""
ROLES, CAPABILITIES = {"integration-engine"}, {"sepsis-risk"}


def load(folder: Path, text: str = FILE, now: datetime = NOW) -> StaticTokens:
    path = folder / "static_tokens.yaml"
    path.write_text(text)
    return load_static_tokens(path, roles=ROLES, capabilities=CAPABILITIES, clock=lambda: now)


def test_a_listed_token_is_its_line_of_the_file(tmp_path: Path) -> None:
    actor = load(tmp_path).actor(HEADER["Authorization"])

    assert actor is not None
    assert (actor.subject, actor.client, actor.role) == ("Device/lab-engine", "lab-engine",
                                                         "integration-engine")  # fmt: skip
    assert (actor.site, actor.purposes, actor.scopes) == (
        "north", {"TREAT"}, {"capability/sepsis-risk.infer"})  # fmt: skip
    assert actor.jti == "static:lab-engine"
    assert actor.break_glass is None
    assert TOKEN not in FILE


@pytest.mark.parametrize(
    "authorization",
    [
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}A",
        f"Bearer {PREFIX}{'A' * 43}",
        f"Bearer {PREFIX}short",
        f"Bearer {PREFIX}",
        f"Bearer {TOKEN} ",
        f"Bearer {TOKEN}\n",
        f"Basic {TOKEN}",
        f"Bearer {PREFIX}{'A' * 5000}",
        f"Bearer {PREFIX}{DIGEST}",
    ],
)
def test_a_token_that_is_not_listed_is_nobody(tmp_path: Path, authorization: str) -> None:
    with pytest.raises(NotAuthenticated):
        load(tmp_path).actor(authorization)


@pytest.mark.parametrize("authorization", [None, "", "Bearer a.b.c", f"Bearer {DIGEST}", TOKEN])
def test_another_kind_of_token_is_left_to_others(tmp_path: Path, authorization: str | None) -> None:
    assert load(tmp_path).actor(authorization) is None


def test_without_the_setting_there_is_no_such_token(tmp_path: Path) -> None:
    none = load_static_tokens(None, roles=ROLES, capabilities=CAPABILITIES, clock=lambda: NOW)

    with pytest.raises(NotAuthenticated):
        none.actor(HEADER["Authorization"])
    assert load(tmp_path).actor(HEADER["Authorization"]) is not None


def test_a_token_ends_after_its_last_day(tmp_path: Path) -> None:
    last = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert load(tmp_path, now=last).actor(HEADER["Authorization"]) is not None

    with pytest.raises(NotAuthenticated, match="expired"):
        load(tmp_path, now=datetime(2027, 1, 1, tzinfo=UTC)).actor(HEADER["Authorization"])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("role: integration-engine", "role: emperor"),
        ("[sepsis-risk]", "[sepsis-risk, everything]"),
        ("[sepsis-risk]", "[]"),
        ("[TREAT]", "[]"),
        ("    until: 2026-12-31\n", ""),
        ("2026-12-31", "2029-12-31"),
        ("2026-12-31", "never"),
        (DIGEST, TOKEN),
        (DIGEST, DIGEST[:-1]),
        ("    site: north", "    scopes: [system/AuditEvent.rs]"),
        ("version: 1", "version: 2"),
        ("    site: north", f"  other:\n    sha256: {DIGEST}\n    role: integration-engine\n"
         "    purposes: [TREAT]\n    capabilities: [sepsis-risk]"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_right_refuses_to_start(tmp_path: Path, old: str, new: str) -> None:
    load(tmp_path)

    with pytest.raises(ConfigInvalid) as refused:
        load(tmp_path, FILE.replace(old, new))
    assert TOKEN not in str(refused.value)
    with pytest.raises(ConfigInvalid):
        load_static_tokens(tmp_path / "none", roles=ROLES, capabilities=CAPABILITIES,
                           clock=lambda: NOW)  # fmt: skip


def asked(folder: Path, work: Callable[[InProcess], Any], **settings: Any) -> Any:
    """What happens at a gateway of today, whose vendors are away: a published score answers."""

    async def story() -> Any:
        async with gateway(folder / "data", {}, **settings) as served:
            return await work(served)

    return run(story())


def configured(folder: Path) -> Path:
    path = folder / "static_tokens.yaml"
    ends = datetime.now(UTC).replace(month=12, day=31).date().isoformat()
    path.write_text(FILE.replace("2026-12-31", ends))
    return path


def test_an_engine_asks_with_it_and_is_on_the_record_as_such(tmp_path: Path) -> None:
    async def story(served: InProcess) -> Any:
        def post(question: Any) -> Any:
            return served.client.post("/v1/inferences", json=question, headers=HEADER)

        answer = await post(sepsis())
        assert answer.status_code == 200
        assert (await post(chest())).status_code == 403
        assert (await post(sepsis(purpose="BTG"))).status_code == 403
        assert (await post(sepsis(context={"site": "south"}))).status_code == 403
        for path in (f"/v1/audit/records?inference={answer.json()['id']}", "/fhir/AuditEvent",
                     "/v1/audit/export", "/v1/conflicts/none"):  # fmt: skip
            assert (await served.client.get(path, headers=HEADER)).status_code in (403, 404)
        called = await served.client.post("/cds-services/sepsis-risk", json={}, headers=HEADER)
        assert called.status_code == 400  # it is known, and this is no call
        path = f"/v1/audit/records?inference={answer.json()['id']}"
        return (await served.client.get(path, headers=bearer("auditor"))).json()["records"]

    records = asked(tmp_path, story, static_tokens=configured(tmp_path))
    told = {(one["actor"], one["client"], one["body"].get("token")) for one in records
            if one["actor"]}  # fmt: skip
    assert told == {("Device/lab-engine", "lab-engine", "static:lab-engine")}
    held = b"".join(one.read_bytes() for one in (tmp_path / "data").rglob("*") if one.is_file())
    assert TOKEN.encode() not in held


def test_without_the_setting_an_engine_is_nobody(tmp_path: Path) -> None:
    configured(tmp_path)

    async def story(served: InProcess) -> int:
        answer = await served.client.post("/v1/inferences", json=sepsis(), headers=HEADER)
        return int(answer.status_code)

    assert asked(tmp_path, story) == 401
