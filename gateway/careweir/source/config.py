"""``sources.yaml``: the FHIR servers that a question may name. The file is optional."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from pydantic import BaseModel, ConfigDict, Field, model_validator

from careweir.access.source import parse, read_source
from careweir.errors import ConfigInvalid, PolicyInvalid
from careweir.fanout import SYSTEM_WIRE, Transport, VendorPool, Wire
from careweir.source.client import SourceClient
from careweir.source.compile import Dialect
from careweir.source.errors import SourceUnknown
from careweir.source.place import Place
from careweir.source.tokens import BackendServices, FixedToken, Key, Tokens
from careweir_kit.strict_json import JsonRefused, decode

FILE = "sources.yaml"
_STRICT = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class SourceAuth(BaseModel):
    """How the gateway shows who it is; ``secret`` names a secret, it is never in the file.

    ``smart``: the secret is a private JWK (EC P-384 or RSA) with a ``kid``. ``bearer``: a token.
    """

    model_config = _STRICT

    kind: Literal["none", "bearer", "smart"]
    secret: _Name | None = None
    client_id: str | None = Field(default=None, min_length=1, max_length=255)
    token_url: str | None = None  # without it: from the server's smart-configuration

    @model_validator(mode="after")
    def _whole(self) -> SourceAuth:
        if (self.kind == "none") != (self.secret is None):
            raise ValueError("bearer and smart need a secret, none has no use for one")
        if (self.kind == "smart") != (self.client_id is not None):
            raise ValueError("smart needs a client_id, the others have no use for one")
        if self.token_url is not None and (
            self.kind != "smart" or Place.read(self.token_url) is None
        ):
            raise ValueError("token_url must be https, and is for smart only")
        return self


class SourceFile(BaseModel):
    """One server. The limits are for one pull, all of its searches together."""

    model_config = _STRICT

    base_url: str
    auth: SourceAuth
    sites: tuple[_Name, ...] | None = None  # without it: every site
    page_count: int = Field(default=200, ge=1, le=1000)  # resources a page
    pages_max: int = Field(default=100, ge=1, le=1000)
    resources_max: int = Field(default=5000, ge=1, le=50_000)
    bytes_max: int = Field(default=20_000_000, ge=1000, le=25_000_000)
    lacks: frozenset[Literal["combo-code", "missing"]] = frozenset()
    judge: Literal["elements", "whole"] = "elements"

    @model_validator(mode="after")
    def _reachable(self) -> SourceFile:
        base = Place.read(self.base_url)
        if base is None or "?" in self.base_url:
            raise ValueError("base_url must be https (or http on 127.0.0.1), without a query")
        if self.auth.kind == "none" and not base.loopback:
            raise ValueError("only a server on 127.0.0.1 may be asked without a token")
        return self


class SourcesFile(BaseModel):
    """The whole file."""

    model_config = _STRICT

    version: Literal["1"]
    sources: dict[_Name, SourceFile]


@dataclass(frozen=True, slots=True)
class Source:
    """A configured FHIR server, ready to be asked."""

    name: str
    file: SourceFile
    client: SourceClient

    @property
    def dialect(self) -> Dialect:
        """What it can do, and how much a page may hold."""
        return Dialect(
            count=self.file.page_count,
            lacks=frozenset(self.file.lacks),
            whole=self.file.judge == "whole",
        )

    async def close(self) -> None:
        """Close its connections."""
        await self.client.transport.close()


def load_sources(
    folder: Path,
    *,
    secret: Callable[[str], str | None],
    clock: Callable[[], datetime],
    monotonic: Callable[[], float] = time.monotonic,
    wire: Wire = SYSTEM_WIRE,
) -> dict[str, Source]:
    """Read ``sources.yaml`` of a folder; no file, no sources. Raises ConfigInvalid.

    Args:
        secret: name of a secret to its value, or None when there is none.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        file = parse(read_source(FILE, path.read_bytes()), SourcesFile)
    except PolicyInvalid as error:
        raise ConfigInvalid(str(error)) from None
    return {
        name: _source(name, one, secret, clock, monotonic, wire)
        for name, one in file.sources.items()
    }


def source_of(sources: Mapping[str, Source], name: str, *, site: str | None) -> Source:
    """The source that a question names; raises SourceUnknown, the same for "not for this site"."""
    source = sources.get(name)
    if source is None or (source.file.sites is not None and site not in source.file.sites):
        raise SourceUnknown
    return source


def _source(
    name: str,
    file: SourceFile,
    secret: Callable[[str], str | None],
    clock: Callable[[], datetime],
    monotonic: Callable[[], float],
    wire: Wire,
) -> Source:
    base = Place.read(file.base_url)
    assert base is not None, "the model has checked it"
    pool = VendorPool(headers={}, wire=wire)
    tokens = _tokens(name, file.auth, base, pool, secret, clock, monotonic)
    return Source(name, file, SourceClient(base, pool, tokens))


def _tokens(
    name: str,
    auth: SourceAuth,
    base: Place,
    transport: Transport,
    secret: Callable[[str], str | None],
    clock: Callable[[], datetime],
    monotonic: Callable[[], float],
) -> Tokens:
    if auth.secret is None:
        return FixedToken()
    value = secret(auth.secret)
    if value is None:
        raise ConfigInvalid(f"{FILE}: {name}: its secret is not in the secrets folder")
    if auth.client_id is None:
        return FixedToken(value.strip())
    return BackendServices(
        base,
        transport,
        client_id=auth.client_id,
        key=_key(name, value),
        token_url=auth.token_url,
        clock=clock,
        monotonic=monotonic,
    )


def _key(name: str, value: str) -> Key:
    """The private key of a SMART client. The secret itself never gets into a message."""
    refusal = ConfigInvalid(
        f"{FILE}: {name}: its secret is not a private JWK (EC P-384 or RSA) with a kid"
    )
    try:
        data = decode(value.encode())
        kind = data.get("kty") if isinstance(data, dict) else None
        key: Key = ECKey.import_key(data) if kind == "EC" else RSAKey.import_key(data)
    except (JsonRefused, JoseError, ValueError, TypeError, KeyError):
        raise refusal from None
    if not key.is_private or not key.kid or data.get("crv", "P-384") != "P-384":
        raise refusal
    return key
