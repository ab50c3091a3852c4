"""Vendors, adapters and a ledger for tests of the fan-out: plain objects that keep a list."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from careweir.errors import AuditUnavailable
from careweir.fanout import Asked, Guards, Intent, Prepared
from careweir_fhir.model import Coding, Finding
from careweir_kit.adapter import Ask, Parsed, VendorAnswer, VendorRequest, Verdict
from careweir_kit.errors import InputsMissing
from careweir_kit.tool import Tool


@dataclass
class Book:
    """A ledger in memory, and what it saw in which order."""

    refuses: bool = False
    events: list[str] = field(default_factory=list)

    async def intend(self, prepared: Prepared, request: VendorRequest, attempt: int) -> Intent:
        if self.refuses:
            raise AuditUnavailable("the trail is down")
        self.events.append(f"intent {attempt}")
        return Intent(f"dis_{attempt}", prepared.tool.tool, attempt)

    def conclude(self, intent: Intent, *, outcome: str, answer_sha256: str | None) -> None:
        self.events.append(f"{outcome} {intent.attempt}")

    def held(self, tool: str, disclosure: str) -> None:
        self.events.append(f"held {disclosure}")

    def computed(self, prepared: Prepared, *, outcome: str) -> None:
        self.events.append(f"computed {outcome}")


@dataclass
class Wire:
    """A transport that plays a list: an answer is given, an error is raised."""

    plays: list[Any]
    book: Book

    async def send(self, url: str, request: VendorRequest, *, bytes_max: int) -> VendorAnswer:
        self.book.events.append("sent")
        play = self.plays.pop(0)
        if isinstance(play, Exception):
            raise play
        if play == "hang":
            await asyncio.Event().wait()
        return cast("VendorAnswer", play)

    async def close(self) -> None:
        return None


def answered(status: int = 200, echo: str = "s1", **headers: str) -> VendorAnswer:
    return VendorAnswer(status, {"content-type": "application/json"} | headers, echo.encode())


CLASSES: dict[int, Any] = {
    200: "ok", 401: "unauthorised", 422: "bad_request", 500: "vendor_fault", 503: "vendor_fault",
}  # fmt: skip


class Format:
    """An adapter whose answers are just the echo."""

    @staticmethod
    def build_request(tool: Tool, ask: Ask) -> VendorRequest:
        if tool.request.get("lacks"):
            raise InputsMissing(("lactate",))
        return VendorRequest("POST", "x", ask.subject.encode(), without=("temperature",))

    @staticmethod
    def classify_answer(tool: Tool, answer: VendorAnswer) -> Verdict:
        if answer.status == 429:
            wait = float(answer.headers.get("wait", "0.01"))
            return Verdict("throttled", "slow down", retry_after_s=wait)
        return Verdict(CLASSES[answer.status])

    @staticmethod
    def parse_findings(tool: Tool, ask: Ask | None, answer: VendorAnswer) -> Parsed:
        if answer.body == b"cut":
            return Parsed((), completeness="partial")
        if answer.body == b"crash":
            raise RuntimeError("CANARY a bug of the adapter")
        finding = Finding(tool=tool.tool, kind="risk", code=Coding(display="Sepsis"), value=0.5)
        echoes = (answer.body.decode(),) if answer.body else ()
        return Parsed((finding,), echoes=echoes, model_version="2")


def prepared(plays: list[Any], book: Book, **changes: Any) -> Prepared:
    tool = Tool(tool="t", vendor="v", product="p", version="1", adapter="a", capabilities=("c",),
                **changes)  # fmt: skip
    return Prepared(
        tool,
        cast("Any", SimpleNamespace(module=Format)),
        cast("Any", SimpleNamespace(payload={"entry": []})),
        "s1",
        "http://vendor.test",
        Wire(plays, book),
    )


def guards_of(loop: asyncio.AbstractEventLoop, seed: int = 7) -> Guards:
    return Guards(clock=loop.time, rng=random.Random(seed))


def asked_by(seconds: float, book: Book, guards: Guards | None = None) -> Asked:
    loop = asyncio.get_running_loop()
    guards = guards or guards_of(loop)
    return Asked(book, "2026-03-02T08:00:00Z", loop.time() + seconds, guards)
