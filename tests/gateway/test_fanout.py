"""One attempt at a time over real sockets: what leaves, what is retried, what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx
import pytest

from careweir.errors import AuditUnavailable
from careweir.fanout import Prepared, VendorPool, ask_all
from careweir.fanout.attempt import check_subject
from careweir.fanout.transport import ConnectionLost, NeverSent
from careweir.question import Reply, Strategy
from careweir_kit.adapter import VendorRequest
from careweir_kit.errors import VendorProtocolBroken, WrongPatient
from support.vendors import Book, answered, asked_by, prepared

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
REQUEST = VendorRequest("POST", "v1/ask", b"{}", {"content-type": "application/json"})


@asynccontextmanager
async def vendor(
    handle: Handler, headers: dict[str, str] | None = None
) -> AsyncIterator[tuple[str, VendorPool]]:
    """A server on loopback that treats each connection with ``handle``."""

    async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handle(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(quietly, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pool = VendorPool(headers=headers or {})
    try:
        yield f"http://127.0.0.1:{port}", pool
    finally:
        await pool.close()
        server.close()


def saying(answer: bytes, seen: list[bytes] | None = None) -> Handler:
    """Answer every request on the connection with these bytes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.read(65536):
            if seen is not None:
                seen.append(head)
            writer.write(answer)
            await writer.drain()

    return handle


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 10))


def send(answer: bytes, *, times: int = 1, bytes_max: int = 1000) -> tuple[Any, list[bytes]]:
    seen: list[bytes] = []

    async def work() -> Any:
        async with vendor(saying(answer, seen)) as (url, pool):
            answers = [await pool.send(url, REQUEST, bytes_max=bytes_max) for _ in range(times)]
            return answers[-1]

    return run(work()), seen


def test_a_whole_answer_comes_back_with_its_status_and_type() -> None:
    answer, seen = send(OK)

    assert (answer.status, answer.body, answer.content_type) == (200, b"{}", "application/json")
    assert b"accept-encoding: identity" in seen[0].lower()


def test_a_redirect_is_an_answer_and_is_never_followed() -> None:
    answer, seen = send(
        b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n"
    )

    assert answer.status == 302
    assert len(seen) == 1


def test_an_encoded_body_is_refused_unread() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc"

    with pytest.raises(VendorProtocolBroken):
        send(head)


def test_a_body_above_the_cap_is_cut_while_it_is_read() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + b"x" * 100_000

    with pytest.raises(VendorProtocolBroken):
        send(head, bytes_max=1000)


def test_a_vendors_cookie_is_not_sent_back() -> None:
    _, seen = send(OK.replace(b"\r\n\r\n", b"\r\nset-cookie: id=7; Path=/\r\n\r\n"), times=2)

    assert len(seen) == 2
    assert b"cookie" not in seen[1].lower()


def test_a_proxy_in_the_environment_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")

    assert send(OK)[0].status == 200


def test_a_refused_connection_is_known_to_have_sent_nothing() -> None:
    async def work() -> None:
        pool = VendorPool(headers={})
        try:
            await pool.send("http://127.0.0.1:9", REQUEST, bytes_max=10)
        finally:
            await pool.close()

    with pytest.raises(NeverSent):
        run(work())


def test_a_connection_that_breaks_after_the_request_is_not_taken_for_unsent() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.transport.abort()

    async def work() -> None:
        async with vendor(hang_up) as (url, pool):
            await pool.send(url, REQUEST, bytes_max=10)

    with pytest.raises(ConnectionLost):
        run(work())


def test_credentials_are_sent_to_their_vendor() -> None:
    seen: list[bytes] = []

    async def work() -> None:
        async with vendor(saying(OK, seen), {"Authorization": "Bearer s3cret"}) as (url, pool):
            await pool.send(url, REQUEST, bytes_max=100)

    run(work())
    assert b"authorization: bearer s3cret" in seen[0].lower()


# --- ask_all: the record, the retries, the replies ----------------------------------------------


def ask(one: Prepared, book: Book, *, seconds: float = 2, strategy: Strategy = "all") -> Reply:
    async def work() -> list[Reply]:
        return await ask_all([one], asked_by(seconds, book), strategy=strategy)

    replies = run(work())
    assert len(replies) == 1
    return cast("Reply", replies[0])


def test_the_intent_is_committed_before_the_request_is_sent() -> None:
    book = Book()

    reply = ask(prepared([answered()], book), book)

    assert book.events == ["intent 1", "sent", "answered 1"]
    assert (reply.status, reply.version, reply.attempts) == ("answered", "2", 1)
    assert reply.without == ("temperature",)


def test_without_a_committed_intent_nothing_is_sent() -> None:
    book = Book(refuses=True)

    with pytest.raises(AuditUnavailable):
        ask(prepared([answered()], book), book)

    assert "sent" not in book.events


def test_what_the_vendor_did_not_take_is_asked_again_with_an_intent_of_its_own() -> None:
    book = Book()

    reply = ask(prepared([answered(503), answered()], book, attempts_max=3), book)

    assert book.events == ["intent 1", "sent", "vendor_unavailable 1",
                           "intent 2", "sent", "answered 2"]  # fmt: skip
    assert (reply.status, reply.attempts) == ("answered", 2)


@pytest.mark.parametrize(
    ("play", "idempotent", "attempts", "status"),
    [
        (NeverSent("no connection"), "none", 2, "unavailable"),
        (ConnectionLost("broke"), "none", 1, "unknown"),
        (ConnectionLost("broke"), "natural", 2, "unavailable"),
        (answered(500), "none", 1, "unavailable"),
        (answered(500), "natural", 2, "unavailable"),
        (answered(429), "none", 2, "throttled"),
        (answered(echo="someone-else"), "natural", 1, "wrong_patient"),
        (answered(echo=""), "natural", 1, "wrong_patient"),
        (answered(echo="crash"), "natural", 1, "protocol_error"),
        (VendorProtocolBroken("not JSON"), "natural", 1, "protocol_error"),
    ],
)
def test_only_what_is_safe_to_repeat_is_repeated(
    play: Any, idempotent: str, attempts: int, status: str
) -> None:
    book = Book()

    reply = ask(prepared([play, play], book, attempts_max=2, idempotent=idempotent), book)

    assert (reply.attempts, reply.status) == (attempts, status)
    assert book.events.count("sent") == attempts
    assert sum(event.startswith("intent") for event in book.events) == attempts
    assert not reply.findings
    assert "CANARY" not in str(reply)


def test_an_answer_cut_off_before_it_named_anybody_is_partial_and_empty() -> None:
    book = Book()

    reply = ask(prepared([answered(echo="cut")], book), book)

    assert (reply.status, reply.findings) == ("partial", ())


def test_a_call_that_hangs_ends_at_the_deadline_and_is_concluded() -> None:
    book = Book()

    reply = ask(prepared(["hang"], book), book, seconds=0.1)

    assert reply.status == "timed_out"
    assert book.events[-1] == "vendor_timed_out 1"
    assert reply.latency_ms < 1000


def test_a_tool_whose_inputs_are_missing_is_not_asked() -> None:
    book = Book()

    reply = ask(prepared([], book, request={"lacks": True}), book)

    assert (reply.status, reply.reason, reply.without) == ("refused", "inputs_missing",
                                                           ("lactate",))  # fmt: skip
    assert book.events == []


@pytest.mark.parametrize(
    ("echoes", "required", "refused"),
    [
        (("s1",), "required", False),
        (("Patient/s1", "s1"), "required", False),
        (("s1", "s2"), "required", True),
        (("S1",), "required", True),
        ((), "required", True),
        ((), "none", False),
        (("s2",), "none", True),
    ],
)
def test_an_answer_is_delivered_only_when_it_is_about_the_patient_that_was_asked(
    echoes: tuple[str, ...], required: str, refused: bool
) -> None:
    if refused:
        with pytest.raises(WrongPatient):
            check_subject(echoes, "s1", required=required)
    else:
        check_subject(echoes, "s1", required=required)


def test_a_tool_that_is_no_longer_waited_for_is_unknown_and_concluded() -> None:
    book = Book()
    fast, slow = prepared([answered()], book), prepared(["hang"], book)

    async def work() -> list[Reply]:
        return await ask_all([fast, slow], asked_by(2, book), strategy="first")

    replies = run(work())

    assert [reply.status for reply in replies] == ["answered", "unknown"]
    assert replies[1].disclosure == "dis_1"  # it was told, so the answer says under which number
    assert "unknown 1" in book.events


def test_httpx_errors_never_reach_the_caller_of_the_pool() -> None:
    async def work() -> None:
        transport = httpx.MockTransport(lambda _: (_ for _ in ()).throw(httpx.ReadError("CANARY")))
        pool = VendorPool(headers={}, transport=transport)
        try:
            await pool.send("https://vendor.test", REQUEST, bytes_max=10)
        finally:
            await pool.close()

    with pytest.raises(ConnectionLost) as caught:
        run(work())
    assert "CANARY" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_a_request_on_a_stale_connection_is_never_sent_again_by_the_library(method: str) -> None:
    """aiohttp would repeat a GET or PUT by itself: a disclosure without an intent of its own."""
    seen: list[bytes] = []

    async def once_then_hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read(65536))
        writer.write(OK)
        await writer.drain()
        seen.append(await reader.read(65536))
        writer.transport.abort()

    async def work() -> None:
        request = VendorRequest(cast("Any", method), "x", b"{}")
        async with vendor(once_then_hang_up) as (url, pool):
            await pool.send(url, request, bytes_max=100)
            await pool.send(url, request, bytes_max=100)

    with pytest.raises(ConnectionLost):
        run(work())
    assert len(seen) == 2
