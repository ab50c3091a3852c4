"""The one place that opens a socket to a vendor.

httpx is the interface and aiohttp the engine (PERFORMANCE: httpcore walks its pool on every
request). What the libraries would do by default and this module does not: follow redirects, take
proxies from the environment, keep a vendor's cookies, unpack an encoded body, read without limit,
send a request again by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Protocol

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from careweir_kit.adapter import VendorAnswer, VendorRequest
from careweir_kit.errors import VendorProtocolBroken, VendorUnavailable

CONNECT_S = 2.0


class NeverSent(VendorUnavailable):
    """The connection could not be made: no byte of the request has left."""


class EndpointRefused(VendorUnavailable):
    """We would not talk to this endpoint: no byte left, and trying again cannot help."""


class ConnectionLost(VendorUnavailable):
    """The connection broke after the request may have been taken: its fate is not known."""


class Transport(Protocol):
    """Send one request to one endpoint and read the whole answer within a byte cap."""

    async def send(self, url: str, request: VendorRequest, *, bytes_max: int) -> VendorAnswer:
        """Raises VendorUnavailable (NeverSent when nothing left) or VendorProtocolBroken."""
        ...

    async def close(self) -> None:
        """Close the connections."""


class Credentials(Protocol):
    """Headers that have to be fetched and change: see ``credentials.py``."""

    async def headers(self) -> Mapping[str, str]:
        """Raises VendorUnavailable or VendorRefused."""
        ...

    def refused(self) -> None:
        """The vendor did not accept what was shown: do not show it again."""

    async def close(self) -> None:
        """Close what was opened to fetch them."""


class VendorPool:
    """One HTTP client for one vendor's tool, for the life of the process."""

    def __init__(
        self,
        *,
        headers: Mapping[str, str],
        connections_max: int = 100,
        transport: httpx.AsyncBaseTransport | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        self._credentials = credentials
        self._client = httpx.AsyncClient(
            transport=transport
            or AiohttpTransport(trust_env=False, client=partial(_session, connections_max)),
            headers={"Accept-Encoding": "identity", "User-Agent": "careweir", **headers},
            timeout=httpx.Timeout(
                None, connect=CONNECT_S
            ),  # the attempt's deadline bounds the rest
            follow_redirects=False,
            trust_env=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # keeps none
        )

    async def send(self, url: str, request: VendorRequest, *, bytes_max: int) -> VendorAnswer:
        """See Transport. The deadline is the caller's: cancel this to end the call."""
        target = f"{url.rstrip('/')}/{request.path.lstrip('/')}"
        headers = dict(request.headers)
        if self._credentials is not None:
            headers |= await self._credentials.headers()
        try:
            async with self._client.stream(
                request.method, target, content=request.body, headers=headers
            ) as response:
                if response.status_code == 401 and self._credentials is not None:
                    self._credentials.refused()
                return await _read(response, bytes_max)
        except httpx.HTTPError as error:
            raise _unavailable(error) from None
        except (aiohttp.ClientError, OSError):
            raise ConnectionLost("the connection was lost") from None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
        if self._credentials is not None:
            await self._credentials.close()


async def _read(response: httpx.Response, bytes_max: int) -> VendorAnswer:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise VendorProtocolBroken("an encoded body, which was not asked for")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > bytes_max:
            raise VendorProtocolBroken("the answer is larger than this tool may send")
    headers = {name.lower(): value for name, value in response.headers.items()}
    return VendorAnswer(status=response.status_code, headers=headers, body=bytes(body))


def _unavailable(error: httpx.HTTPError) -> VendorUnavailable:
    """Tell a request that never left from one whose fate is not known.

    httpx-aiohttp reports both as ConnectTimeout, so the cause decides.
    """
    if isinstance(error.__cause__, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return NeverSent("no connection could be made")
    return ConnectionLost("the connection was lost")


def _session(connections_max: int) -> aiohttp.ClientSession:
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections_max),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
    )
    # INVARIANT: no request is repeated without an intent of its own. aiohttp would silently send
    # a PUT or GET again on a stale connection, and has no public switch for it.
    session._retry_connection = False
    return session
