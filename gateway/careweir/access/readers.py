"""Who may read the record: two roles with a scope, everywhere or at their own site."""

from __future__ import annotations

from typing import Final

from careweir.access.actor import Actor
from careweir.access.scopes import opens_all
from careweir.errors import AccessDenied, ScopeMissing

READERS: Final = frozenset({"auditor", "privacy-officer"})
RECORD: Final = "AuditEvent"


def check_role(actor: Actor) -> None:
    """Raise AccessDenied unless the actor's role may read the record."""
    if actor.role not in READERS:
        raise AccessDenied("reading the audit trail needs the role auditor or privacy-officer")


def check_reader(actor: Actor) -> None:
    """Raise AccessDenied unless the actor may read the whole record, of its site if it has one.

    A scope with a condition opens a part of the record, and only ``/fhir`` can tell which.
    """
    check_role(actor)
    if not reads_record(actor):
        raise ScopeMissing(f"system/{RECORD}.rs")


def reads_record(actor: Actor) -> bool:
    """May this actor read the whole record, of its site if it has one?"""
    whole = all(opens_all(actor.scopes, RECORD, right) for right in "rs")
    return actor.role in READERS and whole
