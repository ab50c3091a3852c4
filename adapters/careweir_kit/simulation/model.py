"""What the server and a vendor's simulator hand each other."""

from __future__ import annotations

import json
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Twist = Literal["none", "wrong_patient", "old_model"]

SOMEBODY_ELSE = "psn-of-somebody-else"  # a pseudonym in the true form, of another patient
OLD_MODEL = "0.9.0"
REMEMBERED_MAX = 1000


@dataclass(frozen=True, slots=True)
class SimRequest:
    """One request as it came. ``twist`` asks for a wrong answer in the true format.

    ``memory`` is the server's own, for vendors whose answer comes on a later request: see
    ``remember``.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    call: int  # counts from 1
    seed: int
    twist: Twist = "none"
    memory: MutableMapping[str, Any] = field(default_factory=dict)

    def remember(self, name: str, value: Any) -> None:
        """Keep a value for a later request; the oldest go when there are many."""
        while len(self.memory) >= REMEMBERED_MAX:
            del self.memory[next(iter(self.memory))]
        self.memory[name] = value

    def json(self) -> dict[str, Any]:
        """The body as a JSON object. Raises ValueError."""
        value = json.loads(self.body)
        if not isinstance(value, dict):
            raise ValueError("not an object")
        return value


@dataclass(frozen=True, slots=True)
class SimResponse:
    """One answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class VendorSimulator(Protocol):
    """The module ``simulator.py`` of an adapter folder."""

    def answer(self, tool: Mapping[str, Any], brain: str, request: SimRequest) -> SimResponse:
        """Answer in the vendor's wire format from what was received."""
        ...


def json_response(status: int, value: Any, **headers: str) -> SimResponse:
    """An answer with a JSON body."""
    return SimResponse(status, json.dumps(value).encode(), headers=headers)
