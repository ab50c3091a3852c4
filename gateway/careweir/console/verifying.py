"""Verify on demand, one at a time, away from the requests; the last result is the badge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import get_context

from careweir.audit import Report
from careweir.log import log

PATIENCE_S = 3.0  # how long a press of the button waits for the result before it says "under way"


def verify_apart(check: Callable[[], Report]) -> Report:
    """Run ``check`` (a ``partial`` of ``audit.verify``) in a process of its own, and wait for it.

    A verification computes without a pause: in this process it would hold up every request. And
    SQLite's locks belong to a process, so a second reader of the raw file must not live in it.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
        return apart.submit(check).result()


@dataclass(frozen=True, slots=True)
class Verified:
    """A finished verification. ``report`` is None when it could not be carried out."""

    report: Report | None
    at: datetime

    @property
    def status(self) -> str:
        """``clean``, ``incomplete``, ``tampered``, or ``failed``: no result at all."""
        return self.report.status if self.report else "failed"


class Verification:
    """The last verification since this process started, and the one under way."""

    def __init__(self, check: Callable[[], Report], clock: Callable[[], datetime]) -> None:
        self._check = check
        self._clock = clock
        self._running: asyncio.Task[None] | None = None
        self.last: Verified | None = None
        self.since: datetime | None = None  # set while one is under way

    async def press(self) -> None:
        """Start one unless one runs, and wait for it a little while."""
        if self._running is None or self._running.done():
            self.since = self._clock()
            self._running = asyncio.create_task(self._run(), name="audit verification")
        await asyncio.wait([self._running], timeout=PATIENCE_S)

    async def _run(self) -> None:
        report: Report | None = None
        try:
            report = await asyncio.to_thread(self._check)
        except Exception as error:  # a failed check is a result, and never looks like a clean one
            log.error("verification failed", exc_info=error)
        self.last = Verified(report, self._clock())
        self.since = None
