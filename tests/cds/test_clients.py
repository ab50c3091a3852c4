"""An EHR is known by a JWT that it signs itself, for this very address, once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from careweir.api.cds.clients import Client, actor_of, load_clients
from careweir.errors import AccessDenied, ConfigInvalid, NotAuthenticated, StateUnavailable
from careweir.state import State, StateKeys, open_state
from careweir.state.sqlite import SqliteBackend

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
KEY = ECKey.generate_key("P-384", parameters={"kid": "k1"}, private=True)
OTHER = ECKey.generate_key("P-384", parameters={"kid": "k1"}, private=True)
ISSUER = "https://ehr.example.org"
CALL = "https://gate.example.org/cds-services/sepsis-risk"
FILE = """
version: 1
clients:
  main-ehr:
    issuer: https://ehr.example.org
    jwks_file: main-ehr.jwks
    role: hospitalist
    site: north
    tenants: [ward-7]
"""


def folder(path: Path, text: str = FILE) -> Path:
    (path / "cds_clients.yaml").write_text(text)
    (path / "main-ehr.jwks").write_bytes(orjson.dumps({"keys": [KEY.as_dict(private=False)]}))
    return path


STATE_KEYS = StateKeys.of({1: b"s" * 32})
CLOSED = State(SqliteBackend(Path("/nowhere")), STATE_KEYS, clock=lambda: NOW)


@dataclass
class Door:
    """The EHRs of a folder. Each check is by a replica of its own: only the state is shared."""

    path: Path
    database_url: str | None = None
    now: datetime = NOW

    async def check(self, authorization: str, *audiences: str) -> Client:
        state = await open_state(data_dir=self.path, database_url=self.database_url,
                                 keys=STATE_KEYS, clock=lambda: self.now)  # fmt: skip
        try:
            clients = load_clients(self.path, roles={"hospitalist"}, state=state,
                                   clock=lambda: self.now)  # fmt: skip
            return await clients.verified(authorization, audiences=audiences or {CALL})
        finally:
            await state.close()


@pytest.fixture
def clients(tmp_path: Path) -> Door:
    return Door(folder(tmp_path))


def token(*, key: Any = KEY, header: Any = None, alg: str = "ES384", **changes: Any) -> str:
    claims = {"iss": ISSUER, "aud": CALL, "iat": SECONDS, "exp": SECONDS + 300, "jti": "j1",
              "tenant": "ward-7"} | changes  # fmt: skip
    head = {"alg": alg, "kid": "k1", "typ": "JWT"} | (header or {})
    return "Bearer " + jwt.encode(
        {k: v for k, v in head.items() if v is not None},
        {k: v for k, v in claims.items() if v is not None},
        key, algorithms=[alg],
    )  # fmt: skip


def verified(clients: Door, authorization: str, *audiences: str) -> Client:
    return asyncio.run(clients.check(authorization, *audiences))


def test_an_ehr_asks_as_the_person_of_the_context_with_the_rights_of_the_file(
    clients: Door,
) -> None:
    actor = actor_of(verified(clients, token()), "Practitioner/u1")

    assert (actor.subject, actor.client) == ("Practitioner/u1", "main-ehr")
    assert (actor.role, actor.site, actor.purposes) == ("hospitalist", "north", {"TREAT"})
    assert actor.break_glass is None


def test_an_audience_may_be_a_list_that_holds_this_address(clients: Door) -> None:
    assert verified(clients, token(aud=["https://other.example", CALL])).name == "main-ehr"


@pytest.mark.parametrize(
    "make",
    [
        lambda: token(key=OTHER),
        lambda: token(aud="https://gate.example.org/cds-services"),
        lambda: token(aud="https://gate.example.org"),
        lambda: token(aud=CALL + "/"),
        lambda: token(aud=None),
        lambda: token(iss="https://evil.example"),
        lambda: token(exp=SECONDS - 61),
        lambda: token(iat=SECONDS + 61),
        lambda: token(exp=SECONDS + 7200),
        lambda: token(exp=None),
        lambda: token(iat=None),
        lambda: token(exp="tomorrow"),
        lambda: token(exp=True),
        lambda: token(jti=None),
        lambda: token(jti=""),
        lambda: token(header={"kid": None}),
        lambda: token(header={"typ": "at+jwt"}),
        lambda: token(header={"jku": "https://evil.example/keys"}),
        lambda: token(key=OctKey.import_key("0" * 64), alg="HS256"),
        lambda: token().rsplit(".", 1)[0] + ".",
        lambda: "Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2Voci5leGFtcGxlLm9yZyJ9.",
        lambda: "Bearer a.b.c",
        lambda: "Basic dXNlcjpwYXNz",
    ],
)
def test_a_token_that_does_not_hold_is_refused(clients: Door, make: Callable[[], str]) -> None:
    with pytest.raises(NotAuthenticated):
        verified(clients, make())
    assert verified(clients, token()).name == "main-ehr"


def test_a_token_is_accepted_once(clients: Door) -> None:
    assert verified(clients, token(jti="a")).name == "main-ehr"
    assert verified(clients, token(jti="b")).name == "main-ehr"

    with pytest.raises(NotAuthenticated, match="used before"):
        verified(clients, token(jti="a"))


def test_of_one_token_at_two_replicas_at_once_one_use_holds(clients: Door) -> None:
    """What the state promises on either database, ``tests/state`` holds it to."""

    async def both(first: str, second: str) -> list[bool]:
        uses = (clients.check(first), clients.check(second))
        found = await asyncio.gather(*uses, return_exceptions=True)
        assert all(isinstance(one, (Client, NotAuthenticated)) for one in found)
        return [isinstance(one, Client) for one in found]

    async def story() -> None:
        await clients.check(token(jti="0"))  # the schema is there
        assert sorted(await both(token(jti="a"), token(jti="a"))) == [False, True]
        assert await both(token(jti="b"), token(jti="c")) == [True, True]

    asyncio.run(story())


def test_a_use_is_remembered_for_as_long_as_the_token_is_taken(clients: Door) -> None:
    """The last second of the leeway counts too: a replay then is still a replay."""
    assert verified(clients, token(jti="a")).name == "main-ehr"

    clients.now = datetime.fromtimestamp(SECONDS + 300 + 59, UTC)
    with pytest.raises(NotAuthenticated, match="used before"):
        verified(clients, token(jti="a"))
    assert verified(clients, token(jti="b")).name == "main-ehr"


def test_while_nobody_can_tell_what_was_used_no_token_is_taken(tmp_path: Path) -> None:
    away = Door(folder(tmp_path), "postgresql://127.0.0.1:1/none")

    with pytest.raises(StateUnavailable):
        verified(away, token())
    assert verified(Door(tmp_path), token()).name == "main-ehr"


def test_a_tenant_that_is_not_listed_is_known_and_not_allowed(clients: Door) -> None:
    with pytest.raises(AccessDenied):
        verified(clients, token(tenant="ward-8"))


def test_without_a_file_no_ehr_is_known(tmp_path: Path) -> None:
    clients = load_clients(tmp_path, roles=(), state=CLOSED, clock=lambda: NOW)

    assert not clients.knows(token())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("role: hospitalist", "role: emperor"),
        ("jwks_file: main-ehr.jwks", "jwks_file: missing.jwks"),
        ("jwks_file: main-ehr.jwks", ""),
        ("jwks_file: main-ehr.jwks", "jwks_url: http://ehr.example.org/keys"),
        ("    site: north", "    site: north\n    secret: x"),
        ("version: 1", "version: 2"),
    ],
)
def test_a_file_that_cannot_be_used_refuses_to_start(tmp_path: Path, old: str, new: str) -> None:
    def load(text: str) -> None:
        load_clients(folder(tmp_path, text), roles={"hospitalist"}, state=CLOSED, clock=lambda: NOW)

    load(FILE)
    with pytest.raises(ConfigInvalid):
        load(FILE.replace(old, new))
