"""The field manifest: what was asked for, what was sent, what was withheld and why. No values."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

_FROZEN = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

Refusal = tuple[str, str, str]  # path, reason, rule
_Body = bytes  # inside Manifest the contract's field ``bytes`` hides the type


class Withheld(BaseModel):
    """``count`` occurrences of a path that stayed here. The reasons are those of CONTRACT §5."""

    model_config = _FROZEN

    path: str
    count: int
    reason: str
    rule: str


class Transformed(BaseModel):
    """A path whose value left in another form."""

    model_config = _FROZEN

    path: str
    transform: str


class Manifest(BaseModel):
    """One tool's share of one question (CONTRACT §5); sealed once for each attempt."""

    model_config = _FROZEN

    id: str = ""
    tool: str
    tool_version: str
    policy_revision: str
    purpose: str
    role: str
    site: str | None
    asked: tuple[str, ...]
    sent: tuple[str, ...]
    withheld: tuple[Withheld, ...]
    transformed: tuple[Transformed, ...]
    bytes: int = 0
    payload_sha256: str = ""

    def sealed(self, *, id: str, body: _Body) -> Manifest:
        """The manifest of one attempt: its id, and the size and SHA-256 of the bytes sent."""
        return self.model_copy(
            update={
                "id": id,
                "bytes": len(body),
                "payload_sha256": hashlib.sha256(body).hexdigest(),
            }
        )


def withheld_rows(refusals: Mapping[Refusal, int]) -> tuple[Withheld, ...]:
    """Rows in a fixed order."""
    return tuple(
        Withheld(path=path, count=count, reason=reason, rule=rule)
        for (path, reason, rule), count in sorted(refusals.items())
        if count
    )


def transformed_rows(transforms: Iterable[tuple[str, str]]) -> tuple[Transformed, ...]:
    """Rows in a fixed order, each once."""
    return tuple(Transformed(path=path, transform=name) for path, name in sorted(set(transforms)))


# Elements that FHIR defines as BackboneElements: they hold elements of their own, so that their
# children are what the manifest names.
BACKBONES = frozenset(
    {"component", "referenceRange", "series", "hospitalization", "content", "address"}
)


def payload_paths(payload: Mapping[str, Any]) -> tuple[str, ...]:
    """Every element path in a payload, ``Type.element`` or ``Type.backbone.element``, sorted.

    An element of which only a mark is there is named as what it is: ``Type.element.extension``.
    """
    return tuple(sorted(payload_counts(payload)))


def payload_counts(payload: Mapping[str, Any]) -> Counter[str]:
    """How often each of these paths is in a payload."""
    found: Counter[str] = Counter()
    for entry in payload.get("entry", ()):
        resource = entry["resource"]
        kind = resource["resourceType"]
        for name, value in resource.items():
            if name == "resourceType":
                continue
            if name not in BACKBONES:
                found[f"{kind}.{_named(name, value)}"] += 1
                continue
            for item in value if isinstance(value, list) else [value]:
                found.update(f"{kind}.{name}.{_named(child, item[child])}" for child in item)
    return found


def _named(name: str, value: Any) -> str:
    """The path of one member. ``_status`` holds the extension of the primitive ``status``."""
    if isinstance(value, dict) and value.keys() == {"extension"}:
        return f"{name.removeprefix('_')}.extension"
    return name
