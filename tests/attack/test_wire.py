"""Requests that no client would write: the socket is real, the gateway says no and lives on."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from typing import Any

import httpx
import pytest

from careweir.api.middleware import BodyCap
from support.charts import sepsis
from support.running import Served


def sent(gateway: Served, raw: bytes, *, whole: bool = True) -> bytes:
    """What comes back for these bytes until the server closes; ``whole``: we do not close first."""
    url = httpx.URL(str(gateway.client.base_url))
    with socket.create_connection((url.host, url.port or 80), timeout=30) as wire:
        wire.sendall(raw)
        if not whole:
            wire.shutdown(socket.SHUT_WR)
        got = b""
        while chunk := wire.recv(65_536):
            got += chunk
    return got


def statuses(answer: bytes) -> list[int]:
    """The status of each answer on one connection."""
    return [int(line.split()[1]) for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


def get(path: bytes = b"/v1/capabilities", *headers: bytes) -> bytes:
    lines = [b"GET " + path + b" HTTP/1.1", b"Host: gw", b"Connection: close", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def test_a_plain_request_is_answered(gateway: Served) -> None:
    token = gateway.tokens["auditor"].encode()

    assert statuses(sent(gateway, get())) == [401]
    assert statuses(sent(gateway, get(b"/v1/tools", b"Authorization: Bearer " + token))) == [200]


def test_two_authorization_headers_are_nobody(gateway: Served) -> None:
    one = b"Authorization: Bearer " + gateway.tokens["auditor"].encode()
    other = b"Authorization: Bearer " + gateway.tokens["coder"].encode()

    for pair in ((one, other), (one, one), (b"Authorization: Bearer x", one)):
        assert statuses(sent(gateway, get(b"/v1/tools", *pair))) == [401]


SECOND = b"GET /v1/tools HTTP/1.1\r\nHost: gw\r\n\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        [b"Content-Length: 4", b"Transfer-Encoding: chunked"],
        [b"Content-Length: 4", b"Content-Length: 9"],
        [b"Content-Length: +4"],
        [b"Content-Length: -1"],
        [b"Content-Length: 4,4"],
        [b"Content-Length: 99999999999999999999999"],
        [b"Transfer-Encoding: identity, chunked, identity"],
        [b"Content Length: 4"],
        [b"X-Test: a\x00b"],
        [b" Folded: first"],
        [b"X-Long: " + b"a" * 200_000],
    ],
)
def test_ambiguous_framing_is_refused_and_carries_no_second_request(
    gateway: Served, lines: list[bytes]
) -> None:
    head = b"\r\n".join([b"POST /v1/inferences HTTP/1.1", b"Host: gw", *lines]) + b"\r\n\r\n"

    answer = sent(gateway, head + b"0\r\n\r\n" + SECOND, whole=False)

    assert set(statuses(answer)) <= {400, 401, 408, 413, 431}
    assert b"acme-sepsis" not in answer
    assert gateway.client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        b"/console/static/../../../../etc/passwd", b"/console/static/..%2f..%2f..%2fetc%2fpasswd",
        b"/console/static/%2e%2e/%2e%2e/etc/passwd", b"/console/static/....//....//etc/passwd",
        b"/console/static/..%5c..%5cetc%5cpasswd", b"/v1/tools/..%2f..%2f..%2fetc%2fpasswd",
        b"/v1/tools/%2e%2e%2faudit.db", b"/fhir/AuditEvent/..%2f..%2faudit.db",
        b"/fhir/Device/..%2f..%2fkeys", b"/v1/inferences/..%2f..%2fdemo.json",
        b"/v1/disclosures/%00", b"/cds-services/..%2f..%2fmetrics", b"//etc/passwd",
        b"/v1/conflicts/%252e%252e%252fdemo.json", b"/\\..\\..\\etc\\passwd",
    ],
)  # fmt: skip
def test_no_path_leads_to_a_file(gateway: Served, path: bytes) -> None:
    token = b"Authorization: Bearer " + gateway.tokens["auditor"].encode()

    answer = sent(gateway, get(path, token))

    assert statuses(answer)[0] in (400, 401, 404, 405), answer[:300]
    assert b"root:" not in answer
    assert b"SQLite" not in answer
    assert b"tokens" not in answer


@pytest.mark.parametrize(
    "value",
    ["a%0d%0aSet-Cookie:%20x=1", "a\nb", "é", "<b>", "a" * 65, ""],
)
def test_a_request_id_that_is_not_harmless_is_not_echoed(gateway: Served, value: str) -> None:
    answer = sent(gateway, get(b"/healthz", b"X-Request-Id: " + value.encode()))

    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert b"set-cookie" not in head
    assert b"x-request-id: req_" in head or statuses(answer) == [400]
    good = sent(gateway, get(b"/healthz", b"X-Request-Id: trace-1"))
    assert b"x-request-id: trace-1" in good.lower()


def test_a_host_header_chooses_no_link_where_the_address_is_configured_and_no_file(
    gateway: Served,
) -> None:
    """Links follow the request only until CAREWEIR_PUBLIC_URL is set; nothing else does."""
    raw = b"GET /healthz HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"

    assert b"evil.example" not in sent(gateway, raw)


def post(body: bytes, bearer: str, *headers: bytes) -> bytes:
    lines = [b"POST /v1/inferences HTTP/1.1", b"Host: gw", b"Connection: close",
             b"Authorization: Bearer " + bearer.encode(), *headers,
             b"Content-Length: " + str(len(body)).encode()]  # fmt: skip
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def spoilt(kind: str) -> bytes:
    """A question that no reader should take for another one than a second reader would."""
    good: dict[str, Any] = sepsis()
    text = json.dumps(good)
    bodies = {
        "a field twice": text[:-1] + ', "purpose": "HPAYMT"}',
        "a field twice in the chart": text.replace(
            '"resourceType": "Bundle"', '"resourceType": "Bundle", "resourceType": "List"', 1
        ),
        "a field twice by an escape": text[:-1] + ', "purp\\u006fse": "HPAYMT"}',
        "an unknown field": text[:-1] + ', "role": "auditor"}',
        "an unknown field in the context": text.replace('"context": {', '"context": {"x": 1, ', 1),
        "a subject that is a list": json.dumps(good | {"subject": [good["subject"]]}),
        "NaN": text.replace('"deadline_ms": 3000', '"deadline_ms": NaN'),
        "a number beyond all": text.replace('"deadline_ms": 3000', '"deadline_ms": 1e999'),
        "four hundred digits": text.replace('"deadline_ms": 3000', '"deadline_ms": 1' + "0" * 400),
        "a deadline with a fraction": text.replace('"deadline_ms": 3000', '"deadline_ms": 3.5'),
        "a deadline that is true": text.replace('"deadline_ms": 3000', '"deadline_ms": true'),
        "a hundred levels": text[:-1] + ', "x": ' + "[" * 100 + "]" * 100 + "}",
        "ten thousand levels": "[" * 10_000 + "]" * 10_000,
        "two documents": text + text,
        "a comment": "/* */" + text,
        "a trailing comma": text[:-1] + ",}",
        "single quotes": text.replace('"', "'"),
        "nothing": "",
        "null": "null",
        "a lone surrogate": text[:-1] + ', "strategy": "\\ud800"}',
    }
    return bodies[kind].encode()


KINDS = ("a field twice", "a field twice in the chart", "a field twice by an escape",
         "an unknown field", "an unknown field in the context", "a subject that is a list", "NaN",
         "a number beyond all", "four hundred digits", "a deadline with a fraction",
         "a deadline that is true", "a hundred levels", "ten thousand levels", "two documents",
         "a comment", "a trailing comma", "single quotes", "nothing", "null",
         "a lone surrogate")  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_body_with_two_meanings_is_refused_and_nothing_is_sent(
    gateway: Served, kind: str
) -> None:
    before = gateway.calls()

    answer = sent(gateway, post(spoilt(kind), gateway.tokens["ed-physician"]))

    assert statuses(answer) == [422], answer[:400]
    assert gateway.calls() == before


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig", "utf-7", "cp037"])
def test_a_body_in_another_encoding_is_refused(gateway: Served, encoding: str) -> None:
    body = json.dumps(sepsis()).encode(encoding)
    if encoding == "utf-7":  # differs from UTF-8 only where it is told to
        body = body.replace(b"{", b"+AHs-", 1)

    assert statuses(sent(gateway, post(body, gateway.tokens["ed-physician"]))) == [422]


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"br", b"zstd"])
def test_a_compressed_body_is_not_unpacked(gateway: Served, coding: bytes) -> None:
    body = gzip.compress(b" " * 10_000_000)
    header = b"Content-Encoding: " + coding

    assert statuses(sent(gateway, post(body, gateway.tokens["ed-physician"], header))) == [422]


def test_a_body_without_end_is_cut_at_the_limit(gateway: Served) -> None:
    def endless() -> Any:
        chunk = b" " * 1_000_000
        for _ in range(60):
            yield chunk

    headers = {"Authorization": f"Bearer {gateway.tokens['ed-physician']}"}
    try:
        answer = gateway.client.post("/v1/inferences", content=endless(), headers=headers)
        assert answer.status_code == 413
    except httpx.TransportError:
        pass  # the gateway hung up while we were still sending
    assert gateway.client.get("/healthz").status_code == 200


def capped(*messages: dict[str, Any], seconds: float) -> list[dict[str, Any]]:
    """What a client sees whose body arrives in these parts and then no further."""
    out: list[dict[str, Any]] = []
    parts = list(messages)

    async def receive() -> Any:
        if not parts:
            await asyncio.Event().wait()
        return parts.pop(0)

    async def send(message: Any) -> None:
        out.append(message)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})

    scope = {"type": "http", "path": "/fhir/$infer", "headers": [], "method": "POST"}
    asyncio.run(BodyCap(app, bytes_max=100, seconds_max=seconds)(scope, receive, send))
    return out


def test_a_body_that_drips_is_refused_in_time_and_one_that_arrives_is_not() -> None:
    part = {"type": "http.request", "body": b"x", "more_body": True}
    last = {"type": "http.request", "body": b"x", "more_body": False}

    assert capped(part, last, seconds=60)[0]["status"] == 200
    slow = capped(part, part, seconds=0.05)
    assert slow[0]["status"] == 408
    assert (b"connection", b"close") in slow[0]["headers"]
    assert b"OperationOutcome" in slow[1]["body"]
