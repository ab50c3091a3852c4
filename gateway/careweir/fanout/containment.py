"""An adapter that does not come back is stopped: a thread watches how long each call takes.

Adapters are pure functions and run in the event loop, where one that spins would stop every
question. The watcher raises ``AdapterHung`` inside it. That ends Python code; it cannot end a call
into C (a regular expression that backtracks), nor give back memory that an adapter keeps.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final, ParamSpec, TypeVar, cast

from careweir.log import log
from careweir_kit.errors import VendorProtocolBroken

CPU_S_MAX: Final = 1.0
WALL_TO_CPU: Final = 5  # how much longer by the clock: a busy machine is not the adapter's fault
_P = ParamSpec("_P")
_R = TypeVar("_R")


class AdapterHung(VendorProtocolBroken):
    """The adapter did not come back in time and was stopped."""

    code = "adapter_hung"

    def __init__(self, message: str = "the adapter was stopped: it did not come back") -> None:
        super().__init__(message)


class Watchdog:
    """Watches one event loop's thread; ``run`` calls an adapter under its eyes."""

    def __init__(self, limit_s: float = CPU_S_MAX) -> None:
        self._limit_s = limit_s
        self._lock = threading.Lock()
        self._since: tuple[float, float] | None = None  # wall and CPU when a call began
        self._told = False  # it was told to stop
        self._thread = 0
        self._end = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="adapter watch", daemon=True)

    def start(self) -> None:
        """Watch calls made by the thread that starts this."""
        self._thread = threading.get_ident()
        self._watcher.start()

    def stop(self) -> None:
        """Watch no more."""
        self._end.set()
        self._watcher.join()

    def run(self, name: str, work: Callable[_P, _R], *args: _P.args, **named: _P.kwargs) -> _R:
        """Call an adapter; raises what it raises, or AdapterHung."""
        if threading.get_ident() != self._thread:
            return work(*args, **named)
        try:
            with self._lock:
                self._since, self._told = (time.monotonic(), time.thread_time()), False
            try:
                return work(*args, **named)
            finally:
                self._over()
        except AdapterHung:
            log.error("adapter hung", adapter=name)
            raise

    def _over(self) -> None:
        with self._lock:
            self._since = None
            if self._told:  # it came back just then: nothing may be raised outside of it
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), None)

    def _overdue(self, wall: float, cpu: float) -> bool:
        if time.monotonic() - wall >= self._limit_s * WALL_TO_CPU:
            return True
        if not hasattr(time, "pthread_getcpuclockid"):
            return False  # a system without clocks for other threads: by the wall alone
        clock = time.pthread_getcpuclockid(self._thread)
        return time.clock_gettime(clock) - cpu >= self._limit_s

    def _watch(self) -> None:
        while not self._end.wait(self._limit_s / 4):
            with self._lock:
                since = self._since
                if since is None or self._told or not self._overdue(*since):
                    continue
                self._told = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread), ctypes.py_object(AdapterHung)
                )


class Contained:
    """An adapter's module, every function of it under the watchdog."""

    def __init__(self, name: str, module: ModuleType, watchdog: Watchdog) -> None:
        self._name = name
        self._module = module
        self._watchdog = watchdog

    def __getattr__(self, function: str) -> Any:
        found = getattr(self._module, function)

        def watched(*args: Any, **named: Any) -> Any:
            return self._watchdog.run(self._name, found, *args, **named)

        setattr(self, function, watched)  # found without this detour from now on
        return watched


def contained(name: str, module: ModuleType, watchdog: Watchdog) -> ModuleType:
    """The same module, watched."""
    return cast("ModuleType", Contained(name, module, watchdog))
