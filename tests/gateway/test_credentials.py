"""OAuth 2.0 client credentials and other headers, over real sockets to a simulated vendor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from careweir.fanout import ClientCredentials, VendorPool, vendor_pool
from careweir_kit.adapter import VendorAnswer, VendorRequest
from careweir_kit.errors import VendorError, VendorRefused, VendorUnavailable
from careweir_kit.simulation.model import SimRequest, SimResponse, json_response
from careweir_kit.simulation.server import SimulatorServer, Vendor
from careweir_kit.tool import Tool

SECRET = "s3cret/with:signs"
ASK = VendorRequest("POST", "v1/ask", b"{}", {"content-type": "application/json"})
OAUTH = {"kind": "oauth2", "client_id": "careweir", "secret": "S", "token_url": "oauth2/token",
         "scope": "read"}  # fmt: skip


def tool(url: str, auth: dict[str, Any]) -> Tool:
    return Tool.model_validate(
        {
            "tool": "t", "vendor": "v", "product": "p", "version": "1", "adapter": "rest",
            "capabilities": ["sepsis-risk"], "endpoints": {"default": url}, "auth": auth,
        }
    )  # fmt: skip


@asynccontextmanager
async def vendor(auth: dict[str, Any], seen: list[SimRequest]) -> AsyncIterator[str]:
    def answer(request: SimRequest) -> SimResponse:
        seen.append(request)
        return json_response(200, {})

    given = Vendor(answer, seed=1, bytes_cap=1000, bearer=SECRET, auth=auth)
    server, port = await SimulatorServer(given, latency_ms=0).listen(0)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.close()


async def statuses(pool: VendorPool, url: str, *, times: int = 1) -> list[int]:
    try:
        answers = [pool.send(url, ASK, bytes_max=1000) for _ in range(times)]
        return [answer.status for answer in await asyncio.gather(*answers)]
    finally:
        await pool.close()


@pytest.mark.parametrize(
    "auth",
    [
        {"kind": "bearer", "secret": "S"},
        {"kind": "header", "secret": "S", "header": "App-Key"},
        {"kind": "header", "secret": "S", "prefix": "Token "},
        OAUTH,
    ],
)
def test_the_right_secret_is_let_in_and_a_wrong_one_is_not(auth: dict[str, Any]) -> None:
    async def work(secret: str) -> list[int]:
        async with vendor(auth, []) as url:
            return await statuses(vendor_pool(tool(url, auth), {"S": secret}), url)

    assert asyncio.run(work(SECRET)) == [200]
    if auth["kind"] == "oauth2":
        with pytest.raises(VendorRefused):
            asyncio.run(work("wrong"))
    else:
        assert asyncio.run(work("wrong")) == [401]


def test_further_headers_are_shown_beside_the_first() -> None:
    seen: list[SimRequest] = []
    auth = {"kind": "header", "secret": "S", "header": "App-Key", "also": {"App-Id": "I"}}

    async def work() -> None:
        async with vendor(auth, seen) as url:
            await statuses(vendor_pool(tool(url, auth), {"S": SECRET, "I": "id-7"}), url)

    asyncio.run(work())

    assert (seen[0].headers["app-key"], seen[0].headers["app-id"]) == (SECRET, "id-7")


class Endpoint:
    """A token endpoint that counts; it answers with what it is given."""

    def __init__(self, body: bytes, status: int = 200) -> None:
        self.body, self.status, self.asked = body, status, 0

    async def send(self, url: str, request: VendorRequest, *, bytes_max: int) -> Any:
        self.asked += 1
        await asyncio.sleep(0)
        return replace(_ANSWER, status=self.status, body=self.body)

    async def close(self) -> None:
        """Nothing is open."""


_ANSWER = VendorAnswer(200, {"content-type": "application/json"}, b"")


def credentials(endpoint: Endpoint, now: list[float]) -> ClientCredentials:
    return ClientCredentials(
        endpoint, token_url="https://login.example/token", client_id="c", secret=SECRET,
        scope=None, monotonic=lambda: now[0],
    )  # fmt: skip


def test_one_token_serves_many_calls_until_a_fifth_of_its_life_is_left() -> None:
    endpoint, now = Endpoint(b'{"access_token": "abc", "expires_in": 100}'), [0.0]

    async def work() -> None:
        held = credentials(endpoint, now)
        await asyncio.gather(*(held.headers() for _ in range(20)))
        now[0] = 79.0
        await held.headers()
        assert endpoint.asked == 1
        now[0] = 80.0
        await held.headers()
        assert endpoint.asked == 2
        held.refused()
        assert await held.headers() == {"Authorization": "Bearer abc"}
        assert endpoint.asked == 3

    asyncio.run(work())


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, b'{"error": "invalid_client"}', VendorRefused),
        (400, b'{"error": "invalid_scope"}', VendorRefused),
        (503, b"{}", VendorUnavailable),
        (200, b"<html>", VendorUnavailable),
        (200, b"[]", VendorUnavailable),
        (200, b"{}", VendorUnavailable),
        (200, b'{"access_token": "a\\nb"}', VendorUnavailable),
        (200, b'{"access_token": 7}', VendorUnavailable),
        (200, b'{"access_token": "abc", "token_type": "mac"}', VendorUnavailable),
        (200, b'{"access_token": "abc", "access_token": "def"}', VendorUnavailable),
    ],
)
def test_what_is_no_token_is_not_shown_and_says_nothing_of_the_secret(
    status: int, body: bytes, error: type[VendorError]
) -> None:
    with pytest.raises(error) as caught:
        asyncio.run(credentials(Endpoint(body, status), [0.0]).headers())

    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
