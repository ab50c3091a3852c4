"""Bearer tokens that never change, for engines that can send nothing else. Off unless configured.

``CAREWEIR_STATIC_TOKENS`` names a file that lists them by their SHA-256, so that the file opens
nothing. Such a token asks questions of named capabilities and does nothing else: it never reads
the record, never breaks the glass, and ends on a day at most ``DAYS_MAX`` ahead. Everything done
with it stands on the record with ``static:`` and its name in the place of a token's ``jti``.

Not from a standard: what SMART Backend Services should replace.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, time, timedelta
from datetime import date as Date
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from careweir.access import Actor
from careweir.access.source import parse, read_source
from careweir.errors import ConfigInvalid, NotAuthenticated, PolicyInvalid

PREFIX: Final = "careweir-static-"  # told from a JWT, and found by who looks for leaked secrets
DAYS_MAX: Final = 366
_BEARER: Final = re.compile(rf"(?i:bearer) ({PREFIX}[A-Za-z0-9_-]{{43,128}})")  # 256 bits at least
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class _Token(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    role: _Name
    purposes: tuple[_Name, ...] = Field(min_length=1)
    capabilities: tuple[_Name, ...] = Field(min_length=1)
    until: Date  # the last day, in UTC
    site: _Name | None = None


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    version: Literal["1"]
    tokens: dict[_Name, _Token]


class StaticTokens:
    """Who holds which token. Without any, each is refused like any other that does not hold."""

    def __init__(self, tokens: Mapping[str, _Token], *, clock: Callable[[], datetime]) -> None:
        self._by_digest = {token.sha256: (name, token) for name, token in tokens.items()}
        self._clock = clock

    def actor(self, authorization: str | None) -> Actor | None:
        """Whoever holds the token; None where it is none of these by its form.

        Raises NotAuthenticated where it is one that nobody holds, or no longer.
        """
        if not is_static(authorization):
            return None
        text = _BEARER.fullmatch(authorization or "")
        found = self._by_digest.get(_digest(text[1])) if text else None
        if found is None:
            raise NotAuthenticated("the token is not known here")
        name, token = found
        if self._clock() >= _end(token):
            raise NotAuthenticated("the token has expired")
        return Actor(
            subject=f"Device/{name}",
            client=name,
            role=token.role,
            site=token.site,
            purposes=frozenset(token.purposes),
            scopes=frozenset(f"capability/{one}.infer" for one in token.capabilities),
            jti=f"static:{name}",
        )

    def __len__(self) -> int:
        return len(self._by_digest)


def is_static(authorization: str | None) -> bool:
    """Whether a header's token has the form of a static one; nothing is believed yet."""
    return authorization is not None and authorization.partition(" ")[2].startswith(PREFIX)


def load_static_tokens(
    path: Path | None,
    *,
    roles: Collection[str],
    capabilities: Collection[str],
    clock: Callable[[], datetime],
) -> StaticTokens:
    """Read the file that the setting names; no setting, no such tokens. Raises ConfigInvalid."""
    if path is None:
        return StaticTokens({}, clock=clock)
    try:
        file = parse(read_source(path.name, path.read_bytes()), _File)
    except PolicyInvalid as error:
        raise ConfigInvalid(str(error)) from None
    except OSError:
        raise ConfigInvalid("CAREWEIR_STATIC_TOKENS cannot be read") from None
    for name, token in file.tokens.items():
        if token.role not in roles or not set(token.capabilities) <= set(capabilities):
            raise ConfigInvalid(f"{path.name}: {name}: no such role or capability")
        if _end(token) - clock() > timedelta(days=DAYS_MAX):
            raise ConfigInvalid(f"{path.name}: {name}: until is more than {DAYS_MAX} days ahead")
    found = StaticTokens(file.tokens, clock=clock)
    if len(found) < len(file.tokens):
        raise ConfigInvalid(f"{path.name}: two names have the same token")
    return found


def _end(token: _Token) -> datetime:
    return datetime.combine(token.until, time(), UTC) + timedelta(days=1)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
