"""Logs by allow-list: what is not declared here is dropped and counted, never printed.

A log line is for operators. It may be lost, and it never holds a patient's data: events are short
lower-case phrases, facts are the keys below, values are numbers, flags and short tokens. An
exception becomes its type and the place it was raised; its message and the locals are not kept.
Lines of other libraries go through the same formatter.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections import Counter
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, TextIO, cast

import orjson
import structlog

ALLOWED = frozenset(
    {
        "adapter", "answer_class", "attempt", "attempts", "bytes", "capability", "client", "code",
        "conflicts", "count", "deadline_ms", "disclosure", "dropped_keys", "elapsed_ms", "entries",
        "error_at", "error_type", "event", "file", "inference", "level", "logger", "method",
        "mode", "outcome", "path", "pid", "policy_revision", "port", "purpose", "reason",
        "replica", "role", "route", "seq", "site", "status", "timestamp", "tool", "tools",
        "unsealed", "url", "version", "writer",
    }
)  # fmt: skip
_TOKEN = re.compile(r"^[\w .:/@+\-\[\]<>(),;=#%]{0,200}$", re.ASCII)
_ALARMING = frozenset({"warning", "error", "critical"})
_alarms: Counter[str] = Counter()  # of this process, like the lines themselves
_THIRD_PARTY = ("uvicorn", "uvicorn.error", "uvicorn.access", "httpx", "httpcore", "asyncio")


class _Stderr:
    """Standard error as it is when a line is written, not as it was at ``configure``."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def configure(*, json: bool = True, level: int = logging.INFO) -> None:
    """Set structlog and the standard library up so that only allowed keys reach stderr."""
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        exceptions_to_places,
        allow_list,
        count_alarms,
    ]
    renderer = _render_json if json else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=cast("TextIO", _Stderr())),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(_Stderr())
    handler.setFormatter(_ForeignFormatter(json=json))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in _THIRD_PARTY:
        foreign = logging.getLogger(name)
        foreign.handlers.clear()
        foreign.propagate = True
        foreign.setLevel(logging.WARNING)


def count_alarms(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Count what is a warning or worse: who watches figures need not read lines."""
    if event.get("level") in _ALARMING:
        _alarms[event.get("event", "unnamed")] += 1
    return event


def alarms() -> Mapping[str, int]:
    """How often each warning or error was logged since the process began."""
    return _alarms


def exceptions_to_places(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace ``exc_info`` by the error's type and the file and line that raised it."""
    info = event.pop("exc_info", None)
    if info:
        error = info if isinstance(info, BaseException) else sys.exc_info()[1]
        if error is not None:
            event["error_type"] = type(error).__name__
            event["error_at"] = place(error)
    return event


def place(error: BaseException) -> str:
    """``file.py:12`` of the innermost frame: where an error was raised, without its message."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown"


def allow_list(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Keep declared keys with harmless values; count the rest in ``dropped_keys``."""
    kept = {k: v for k, v in event.items() if k in ALLOWED and _harmless(v)}
    if len(kept) < len(event):
        kept["dropped_keys"] = len(event) - len(kept)
    return kept


def _harmless(value: Any) -> bool:
    if value is None or isinstance(value, bool | int | float):
        return True
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


def _render_json(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    return orjson.dumps(dict(event)).decode()


class _ForeignFormatter(logging.Formatter):
    """Other libraries' lines: logger, level and error type; their message is not trusted."""

    def __init__(self, *, json: bool) -> None:
        super().__init__()
        self._json = json

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {
            "event": "library message",
            "logger": record.name,
            "level": record.levelname.lower(),
            "error_at": f"{record.filename}:{record.lineno}",
        }
        if record.exc_info and record.exc_info[1] is not None:
            event["error_type"] = type(record.exc_info[1]).__name__
            event["error_at"] = place(record.exc_info[1])
        if self._json:
            return orjson.dumps(event).decode()
        return " ".join(f"{key}={value}" for key, value in event.items())


log = structlog.stdlib.get_logger("careweir")
