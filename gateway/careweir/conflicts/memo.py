"""Remembering what a pure look-up gave, with a bound: what is above it is computed each time."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")
ENTRIES_MAX = 20_000


class Memo(Generic[Value]):
    """Results of one pure function by key; shared by threads without harm."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Value] = {}

    def get(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """The value of ``key``, computed at most once while there is room."""
        try:
            return self._known[key]
        except KeyError:
            value = compute()
        if len(self._known) < ENTRIES_MAX:
            self._known[key] = value
        return value
