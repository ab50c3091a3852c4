"""``cds_clients.yaml``: which EHRs may call the CDS Hooks services, and as whom.

An EHR signs a JWT of its own for every call (it is its own issuer). The role, the site and the
purposes are what this file says, never what the token says; the person is ``context.userId``.

Source: CDS Hooks 2.0.1, Trusting CDS Clients. Not settled there and chosen here: a token lives at
most ``LIFETIME_MAX_S``; for feedback the service's URL counts as audience as well as its own; where
the state store is away nobody can tell whether a token was used before, and it is refused (503).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from careweir.access import Actor
from careweir.access.source import parse, read_source
from careweir.api.auth import LEEWAY_S
from careweir.api.claims import seconds
from careweir.api.jwks import FetchedKeys, FileKeys, Keys
from careweir.api.jws import bearer, check_signature, issuer_said, opened
from careweir.api.static_tokens import is_static
from careweir.errors import AccessDenied, ConfigInvalid, NotAuthenticated, PolicyInvalid
from careweir.fanout import SYSTEM_WIRE, VendorPool, Wire
from careweir.source.place import Place
from careweir.state import State

FILE: Final = "cds_clients.yaml"
LIFETIME_MAX_S: Final = 3600
USED: Final = "cds-token"  # the kind of the records that say which tokens were used
_STRICT = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class ClientFile(BaseModel):
    """One EHR."""

    model_config = _STRICT

    issuer: str = Field(min_length=1, max_length=255)
    jwks_file: _Name | None = None  # beside this file
    jwks_url: str | None = None  # a ``jku`` header must equal it
    role: _Name
    purposes: tuple[_Name, ...] = ("TREAT",)
    site: _Name | None = None
    tenants: tuple[str, ...] | None = None  # without it: whatever tenant the token names
    source: _Name | None = None  # of sources.yaml: fetched from when prefetch is missing

    @model_validator(mode="after")
    def _keys_once(self) -> ClientFile:
        if (self.jwks_file is None) == (self.jwks_url is None):
            raise ValueError("give either jwks_file or jwks_url")
        if self.jwks_url is not None and Place.read(self.jwks_url) is None:
            raise ValueError("jwks_url must be https (or http on 127.0.0.1)")
        return self


class ClientsFile(BaseModel):
    """The whole file."""

    model_config = _STRICT

    version: Literal["1"]
    clients: dict[_Name, ClientFile]


@dataclass(frozen=True, slots=True)
class Client:
    """One configured EHR and where its keys are."""

    name: str
    file: ClientFile
    keys: Keys


class CdsClients:
    """Verifies the JWT of an EHR; raises NotAuthenticated, AccessDenied or StateUnavailable.

    ``state`` is where the replicas tell each other which tokens were used.
    """

    def __init__(
        self,
        clients: Mapping[str, Client],
        *,
        state: State,
        clock: Callable[[], datetime],
    ) -> None:
        self._by_issuer = {client.file.issuer: client for client in clients.values()}
        self._clock = clock
        self._clients = tuple(clients.values())
        self._state = state

    def knows(self, authorization: str | None) -> bool:
        """Whether the token says that it is from a configured EHR; nothing is believed yet."""
        if is_static(authorization):
            return False
        return issuer_said(bearer(authorization)) in self._by_issuer

    async def verified(self, authorization: str | None, *, audiences: Collection[str]) -> Client:
        """The EHR behind one call. ``audiences`` are the URLs that its token may be for."""
        text = bearer(authorization)
        client = self._by_issuer.get(issuer_said(text) or "")
        if client is None:
            raise NotAuthenticated("the token's issuer is not known here")
        token = opened(text, jku=client.file.jwks_url)
        if token.header.get("typ") != "JWT":
            raise NotAuthenticated("the token's header needs typ JWT")
        keys = await client.keys.current(token.kid)
        if keys is None:
            raise NotAuthenticated("the token's signature does not hold")
        check_signature(token, keys)
        until = self._check(client, token.claims, audiences)
        await self._once(client.file, str(token.claims["jti"]), until)
        return client

    def _check(self, client: Client, claims: Mapping[str, Any], audiences: Collection[str]) -> int:
        """What the claims must say; returns the second until which the token would be taken."""
        audience = claims.get("aud")
        named = audience if isinstance(audience, list) else [audience]
        if not any(one in audiences for one in named if isinstance(one, str)):
            raise NotAuthenticated("the token is for another address")
        now = int(self._clock().timestamp())
        issued, expires = seconds(claims, "iat"), seconds(claims, "exp")
        if issued is None or expires is None:
            raise NotAuthenticated("the token needs iat and exp, in seconds")
        jti = claims.get("jti")
        if not isinstance(jti, str) or not jti:
            raise NotAuthenticated("the token needs a jti")
        if expires <= now - LEEWAY_S or issued > now + LEEWAY_S:
            raise NotAuthenticated("the token has expired or is not valid yet")
        if expires - issued > LIFETIME_MAX_S:
            raise NotAuthenticated("the token lives longer than is accepted here")
        tenants = client.file.tenants
        if tenants is not None and claims.get("tenant") not in tenants:
            raise AccessDenied("the tenant is not allowed", because=("cds client tenant",))
        return expires + LEEWAY_S

    async def _once(self, file: ClientFile, jti: str, until: int) -> None:
        """INVARIANT: a token is accepted once, by whichever replica, for as long as it is valid."""
        parts = (
            hashlib.sha256(part.encode(errors="replace")).hexdigest() for part in (file.issuer, jti)
        )
        put = await self._state.put_new(
            USED, "-".join(parts), b"", site=file.site,
            expires_at=datetime.fromtimestamp(until + 1, UTC),
        )  # fmt: skip
        if not put.stored:
            raise NotAuthenticated("the token was used before")

    async def close(self) -> None:
        """Close the connections to where keys are fetched."""
        for client in self._clients:
            await client.keys.close()


def actor_of(client: Client, user: str) -> Actor:
    """Who asks: the person of the context, at the EHR, with the rights of the file."""
    return Actor(
        subject=user,
        client=client.name,
        role=client.file.role,
        site=client.file.site,
        purposes=frozenset(client.file.purposes),
        scopes=frozenset({"capability/*.infer"}),
    )


def load_clients(
    folder: Path,
    *,
    roles: Collection[str],
    state: State,
    clock: Callable[[], datetime],
    wire: Wire = SYSTEM_WIRE,
) -> CdsClients:
    """Read ``cds_clients.yaml`` of a folder; no file, no EHRs. Raises ConfigInvalid."""
    path = folder / FILE
    if not path.is_file():
        return CdsClients({}, state=state, clock=clock)
    try:
        file = parse(read_source(FILE, path.read_bytes()), ClientsFile)
    except PolicyInvalid as error:
        raise ConfigInvalid(str(error)) from None
    clients: dict[str, Client] = {}
    for name, one in file.clients.items():
        if one.role not in roles:
            raise ConfigInvalid(f"{FILE}: {name}: no such role")
        clients[name] = Client(name, one, _keys(folder, one, wire))
    if len({one.issuer for one in file.clients.values()}) < len(clients):
        raise ConfigInvalid(f"{FILE}: two clients have the same issuer")
    return CdsClients(clients, state=state, clock=clock)


def _keys(folder: Path, client: ClientFile, wire: Wire) -> Keys:
    if client.jwks_file is not None:
        return FileKeys(folder / client.jwks_file, setting=FILE)
    assert client.jwks_url is not None
    return FetchedKeys(VendorPool(headers={}, wire=wire), client.jwks_url)
