"""A vendor that fails in chosen ways, over real sockets, and what the fan-out needs around it."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Literal, cast

from careweir.fanout import Asked, Guards, Intent, Prepared, Transport, ask_all
from careweir.minimise import Manifest, Minimised
from careweir.question import Reply
from careweir_fhir.model import Coding, Finding
from careweir_kit.adapter import Ask, Parsed, VendorAnswer, VendorRequest, Verdict
from careweir_kit.tool import Tool

Mood = Literal["well", "hang", "drip", "busy", "reset", "endless", "swap"]
WELL_S = 0.02
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


@dataclass
class Book:
    """A ledger in memory: every intent, and how many tools were held."""

    intents: int = 0
    held_tools: int = 0

    async def intend(self, prepared: Prepared, request: VendorRequest, attempt: int) -> Intent:
        self.intents += 1
        return Intent(f"dis_{self.intents}", prepared.tool.tool, attempt)

    def conclude(self, intent: Intent, *, outcome: str, answer_sha256: str | None) -> None: ...

    def held(self, tool: str, disclosure: str) -> None:
        self.held_tools += 1

    def computed(self, prepared: Prepared, *, outcome: str) -> None: ...


class Format:
    """The plainest wire format: the subject goes out, and should come back."""

    @staticmethod
    def build_request(tool: Tool, ask: Ask) -> VendorRequest:
        return VendorRequest("POST", "x", ask.subject.encode())

    @staticmethod
    def classify_answer(tool: Tool, answer: VendorAnswer) -> Verdict:
        return Verdict("ok" if answer.status == 200 else "vendor_fault")

    @staticmethod
    def parse_findings(tool: Tool, ask: Ask | None, answer: VendorAnswer) -> Parsed:
        found = Finding(tool=tool.tool, kind="risk", code=Coding(display="made up"), value=0.5)
        return Parsed((found,), echoes=(answer.body.decode().strip('"'),))


@dataclass
class Vendor:
    """What it does with each request, and how many it has had."""

    mood: Mood = "well"
    calls: int = 0
    url: str = ""
    _first: tuple[bytes, asyncio.Future[bytes]] | None = None
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection to its end."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
                body = await reader.readexactly(length)
                self.calls += 1
                await self._answer(body, writer)

    async def _answer(self, body: bytes, writer: asyncio.StreamWriter) -> None:
        match self.mood:
            case "well":
                await asyncio.sleep(WELL_S)
                await _whole(writer, body)
            case "busy":
                writer.write(b"HTTP/1.1 503 busy\r\ncontent-length: 0\r\n\r\n")
            case "swap":
                await _whole(writer, await self._theirs(body))
            case "hang":
                await asyncio.Event().wait()
            case "drip":
                writer.write(_HEAD + b"content-length: 1000000\r\n\r\n")
                while True:
                    writer.write(b" ")
                    await writer.drain()
                    await asyncio.sleep(0.02)
            case "endless":
                writer.write(_HEAD + b"transfer-encoding: chunked\r\n\r\n")
                while True:
                    writer.write(b"10000\r\n" + bytes(65_536) + b"\r\n")
                    await writer.drain()
            case "reset":
                linger = struct.pack("ii", 1, 0)
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
                raise ConnectionResetError

    async def _theirs(self, mine: bytes) -> bytes:
        """What the other one of a pair sent."""
        if self._first is None:
            self._first = mine, asyncio.get_running_loop().create_future()
            return await self._first[1]
        theirs, other = self._first
        self._first = None
        other.set_result(mine)
        return theirs

    async def leave(self) -> None:
        """Drop every connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _whole(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(_HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
    await writer.drain()


@asynccontextmanager
async def listening(mood: Mood = "well") -> AsyncIterator[Vendor]:
    """A vendor on loopback."""
    vendor = Vendor(mood)
    server = await asyncio.start_server(vendor.handle, "127.0.0.1", 0)
    vendor.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield vendor
    finally:
        server.close()
        await vendor.leave()


def guards(seed: int) -> Guards:
    """What one process knows of its vendors."""
    clock = asyncio.get_running_loop().time
    return Guards(clock=clock, rng=random.Random(seed))  # noqa: S311 - jitter, not a secret


def prepared(vendor: Vendor, transport: Transport, subject: str, **changes: Any) -> Prepared:
    """One tool with next to nothing to send."""
    facts: dict[str, Any] = {
        "tool": "faulty", "vendor": "v", "product": "p", "version": "1", "adapter": "a",
        "capabilities": ("c",),
    }  # fmt: skip
    tool = Tool.model_validate(facts | changes)
    manifest = Manifest(
        tool=tool.tool, tool_version="1", policy_revision="", purpose="TREAT", role="", site=None,
        asked=(), sent=(), withheld=(), transformed=(),
    )  # fmt: skip
    adapter = cast("Any", SimpleNamespace(module=Format))
    return Prepared(tool, adapter, Minimised({}, manifest), subject, vendor.url, transport)


async def asked(tools: list[Prepared], book: Book, known: Guards, *, seconds: float) -> list[Reply]:
    """One question to some tools, within so many seconds."""
    deadline = asyncio.get_running_loop().time() + seconds
    question = Asked(book, "2026-03-02T08:00:00Z", deadline, known)
    return await ask_all(tools, question, strategy="all")
