"""The policy in force: replaced whole or not at all.

A broken policy never replaces a working one: the old revision stays in force and the refusal is
kept as an alarm until a reload succeeds. A request takes ``current`` once and keeps it to its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from careweir.access.policy import PolicySet
from careweir.errors import PolicyInvalid


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload did. ``alarm`` names file, line and rule of a policy that was refused."""

    before: str
    after: str
    alarm: str | None

    @property
    def changed(self) -> bool:
        """True when another revision is now in force."""
        return self.before != self.after


class PolicyKeeper:
    """Holds the policy in force. The first load must succeed: it raises PolicyInvalid."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._current = PolicySet.load(directory)
        self._alarm: str | None = None

    @property
    def current(self) -> PolicySet:
        """The policy in force; immutable, so a request may keep it."""
        return self._current

    @property
    def alarm(self) -> str | None:
        """Why the policy on disk is not the one in force, or None."""
        return self._alarm

    def reload(self) -> Reloaded:
        """Read the directory again. Never raises for a faulty policy."""
        before = self._current.revision
        try:
            self._current = PolicySet.load(self._directory)
            self._alarm = None
        except PolicyInvalid as refused:
            self._alarm = str(refused)
        return Reloaded(before=before, after=self._current.revision, alarm=self._alarm)
