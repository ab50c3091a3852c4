"""Jobs under leases: what a replica began and never finished, another one takes over.

A job is a small record with an owner and a time until which it is his, by the database's clock.
The owner renews it; whoever finds one that is over takes it by compare-and-set, so exactly one
does. The owner counts his time from before each renewal, on a clock that never stops: whoever
slept through it knows that the job is not his any more before he does anything else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import msgspec

from careweir.errors import StateUnavailable
from careweir.log import log
from careweir.state import Record, State

KIND = "job"
BEATS = 4  # renewals, and looks for what others dropped, in the time of one lease
TAKES_MAX = 8
DEATHS_SUSPECT = 3  # a job that so many processes died with runs beside no other such job
RUNNING_MAX = 128
AGAIN_FIRST_S = 2.0
PAGE = 200
_OPEN = {"open": "yes"}


class _Lease(msgspec.Struct, frozen=True):
    owner: str
    until_us: int
    takes: int = 1
    deaths: int = 0  # how often its owner was never heard of again


class Job:
    """A job that this process has. ``held`` is false as soon as it may be somebody else's."""

    def __init__(
        self, key: str, record: Record, *, takes: int, until: float, deaths: int = 0
    ) -> None:
        self.key = key
        self.takes = takes
        self.deaths = deaths
        self.record = record
        self._until = until

    @property
    def resumed(self) -> bool:
        """True when somebody may have begun it before."""
        return self.takes > 1

    def held(self) -> bool:
        """Is it certainly still ours?"""
        return asyncio.get_running_loop().time() < self._until

    def renewed(self, record: Record, until: float) -> None:
        """It is ours until then, in loop time."""
        self.record, self._until = record, until


class Again(Exception):
    """The job cannot be done now: let go of it, and take it again later."""


Work = Callable[[Job], Awaitable[None]]


class Runner:
    """Runs jobs of several sorts, each by its ``work``; ``give_up`` ends one that never works."""

    def __init__(
        self, state: State, *, owner: str, lease_s: float, running_max: int = RUNNING_MAX
    ) -> None:
        self._state = state
        self._owner = owner
        self._lease_s = lease_s
        self._running_max = running_max
        self._sorts: dict[str, tuple[Work, Work]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._suspects: set[str] = set()
        self._scanning: asyncio.Task[None] | None = None

    def sort(self, name: str, work: Work, *, give_up: Work) -> None:
        """Say how jobs of one sort are done."""
        self._sorts[name] = (work, give_up)

    def start(self) -> None:
        """Look for jobs that nobody has, now and then."""
        self._scanning = asyncio.create_task(self._scan_now_and_then(), name="job scan")

    async def reserve(self, sort: str, key: str, *, site: str | None) -> Job:
        """Put a job on the list that is ours to ``begin``; raises StateUnavailable.

        If it is not begun within its lease, whoever scans takes it.
        """
        since = asyncio.get_running_loop().time()
        body = await self._lease(self._lease_s, takes=1)
        put = await self._state.put_new(KIND, f"{sort}/{key}", body, site=site, tags=_OPEN)
        return Job(key, put.record, takes=1, until=since + self._lease_s * put.stored)

    def begin(self, sort: str, job: Job) -> None:
        """Start a reserved job, or leave it to the scan while too many run here."""
        if job.held() and len(self._running) < self._running_max:
            self._spawn(sort, job)

    async def plan(self, sort: str, key: str, *, site: str | None, after_s: float) -> None:
        """Put a job on the list for whichever replica scans first, after so many seconds."""
        body = await self._lease(after_s, takes=0, owner="")
        await self._state.put_new(KIND, f"{sort}/{key}", body, site=site, tags=_OPEN)

    async def drop(self, sort: str, key: str) -> None:
        """Take a job off the list: here it ends now, elsewhere when its lease is to be renewed."""
        name = f"{sort}/{key}"
        await self._state.delete(KIND, name)
        if (running := self._running.get(name)) is not None:
            running.cancel()

    async def scan(self) -> None:
        """Take every job whose lease is over."""
        now = await self._state.now()
        cursor = None
        while True:
            page = await self._state.find(KIND, site=None, tags=_OPEN, after=cursor, limit=PAGE)
            for record in page:
                await self._take(record, int(now.timestamp() * 1_000_000))
            if len(page) < PAGE:
                return
            cursor = page[-1].cursor

    async def close(self, *, drain_s: float) -> None:
        """Finish what finishes in time; the rest is let go of at once, for another replica."""
        if self._scanning is not None:
            self._scanning.cancel()
            await asyncio.gather(self._scanning, return_exceptions=True)
        tasks = list(self._running.values())
        if tasks:
            await asyncio.wait(tasks, timeout=drain_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def idle(self) -> None:
        """Wait until nothing runs here."""
        while self._running:
            await asyncio.wait(list(self._running.values()))

    # --- one job ------------------------------------------------------------------------------

    async def _take(self, record: Record, now_us: int) -> None:
        lease = msgspec.msgpack.decode(record.body, type=_Lease)
        sort, _, key = record.key.partition("/")
        busy = record.key in self._running or len(self._running) >= self._running_max
        if lease.until_us > now_us or busy or sort not in self._sorts:
            return
        deaths = lease.deaths + bool(lease.owner)
        if deaths >= DEATHS_SUSPECT and self._suspects:
            return  # one at a time: the one that kills its process must not take others with it
        since, takes = asyncio.get_running_loop().time(), lease.takes + 1
        body = await self._lease(self._lease_s, takes=takes, deaths=deaths)
        if (taken := await self._state.replace(replace(record, body=body))) is not None:
            if lease.owner:
                log.info("job taken over", attempts=takes)
            until = since + self._lease_s
            self._spawn(sort, Job(key, taken, takes=takes, until=until, deaths=deaths))

    def _spawn(self, sort: str, job: Job) -> None:
        name = job.record.key
        task = asyncio.create_task(self._run(sort, job), name="job")
        self._running[name] = task
        task.add_done_callback(lambda _done: self._running.pop(name, None))
        if job.deaths >= DEATHS_SUSPECT:
            self._suspects.add(name)
            task.add_done_callback(lambda _done: self._suspects.discard(name))

    async def _run(self, sort: str, job: Job) -> None:
        work, give_up = self._sorts[sort]
        doing = asyncio.ensure_future((give_up if job.takes > TAKES_MAX else work)(job))
        renewing = asyncio.create_task(self._renew(job, doing))
        try:
            await doing
        except asyncio.CancelledError:
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)
            await self._let_go(job, 0.0)
        except Again:
            await self._let_go(job, AGAIN_FIRST_S * 2 ** min(job.takes, 8))
        except Exception as error:
            log.error("job failed", attempts=job.takes, exc_info=error)
            await self._let_go(job, AGAIN_FIRST_S * 2 ** min(job.takes, 8))
        else:
            with suppress(StateUnavailable):  # then it is taken again, and finds itself done
                await self._state.delete(KIND, job.record.key)
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def _renew(self, job: Job, doing: asyncio.Future[None]) -> None:
        """Keep the lease; end the work as soon as it is lost."""
        while job.held():
            await asyncio.sleep(self._lease_s / BEATS)
            since = asyncio.get_running_loop().time()
            with suppress(StateUnavailable):  # the lease runs on; there is another try
                body = await self._lease(self._lease_s, takes=job.takes, deaths=job.deaths)
                kept = await self._state.replace(replace(job.record, body=body))
                if kept is None:
                    break
                job.renewed(kept, since + self._lease_s)
        doing.cancel()

    async def _let_go(self, job: Job, after_s: float) -> None:
        with suppress(StateUnavailable):  # then the lease runs out by itself
            body = await self._lease(after_s, takes=job.takes, deaths=job.deaths, owner="")
            await self._state.replace(replace(job.record, body=body))

    async def _lease(
        self, seconds: float, *, takes: int, deaths: int = 0, owner: str | None = None
    ) -> bytes:
        until = await self._state.now() + timedelta(seconds=seconds)
        name, until_us = self._owner if owner is None else owner, int(until.timestamp() * 1_000_000)
        return msgspec.msgpack.encode(_Lease(name, until_us, takes, deaths))

    async def _scan_now_and_then(self) -> None:
        while True:
            try:
                await self.scan()
            except StateUnavailable as error:
                log.error("state store away", reason=error.detail)
            await asyncio.sleep(self._lease_s / BEATS)
