"""What a database must do for the state. Two backends keep this; one contract test asks both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from careweir.state.record import Find, Row

SCHEMA_VERSION = 2

Tags = Mapping[str, str]


class Held(NamedTuple):
    """A row with its tags, as read."""

    row: Row
    tags: Tags


class Backend(Protocol):
    """Moves rows; knows nothing of keys or of what a body means.

    Every method raises ``StateUnavailable`` when the database cannot do it now, and may be called
    again later. Each change is durable when its call returns, and whole or not made at all.
    """

    async def start(self) -> None:
        """Connect and bring the schema up to date.

        Raises ConfigInvalid when the schema is newer than this program knows.
        """
        ...

    async def insert(self, row: Row, tags: Tags, *, now_us: int) -> bool:
        """Insert a row unless its key is taken by one that has not expired at ``now_us``."""
        ...

    async def replace(self, row: Row, tags: Tags, *, expected: int) -> bool:
        """Put ``row`` where version ``expected`` stands; False when another version does."""
        ...

    async def get(self, kind: str, key: str) -> Held | None:
        """The row of a key, expired or not."""
        ...

    async def find(self, find: Find) -> list[Held]:
        """The rows that match and have not expired, by creation time and key."""
        ...

    async def delete(self, kind: str, key: str) -> bool:
        """Remove a row; False when there is none."""
        ...

    async def purge(self, now_us: int) -> int:
        """Remove what has expired; how many rows."""
        ...

    async def now_us(self) -> int:
        """The database's clock: the one that all replicas share."""
        ...

    async def close(self) -> None:
        """Let go of everything; never raises."""
        ...
