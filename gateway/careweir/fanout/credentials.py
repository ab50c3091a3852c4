"""OAuth 2.0 client credentials for a vendor: a token is fetched, kept for its life, shown.

Source: RFC 6749, 4.4 (client credentials grant) and 2.3.1 (HTTP Basic, form-encoded parts).
A token request carries nothing about any patient, so it is no disclosure.
"""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from careweir.fanout.sigv4 import SigV4
from careweir.fanout.transport import SYSTEM_WIRE, Transport, VendorPool
from careweir.fanout.wire import Wire
from careweir_kit.adapter import VendorAnswer, VendorRequest
from careweir_kit.errors import VendorError, VendorRefused, VendorUnavailable
from careweir_kit.strict_json import JsonRefused, decode
from careweir_kit.tool import Tool

TOKEN_BYTES_MAX: Final = 65_536
LIFE_S: Final = 300  # where a server does not say how long its token lives
LIFE_MAX_S: Final = 3600
REFRESH_AT: Final = 0.8
_BEARER: Final = re.compile(r"[A-Za-z0-9._~+/-]{1,16384}=*")


def vendor_pool(
    tool: Tool, secrets: Mapping[str, str], *, url: str | None = None, wire: Wire = SYSTEM_WIRE
) -> VendorPool:
    """A client for one tool that shows the tool's credentials; ``secrets`` by their names.

    ``url`` stands in for the tool's default endpoint.
    """
    auth = tool.auth
    shown = {header: secrets[name] for header, name in auth.also.items()}
    credentials: ClientCredentials | None = None
    if auth.kind == "bearer":
        shown[auth.header] = f"Bearer {secrets[auth.secret or '']}"
    elif auth.kind == "header":
        shown[auth.header] = f"{auth.prefix}{secrets[auth.secret or '']}"
    elif auth.kind == "oauth2":
        credentials = ClientCredentials(
            VendorPool(headers={}, wire=wire),
            token_url=_token_url(tool, url),
            client_id=auth.client_id or "",
            secret=secrets[auth.secret or ""],
            scope=auth.scope,
            monotonic=time.monotonic,
        )
    signer: SigV4 | None = None
    if auth.kind == "aws-sigv4":
        signer = SigV4(
            secrets[auth.secret or ""], service=auth.service or "", region=auth.region or ""
        )
    return VendorPool(
        headers=shown,
        connections_max=tool.limits.concurrent_max,
        credentials=credentials,
        wire=wire,
        signer=signer,
    )


def _token_url(tool: Tool, url: str | None) -> str:
    stated = tool.auth.token_url or ""
    base = url or tool.endpoints["default"][0]
    return stated if "://" in stated else f"{base.rstrip('/')}/{stated.lstrip('/')}"


class ClientCredentials:
    """Tokens of one client at one token endpoint; one request at a time, however many wait."""

    def __init__(
        self,
        transport: Transport,
        *,
        token_url: str,
        client_id: str,
        secret: str,
        scope: str | None,
        monotonic: Callable[[], float],
    ) -> None:
        pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
        self._basic = f"Basic {base64.b64encode(pair.encode()).decode()}"
        self._transport = transport
        self._token_url = token_url
        self._scope = scope
        self._monotonic = monotonic
        self._held: str | None = None
        self._until = 0.0
        self._lock = asyncio.Lock()

    async def headers(self) -> Mapping[str, str]:
        """The header with a token that has a fifth of its life left; raises VendorError."""
        async with self._lock:
            if self._held is None or self._monotonic() >= self._until:
                self._held = await self._fetch()
            return {"Authorization": f"Bearer {self._held}"}

    def refused(self) -> None:
        """Forget the token; the next call fetches another."""
        self._held = None

    async def close(self) -> None:
        """Close the connections to the token endpoint."""
        await self._transport.close()

    async def _fetch(self) -> str:
        self._held, asked_at = None, self._monotonic()
        body = _object(await self._ask())
        token, kind, life = (body.get(k) for k in ("access_token", "token_type", "expires_in"))
        if not isinstance(token, str) or _BEARER.fullmatch(token) is None:
            raise VendorUnavailable("the token endpoint gave no token")
        if kind is not None and (not isinstance(kind, str) or kind.lower() != "bearer"):
            raise VendorUnavailable("the token endpoint gave a token of another kind than bearer")
        known = isinstance(life, int) and not isinstance(life, bool) and life > 0
        seconds = min(life, LIFE_MAX_S) if known and isinstance(life, int) else LIFE_S
        self._until = asked_at + REFRESH_AT * seconds
        return token

    async def _ask(self) -> VendorAnswer:
        form = {"grant_type": "client_credentials"}
        if self._scope:
            form["scope"] = self._scope
        place = urlsplit(self._token_url)
        request = VendorRequest(
            "POST",
            place.path,
            urlencode(form).encode(),
            {
                "authorization": self._basic,
                "content-type": "application/x-www-form-urlencoded",
                "accept": "application/json",
            },
        )
        try:
            return await self._transport.send(
                f"{place.scheme}://{place.netloc}", request, bytes_max=TOKEN_BYTES_MAX
            )
        except VendorError:
            raise VendorUnavailable("the token endpoint did not answer") from None


def _object(answer: VendorAnswer) -> dict[str, Any]:
    """The token answer. 400 and 401 are our credentials' fault, anything else the server's."""
    if answer.status in (400, 401, 403):
        raise VendorRefused("the token endpoint does not accept our credentials")
    if answer.status != 200:
        raise VendorUnavailable("the token endpoint did not give a token")
    try:
        body = decode(answer.body)
    except JsonRefused:
        raise VendorUnavailable("the token endpoint answered with unreadable JSON") from None
    if not isinstance(body, dict):
        raise VendorUnavailable("the token endpoint answered with something else than an object")
    return body
