"""A body of ``text/event-stream``, read when it is whole: the events that were sent in full.

The gateway's transport hands over the whole body, so this is no incremental reader. An event that
the stream was cut in (no blank line behind it) is not an event; ``closed`` says whether it came.

Source: WHATWG HTML, 9.2.6 Interpreting an event stream.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from careweir_kit.adapter import VendorAnswer
from careweir_kit.errors import VendorProtocolBroken
from careweir_kit.strict_json import JsonRefused, decode

EVENTS_MAX: Final = 100_000
_LINE_END: Final = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Event:
    """One event; ``name`` is ``message`` where the stream gave none."""

    name: str
    data: str

    def json(self) -> dict[str, Any]:
        """The data as one JSON object. Raises VendorProtocolBroken."""
        try:
            value = decode(self.data.encode())
        except (JsonRefused, UnicodeEncodeError):
            raise VendorProtocolBroken("an event of the stream is not acceptable JSON") from None
        if not isinstance(value, dict):
            raise VendorProtocolBroken("an event of the stream is not a JSON object")
        return value


def is_event_stream(answer: VendorAnswer) -> bool:
    """Whether the answer says that it is a stream of events."""
    return answer.content_type == "text/event-stream"


def events(body: bytes) -> Iterator[Event]:
    """The whole events of a body, in order. Raises VendorProtocolBroken."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        # A cut inside a character is a cut; anything earlier is not UTF-8.
        text = _up_to_the_cut(body)
    name, data, count = "", list[str](), 0
    for line in _whole_lines(text):
        if line:
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)
            continue
        if data:
            count += 1
            if count > EVENTS_MAX:
                raise VendorProtocolBroken("a stream of too many events")
            yield Event(name or "message", "\n".join(data))
        name, data = "", []


def _up_to_the_cut(body: bytes) -> str:
    for missing in (1, 2, 3):
        try:
            return body[:-missing].decode("utf-8-sig")
        except UnicodeDecodeError:
            continue
    raise VendorProtocolBroken("a stream that is not UTF-8")


def _whole_lines(text: str) -> Iterator[str]:
    start = 0
    for end in _LINE_END.finditer(text):
        yield text[start : end.start()]
        start = end.end()
