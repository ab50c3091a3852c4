"""The one place that opens a socket to a vendor.

httpx is the interface and aiohttp the engine (PERFORMANCE: httpcore walks its pool on every
request). What the libraries would do by default and this module does not: follow redirects, take
proxies from the environment, keep a vendor's cookies, unpack an encoded body, read without limit,
send a request again by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from io import BytesIO
from ipaddress import ip_address
from typing import Final, Protocol
from urllib.parse import urlsplit

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from careweir.fanout.wire import Wire, checking_sockets, may_connect, refused_address
from careweir_kit.adapter import VendorAnswer, VendorRequest
from careweir_kit.errors import VendorProtocolBroken, VendorUnavailable

CONNECT_S = 2.0
SYSTEM_WIRE: Final = Wire()


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
        wire: Wire = SYSTEM_WIRE,
        signer: httpx.Auth | None = None,
    ) -> None:
        self._wire = wire
        self._named: frozenset[str] = frozenset()
        self._urls: set[str] = set()
        self._credentials = credentials
        self._client = httpx.AsyncClient(
            transport=transport
            or AiohttpTransport(trust_env=False, client=partial(self._session, connections_max)),
            headers={"Accept-Encoding": "identity", "User-Agent": "careweir", **headers},
            auth=signer,
            timeout=httpx.Timeout(
                None, connect=CONNECT_S
            ),  # the attempt's deadline bounds the rest
            follow_redirects=False,
            trust_env=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # keeps none
        )

    async def send(self, url: str, request: VendorRequest, *, bytes_max: int) -> VendorAnswer:
        """See Transport. The deadline is the caller's: cancel this to end the call."""
        if url not in self._urls:
            self._learn(url)
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

    def _learn(self, url: str) -> None:
        """An address that stands in a tool file is configured by standing there."""
        self._urls.add(url)
        with suppress(ValueError):
            self._named |= {str(ip_address(urlsplit(url).hostname or ""))}

    def _session(self, connections_max: int) -> aiohttp.ClientSession:
        wire = self._wire
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=connections_max,
                ssl=wire.tls or True,
                socket_factory=checking_sockets(
                    lambda at: may_connect(at, named=self._named, networks=wire.networks)
                ),
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
        )
        # INVARIANT: no request is repeated without an intent of its own. aiohttp would silently
        # send a PUT or GET again on a stale connection, and has no public switch for it.
        session._retry_connection = False
        return session

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
        if self._credentials is not None:
            await self._credentials.close()


async def _read(response: httpx.Response, bytes_max: int) -> VendorAnswer:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise VendorProtocolBroken("an encoded body, which was not asked for")
    body = BytesIO()  # gives its bytes away without a second copy
    async for chunk in response.aiter_raw():
        if body.tell() + len(chunk) > bytes_max:
            raise VendorProtocolBroken("the answer is larger than this tool may send")
        body.write(chunk)
    headers = {name.lower(): value for name, value in response.headers.items()}
    return VendorAnswer(status=response.status_code, headers=headers, body=body.getvalue())


def _unavailable(error: httpx.HTTPError) -> VendorUnavailable:
    """Tell a request that never left from one whose fate is not known.

    httpx-aiohttp reports both as ConnectTimeout, so the cause decides.
    """
    cause = error.__cause__
    if isinstance(cause, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return EndpointRefused("its certificate or its TLS does not hold")
    if isinstance(cause, aiohttp.ClientConnectorError) and refused_address(cause.os_error):
        return EndpointRefused("its name leads to an address that is not allowed")
    if isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return NeverSent("no connection could be made")
    return ConnectionLost("the connection was lost")
