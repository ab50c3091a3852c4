"""Who may read the record: two roles, everywhere or at their own site."""

from __future__ import annotations

from careweir.access.actor import Actor
from careweir.errors import AccessDenied

READERS = frozenset({"auditor", "privacy-officer"})


def check_reader(actor: Actor) -> None:
    """Raise AccessDenied unless the actor's role may read the record."""
    if actor.role not in READERS:
        raise AccessDenied("reading the audit trail needs the role auditor or privacy-officer")
