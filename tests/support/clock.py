"""An event loop whose time jumps: sleeps and deadlines pass at once, in their right order."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class _Jumping(selectors.SelectSelector):
    """Never waits: where the loop would wait for a time, the time is moved there instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Ready files now, else a jump; a loop that would wait for ever is a stuck test."""
        ready = super().select(0)
        if not ready:
            if timeout is None:
                ready = super().select(5)  # a thread may still be at work
                assert ready, "every task waits for something that never comes"
            else:
                self.now += max(0.0, timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """``time()`` is virtual, in seconds."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        """The virtual time."""
        return self._jumping.now


def run_virtually(work: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end on a fresh virtual loop; nothing may be left over."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


class Clock:
    """A clock that a test moves by hand, in seconds."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
