"""A fault proxy over real sockets: what stands between a gateway and a vendor on a bad day.

Each fault is a handler of one connection. The proxy reads one whole request, then misbehaves; it
counts the requests whose bytes reached it.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET

Fault = Callable[["Wire"], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


@dataclass
class Wire:
    """One connection, after its request was read."""

    request: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    body: bytes

    async def say(self, *parts: bytes, pause_s: float = 0.0) -> None:
        """Write parts with a pause before each but the first."""
        for number, part in enumerate(parts):
            if number and pause_s:
                await asyncio.sleep(pause_s)
            self.writer.write(part)
            await self.writer.drain()

    def reset(self) -> None:
        """Cut the connection with RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@dataclass
class Proxy:
    """Where it listens, and what it does with the next connections."""

    fault: Fault
    body: bytes = b"{}"
    port: int = 0
    scheme: str = "http"
    requests: list[bytes] = field(default_factory=list)
    handlers: set[asyncio.Task[None]] = field(default_factory=set)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    def url(self, host: str = "127.0.0.1") -> str:
        """Its base URL."""
        return f"{self.scheme}://{host}:{self.port}"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection to its end."""
        task = asyncio.current_task()
        assert task is not None
        self.handlers.add(task)
        self.writers.append(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = 0
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        length = int(line.partition(b":")[2])
                request = head + await reader.readexactly(length)
                self.requests.append(request)
                await self.fault(Wire(request, reader, writer, self.body))
                if writer.is_closing():
                    break
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()


async def well(wire: Wire) -> None:
    """No fault."""
    await wire.say(OK + b"content-length: %d\r\n\r\n" % len(wire.body) + wire.body)


async def drip_body(wire: Wire) -> None:
    """The body a byte at a time."""
    await wire.say(OK + b"content-length: 1000\r\n\r\n")
    for _ in range(1000):
        await asyncio.sleep(0.05)
        await wire.say(b" ")


async def drip_head(wire: Wire) -> None:
    """The head a byte at a time."""
    for number in range(1000):
        await wire.say((OK + b"x-pad: " + b"a" * 1000)[number : number + 1])
        await asyncio.sleep(0.05)


async def reset_at_once(wire: Wire) -> None:
    """Cut before any byte of an answer."""
    wire.reset()


async def reset_mid_body(wire: Wire) -> None:
    """Cut in the middle of the body, which so far is a whole JSON document."""
    await wire.say(OK + b"content-length: 1000\r\n\r\n" + wire.body)
    await asyncio.sleep(0.02)
    wire.reset()


async def half_body(wire: Wire) -> None:
    """End the connection politely with half a body."""
    await wire.say(OK + b"content-length: 1000\r\n\r\n" + wire.body)
    wire.writer.close()


async def length_too_short(wire: Wire) -> None:
    """Claim a shorter body than is sent."""
    await wire.say(OK + b"content-length: 1\r\n\r\n" + wire.body)
    wire.writer.close()


async def two_lengths(wire: Wire) -> None:
    """Claim two lengths."""
    await wire.say(OK + b"content-length: 2\r\ncontent-length: 7\r\n\r\n" + wire.body)
    wire.writer.close()


async def broken_chunks(wire: Wire) -> None:
    """Chunks whose size is no number."""
    await wire.say(OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n" + wire.body)
    wire.writer.close()


async def endless(wire: Wire) -> None:
    """A body without length and without end."""
    await wire.say(OK + b"transfer-encoding: chunked\r\n\r\n")
    part = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    while not wire.writer.is_closing():
        await wire.say(part)


async def no_http(wire: Wire) -> None:
    """Something else than HTTP."""
    await wire.say(b"\x00\x01 this is no HTTP\r\n\r\n")
    wire.writer.close()


async def hang(wire: Wire) -> None:
    """Take the request and say nothing."""
    await wire.reader.read()
    wire.writer.close()


@asynccontextmanager
async def proxy(
    fault: Fault, *, body: bytes = b"{}", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Proxy]:
    """Listen on loopback; every connection gets ``fault`` (which may be changed meanwhile)."""
    made = Proxy(fault, body, scheme="https" if tls else "http")
    server = await asyncio.start_server(made.handle, "127.0.0.1", 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in made.handlers:
            task.cancel()
        await asyncio.gather(*made.handlers, return_exceptions=True)
        for writer in made.writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)  # so that each transport is told that it is gone
