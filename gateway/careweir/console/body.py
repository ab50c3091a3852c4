"""Read members out of an entry's body, which is JSON of any age: what is not there is empty."""

from __future__ import annotations

from collections.abc import Mapping

from careweir.audit import JSON

Body = Mapping[str, JSON]


def text(body: Body, name: str) -> str:
    """A text, or ``""``."""
    value = body.get(name)
    return value if isinstance(value, str) else ""


def number(body: Body, name: str) -> int:
    """A whole number, or 0."""
    value = body.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def mapping(body: Body, name: str) -> Body:
    """An object, or an empty one."""
    value = body.get(name)
    return value if isinstance(value, Mapping) else {}


def mappings(body: Body, name: str) -> list[Body]:
    """The objects of a list."""
    return [item for item in _items(body, name) if isinstance(item, Mapping)]


def texts(body: Body, name: str) -> list[str]:
    """The texts of a list."""
    return [item for item in _items(body, name) if isinstance(item, str)]


def _items(body: Body, name: str) -> list[JSON]:
    value = body.get(name)
    return list(value) if isinstance(value, (list, tuple)) else []
