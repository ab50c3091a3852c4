"""How late a whole gateway is when a vendor hangs: many callers, one busy process, real sockets.

The gateway is ``careweir serve`` in a process of its own, as in ``careweir.bench.gateway``. One of
two tools never answers, so each question lasts until its deadline and all of a round end together,
which is the worst that can happen to a process. Who is refused at once (503 ``overloaded``) is not
late, and is counted apart. Each caller asks about a patient of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import orjson
import yaml
from httpx_aiohttp import AiohttpTransport

from careweir.bench.chart import PATIENT, SUBJECT, synthetic_chart
from careweir.bench.figure import Budget, Figure
from careweir.bench.house import Load, Site, site
from careweir.bench.process import CannotMeasure, child, free_port
from careweir.bench.size import Size

DEADLINE_MS = 1000
CALLERS = (8, 50)
CHART_BYTES = 20_000
ROUNDS = 5  # questions of each caller, after a first one that warms up


@dataclass
class _Seen:
    """What callers saw: how late answers were, and how many questions were refused."""

    late_ms: list[float] = field(default_factory=list)
    refused: int = 0
    asked: int = 0


def measure(size: Size) -> Iterator[Figure]:
    """How late answers are, for few and for many callers."""
    with TemporaryDirectory(prefix="careweir-bench-", dir=size.scratch) as scratch:
        yield from asyncio.run(_measure(Path(scratch), size))


async def _measure(folder: Path, size: Size) -> list[Figure]:
    figures: list[Figure] = []
    async with _hanging() as url, site(folder) as here:
        _hangs(here, url)
        port = free_port()
        arguments = ["careweir", "serve", "--port", str(port), "--config", str(here.config),
                     "--data", str(folder / "data")]  # fmt: skip
        with child(
            arguments, port=port, log=folder / "gateway.log", settings=here.settings()
        ) as up:
            for callers in CALLERS:
                rounds = max(1, min(ROUNDS, size.faults // 100))
                seen = await _asked(up.base_url, here, min(callers, size.faults // 20), rounds)
                figures += _figures(seen, callers)
    return figures


def _figures(seen: _Seen, callers: int) -> list[Figure]:
    if len(seen.late_ms) < 2:
        raise CannotMeasure("the gateway answered nobody in time to be measured")
    p99 = quantiles(seen.late_ms, n=100, method="inclusive")[98]
    name = f"a whole gateway late, {callers} callers"
    base = (DEADLINE_MS, "the deadline")
    return [
        Figure("faults", f"questions refused at once, {callers} callers",
               100 * seen.refused / seen.asked, "%", 100, "all of them"),
        Figure("faults", f"{name}, p99", p99, "ms", *base, Budget(200, "value")),
        Figure("faults", f"{name}, max", max(seen.late_ms), "ms", *base, Budget(500, "value")),
    ]  # fmt: skip


async def _asked(base_url: str, here: Site, callers: int, rounds: int) -> _Seen:
    """Every caller asks again and again; what the first question of each saw does not count."""
    seen, load = _Seen(), Load("late", synthetic_chart(CHART_BYTES), 2, 0, 0)
    headers = {"Authorization": here.authorization, "Content-Type": "application/json"}
    transport = AiohttpTransport()

    async def ask(client: httpx.AsyncClient, body: bytes, into: _Seen) -> None:
        began = time.perf_counter()
        answer = await client.post("/v1/inferences", content=body, headers=headers)
        late_ms = (time.perf_counter() - began) * 1000 - DEADLINE_MS
        into.asked += 1
        if answer.status_code == 503:
            into.refused += 1
            await asyncio.sleep(1)  # as its Retry-After says
        else:
            into.late_ms.append(max(0.0, late_ms))

    async def caller(client: httpx.AsyncClient, number: int) -> None:
        body = _about(load.question(), f"late-{number}")
        await ask(client, body, _Seen())
        for _ in range(rounds):
            await ask(client, body, seen)

    async with httpx.AsyncClient(base_url=base_url, transport=transport, timeout=30) as client:
        await asyncio.gather(*(caller(client, number) for number in range(callers)))
    return seen


def _about(question: bytes, patient: str) -> bytes:
    """The same question about somebody else, with a deadline."""
    body: dict[str, Any] = orjson.loads(question) | {"deadline_ms": DEADLINE_MS}
    text = orjson.dumps(body).replace(SUBJECT.encode(), f"Patient/{patient}".encode())
    return text.replace(f'"id":"{PATIENT}"'.encode(), f'"id":"{patient}"'.encode())


def _hangs(here: Site, url: str) -> None:
    """Its first tool never answers, and no breaker or queue makes that easy."""
    for name in ("bench-0", "bench-1"):
        file = here.config / "tools" / f"{name}.yaml"
        row = yaml.safe_load(file.read_text("utf-8"))
        row["deadline_ms"] = 20_000
        row["limits"] = {"concurrent_max": 500, "queue_max": 500, "failures_in_a_row": 100_000}
        row["endpoints"] = {"default": url} if name == "bench-0" else row["endpoints"]
        file.write_text(yaml.safe_dump(row, sort_keys=False), encoding="utf-8")


@asynccontextmanager
async def _hanging() -> AsyncIterator[str]:
    """A vendor that takes every request and says nothing."""
    open_: set[asyncio.Task[Any]] = set()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_.add(task)
        while await reader.read(65_536):
            pass
        writer.close()
        open_.discard(task)

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in open_:
            task.cancel()
        await asyncio.gather(*open_, return_exceptions=True)
