"""The whole gateway over real HTTP beside a bare proxy route that makes the same vendor calls.

The gateway is ``careweir serve`` in a process of its own, as in production: real tokens, policy,
minimisation, durable audit on SQLite with synchronous=FULL, logs. The vendors are simulators in
processes of their own that answer at once. The baseline (``careweir.bench.bare``) is the same
server and HTTP client with nothing between.

CPU a request: the process's CPU clock before and after a load from some callers at once, divided
by the requests answered; the better of two rounds, gateway and baseline in turns. Wall overhead:
the median time of requests sent one at a time, less the median of calling the slowest of the same
vendors directly, in turns; what remains is all that the gateway adds. It stands beside the whole
wall of the baseline, since what the baseline adds is too little to divide by.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import httpx
import orjson
from httpx_aiohttp import AiohttpTransport

from careweir.bench.audit import fsync_seconds
from careweir.bench.bare import Call
from careweir.bench.chart import small_chart, synthetic_chart
from careweir.bench.figure import Budget, Figure
from careweir.bench.house import Load, Site, site
from careweir.bench.process import CannotMeasure, Child, child, free_port
from careweir.bench.size import Size

ROUNDS = 2
WARM_UP = 10
MEMORY_MB = (100, 150)  # idle, under load

Send = Callable[[], Coroutine[None, None, None]]


def loads() -> list[Load]:
    """The loads that have a budget, and two tools on the middle one."""
    middle, large = synthetic_chart(20_000), synthetic_chart(500_000)
    return [
        Load("2 kB, 1 tool", small_chart(), 1, 400, 5),
        Load("20 kB, 2 tools", middle, 2, 1_500, 5),
        Load("20 kB, 4 tools", middle, 4, 1_500, 5),
        Load("500 kB, 4 tools", large, 4, 3_500, 10),
    ]


def measure(size: Size) -> list[Figure]:
    """CPU, wall overhead and memory. Raises CannotMeasure where that is not possible."""
    with TemporaryDirectory(prefix="careweir-bench-", dir=size.scratch) as scratch:
        return asyncio.run(_measure(Path(scratch), size))


async def _measure(folder: Path, size: Size) -> list[Figure]:
    fsync_ms = fsync_seconds(folder, 2 + size.rounds * 4) * 1000
    figures: list[Figure] = []
    async with site(folder) as here, _servers(here) as (gateway, bare), _client() as client:
        idle = (gateway.resident_mb(), bare.resident_mb())
        for load in loads():
            pair = await _Pair.of(load, here, gateway, bare, client)
            figures += await _of_load(pair, size, fsync_ms)
        busy = (gateway.resident_mb(), bare.resident_mb())
    for when, (ours, theirs), limit in zip(("idle", "after load"), (idle, busy), MEMORY_MB,
                                           strict=True):  # fmt: skip
        figures.append(
            Figure("gateway", f"memory, {when}", ours, "MB", theirs, "bare proxy",
                   Budget(limit, "value"))
        )  # fmt: skip
    return figures


@asynccontextmanager
async def _servers(here: Site) -> AsyncIterator[tuple[Child, Child]]:
    """The gateway and the baseline, both listening."""
    plan = {load.name: [asdict(call) for call in here.calls(load)] for load in loads()}
    plan_file, data = here.folder / "plan.json", here.folder / "data"
    plan_file.write_bytes(orjson.dumps(plan))
    serve, bare = free_port(), free_port()
    arguments = ["careweir", "serve", "--port", str(serve), "--config", str(here.config),
                 "--data", str(data)]  # fmt: skip
    with ExitStack() as stack:
        gateway = stack.enter_context(
            child(arguments, port=serve, log=here.folder / "gateway.log", settings=here.settings())
        )
        proxy = stack.enter_context(
            child(["careweir.bench.bare", str(plan_file), str(bare)], port=bare,
                  log=here.folder / "bare.log", settings={})
        )  # fmt: skip
        yield gateway, proxy


def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=AiohttpTransport(), trust_env=False, timeout=30)


@dataclass(frozen=True, slots=True)
class _Pair:
    """One load, ready to be sent to the gateway, to the baseline, and to each vendor."""

    load: Load
    gateway: Child
    bare: Child
    ask: Send
    ask_bare: Send
    vendors: Sequence[Send]

    @staticmethod
    async def of(
        load: Load, here: Site, gateway: Child, bare: Child, client: httpx.AsyncClient
    ) -> _Pair:
        """Warm both up, and see that the gateway answers in full."""
        body = load.question()
        headers = {"Authorization": here.authorization, "Content-Type": "application/json"}
        url, bare_url = f"{gateway.base_url}/v1/inferences", f"{bare.base_url}/bare/{load.name}"
        first = await client.post(url, content=body, headers=headers)
        if first.status_code != 200 or orjson.loads(first.content)["outcome"] != "complete":
            raise CannotMeasure(f"the gateway did not answer in full: HTTP {first.status_code}")
        pair = _Pair(
            load, gateway, bare,
            ask=lambda: _post(client, url, body, headers),
            ask_bare=lambda: _post(client, bare_url, body, headers),
            vendors=[_call(client, call) for call in here.calls(load)],
        )  # fmt: skip
        for send in (pair.ask, pair.ask_bare, *pair.vendors):
            for _ in range(WARM_UP):
                await send()
        return pair


def _call(client: httpx.AsyncClient, call: Call) -> Send:
    return lambda: _post(client, call.url, call.body.encode(), dict(call.headers))


async def _post(client: httpx.AsyncClient, url: str, body: bytes, headers: dict[str, str]) -> None:
    response = await client.post(url, content=body, headers=headers)
    if response.status_code != 200:
        raise CannotMeasure(f"a server under measurement answered HTTP {response.status_code}")


async def _of_load(pair: _Pair, size: Size, fsync_ms: float) -> list[Figure]:
    cpu = [
        (await _cpu_us(pair.ask, pair.gateway, size), await _cpu_us(pair.ask_bare, pair.bare, size))
        for _ in range(ROUNDS)
    ]
    ours, theirs = (min(figures) for figures in zip(*cpu, strict=True))
    alone, bare_alone, *vendors = await _alone_ms([pair.ask, pair.ask_bare, *pair.vendors], size)
    return [
        Figure("gateway", f"CPU a request, {pair.load.name}", ours, "µs", theirs, "bare proxy",
               Budget(pair.load.cpu_us_max, "value")),
        Figure("gateway", f"wall less slowest tool, {pair.load.name}",
               max(0.0, alone - max(vendors)), "ms", bare_alone, "bare proxy, whole wall",
               Budget(round(pair.load.overhead_ms_max + fsync_ms, 1), "value",
                                    note=f"{pair.load.overhead_ms_max:g} and one fsync")),
    ]  # fmt: skip


async def _cpu_us(send: Send, server: Child, size: Size) -> float:
    """CPU of the server for each request, in microseconds, under callers who do not pause."""
    end, answered = time.perf_counter() + size.requests_s, 0

    async def caller() -> None:
        nonlocal answered
        while time.perf_counter() < end:
            await send()
            answered += 1

    before = server.cpu_s()
    await asyncio.gather(*(caller() for _ in range(size.concurrency)))
    return (server.cpu_s() - before) / answered * 1e6


async def _alone_ms(sends: Sequence[Send], size: Size) -> list[float]:
    """Median time of each kind of request, one at a time and in turns, in milliseconds."""
    taken: list[list[float]] = [[] for _ in sends]
    for _ in range(size.alone):
        for times, send in zip(taken, sends, strict=True):
            started = time.perf_counter()
            await send()
            times.append((time.perf_counter() - started) * 1000)
    return [median(times) for times in taken]
