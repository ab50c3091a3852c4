"""Results that a vendor sends by itself: the optional part of the adapter contract.

An adapter whose manifest lists media types under ``pushes`` also has

    parse_push(tool, push)              pushed message  ->  findings, and what it answers
    acknowledge(tool, push, receipt)    our receipt     ->  the reply in the vendor's own format

Both are pure. Nothing in a push is believed: the gateway looks up the disclosure that ``Binding``
names, compares every echo with the pseudonym of that disclosure, refuses a message that binds to
none, and answers a repeated ``message_id`` without storing it again. A push comes without the
chart, so spans stand as given and are noted as unchecked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from careweir_kit.adapter import Parsed, VendorAnswer
from careweir_kit.tool import Tool

# accepted: stored, or stored before. rejected: it binds to nothing, or is about somebody else.
# broken: not in its format. failed: our own fault; the vendor may send it again.
Receipt = Literal["accepted", "rejected", "broken", "failed"]

STATUS_OF_RECEIPT: Final[Mapping[Receipt, int]] = {
    "accepted": 200,
    "rejected": 422,
    "broken": 400,
    "failed": 503,
}
_NAMES_OF_MESSAGE: Final = ("webhook-id", "idempotency-key", "x-message-id")


@dataclass(frozen=True, slots=True)
class Push:
    """One pushed message, whole and within the byte cap; header names are lower case."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def as_answer(self) -> VendorAnswer:
        """The same bytes as an answer, for formats in which a push is an answer come late."""
        return VendorAnswer(200, self.headers, self.body)


@dataclass(frozen=True, slots=True)
class Binding:
    """What a pushed message says it is and what it answers; the vendor's words, to compare only.

    ``message_id`` is the same when the same message comes again. ``request_id`` is that of the
    attempt (``Ask.request_id``), None where the message does not repeat it: the echo of the
    pseudonym, which no two questions share, then has to be enough. ``sent_at`` is RFC 3339.
    """

    message_id: str
    request_id: str | None = None
    sender: str | None = None
    sent_at: str | None = None


@dataclass(frozen=True, slots=True)
class Pushed:
    """The findings and echoes of a pushed message, and what binds it."""

    parsed: Parsed
    binding: Binding


@dataclass(frozen=True, slots=True)
class PushReply:
    """What the vendor gets back; it carries our words and the vendor's own message id, no more."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class PushAdapter(Protocol):
    """What the module of an adapter has besides, when its manifest lists ``pushes``."""

    def parse_push(self, tool: Tool, push: Push) -> Pushed:
        """Read one pushed message. Raises VendorProtocolBroken."""
        ...

    def acknowledge(self, tool: Tool, push: Push, receipt: Receipt) -> PushReply:
        """Say what became of it, whatever the message was; never raises."""
        ...


def message_id_of(push: Push) -> str:
    """The id that a webhook's sender gave in a header, else the digest of the message."""
    for name in _NAMES_OF_MESSAGE:
        given = push.headers.get(name, "")
        if given and len(given) <= 200 and given.isprintable():
            return given
    return f"sha256:{hashlib.sha256(push.body).hexdigest()}"


def json_reply(receipt: Receipt) -> PushReply:
    """The reply of formats that have none of their own."""
    body = json.dumps({"receipt": receipt}).encode()
    return PushReply(STATUS_OF_RECEIPT[receipt], body)
