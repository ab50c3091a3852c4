"""The faults that a simulated vendor can be told to have (CONTRACT §8)."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from careweir_kit.simulation.model import SimRequest, SimResponse, json_response

Fault = Literal[
    "off",
    "hang",
    "slow_drip",
    "reset",
    "http_500",
    "http_503",
    "http_429",
    "garbage",
    "html_200",
    "empty_200",
    "wrong_schema",
    "nan",
    "duplicate_keys",
    "huge_body",
    "gzip_bomb",
    "redirect",
    "wrong_patient",
    "old_model",
]
FAULTS: Final[tuple[Fault, ...]] = get_args(Fault)
RECEIVED_MAX: Final = 50
DRIP_S: Final = 0.2
BOMB_MEMBERS: Final = 256  # of 1 MiB each, about 1 kB on the wire
_MEBIBYTE: Final = 1024 * 1024


class ControlRefused(ValueError):
    """A control body that cannot be used."""


@dataclass
class State:
    """The switchboard of one simulator; only the event loop touches it."""

    fault: Fault = "off"
    count: int | None = None
    latency_ms: int = 20
    latency_default_ms: int = 20
    retry_after_s: float = 1.0
    calls: int = 0
    reads: int = 0  # those of them by GET: a question whether a job is done
    received: list[Any] = field(default_factory=list)

    def set(self, value: Any) -> None:
        """Apply one control body; what it leaves out goes back to its default."""
        if not isinstance(value, dict):
            raise ControlRefused("not a JSON object")
        fault = value.get("fault") or "off"
        if fault not in FAULTS:
            raise ControlRefused("no such fault")
        count, latency = value.get("count"), value.get("latency_ms")
        wait = value.get("retry_after")
        for number in (count, latency, wait):
            if number is not None and (isinstance(number, bool) or not _is_count(number)):
                raise ControlRefused("count, latency_ms and retry_after are numbers of 0 or more")
        self.fault, self.count = fault, count
        self.latency_ms = self.latency_default_ms if latency is None else int(latency)
        self.retry_after_s = 1.0 if wait is None else float(wait)

    def take(self, request: SimRequest) -> Fault:
        """Record one call and say which fault it meets."""
        self.calls += 1
        self.reads += request.method == "GET"
        self.received.append(_readable(request.body))
        del self.received[:-RECEIVED_MAX]
        if self.count is None:
            return self.fault
        if self.count <= 0:
            self.fault, self.count = "off", None
            return "off"
        self.count -= 1
        return self.fault

    def view(self) -> dict[str, Any]:
        """What a GET of the control URL shows."""
        active = "off" if self.count == 0 else self.fault
        return {
            "calls": self.calls,
            "reads": self.reads,
            "received": list(self.received),
            "fault": active,
            "count": self.count,
            "latency_ms": self.latency_ms,
        }


def _is_count(number: object) -> bool:
    return isinstance(number, int | float) and 0 <= number < 1e9


def _readable(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")


def spoiled(fault: Fault, healthy: SimResponse, request: SimRequest, state: State) -> SimResponse:
    """The answer under a fault that needs no more than other bytes."""
    match fault:
        case "http_500":
            # Real servers do this: the crash report repeats what was sent.
            text = b"Traceback (most recent call last):\n  value: " + request.body[:2000]
            return SimResponse(500, text, "text/plain")
        case "http_503":
            return json_response(503, {"error": "the service is starting"})
        case "http_429":
            wait = f"{state.retry_after_s:g}"
            return json_response(429, {"error": "too many requests"}, **{"retry-after": wait})
        case "garbage":
            return SimResponse(200, b"\x00\xff\x13{]\x9f not json at all \xfe" * 4)
        case "html_200":
            page = b"<!doctype html><html><title>Sign in</title><p>Please sign in.</p></html>"
            return SimResponse(200, page, "text/html; charset=utf-8")
        case "empty_200":
            return SimResponse(200, b"")
        case "wrong_schema":
            return json_response(200, {"status": "done", "prediction": {"score": "0.5"}})
        case "nan":
            return SimResponse(200, _with_nan(healthy.body))
        case "duplicate_keys":
            return SimResponse(200, _with_duplicate(healthy.body))
        case "gzip_bomb":
            member = gzip.compress(bytes(_MEBIBYTE), mtime=0)
            return SimResponse(200, member * BOMB_MEMBERS, headers={"content-encoding": "gzip"})
        case "redirect":
            return SimResponse(307, b"", headers={"location": "/elsewhere"})
        case _:
            return healthy


def huge_parts(bytes_cap: int) -> Iterator[bytes]:
    """A body without a length that goes far beyond the cap."""
    yield b'{"padding": "'
    part = b"x" * 65_536
    for _ in range(bytes_cap * 4 // len(part) + 32):
        yield part
    yield b'"}'


def _with_nan(body: bytes) -> bytes:
    """The same answer with its first number, a fraction if there is one, turned into NaN.

    An answer without a number gets one; an answer that is not JSON becomes something that is not.
    """
    value, mark = _json(body), "\u0000number\u0000"
    if not (_replace_first(value, float, mark) or _replace_first(value, int, mark)):
        value = {"number": mark, "value": value}
    return json.dumps(value).replace(json.dumps(mark), "NaN").encode()


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _replace_first(value: Any, kind: type, mark: str) -> bool:
    pairs: Any = ()
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value))
    for key, item in pairs:
        if type(item) is kind:
            value[key] = mark
            return True
        if _replace_first(item, kind, mark):
            return True
    return False


def _with_duplicate(body: bytes) -> bytes:
    """The same answer with its first key twice."""
    found = _json(body)
    value: Mapping[str, Any] = found if isinstance(found, dict) and found else {"value": found}
    key = next(iter(value))
    first = f"{json.dumps(key)}: {json.dumps(value[key])}, ".encode()
    return b"{" + first + json.dumps(value).encode()[1:]
