"""Keys that follow keys: an entry ``key`` announces the new one, and a verifier follows it.

A new signing key is announced in a note that both keys sign, so whoever trusts the old public key
can trust the new one without being told. A MAC key has an id only; a writer keeps one MAC key for
its whole life and names it in its ``open`` entry, and a writer that begins after the announcement
may not use the key that was replaced.

    careweir-audit key
    old: careweir-audit+0a1b2c3d+AX…
    new: careweir-audit+4e5f6a7b+AQ…

    — careweir-audit …      by the old key
    — careweir-audit …      by the new key
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from careweir.audit.entry import Entry
from careweir.audit.keys import mac_id
from careweir.audit.note import NoteInvalid, Signer, VerifierKey, signed_text

SIGNING, MAC = "signing", "mac"
_TITLE = "careweir-audit key"


def announced_signer(old: Signer, new: Signer) -> Entry:
    """The entry that announces a new signing key, signed by both."""
    text = f"{_TITLE}\nold: {old.key}\nnew: {new.key}\n"
    note = old.sign_text(text) + new.line_under(text)
    body = {"which": SIGNING, "old": str(old.key), "new": str(new.key), "note": note}
    return Entry("key", body, outcome="announced")


def announced_mac(old: bytes, new: bytes) -> Entry:
    """The entry that announces a new MAC key, by its id."""
    body = {"which": MAC, "old": mac_id(old), "new": mac_id(new)}
    return Entry("key", body, outcome="announced")


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a ``key`` entry says: a new signing key that holds, or a MAC key that was replaced."""

    signing: VerifierKey | None = None
    retired_mac: str | None = None


def announcement(what: Mapping[str, Any], trusted: Sequence[VerifierKey]) -> Announcement:
    """Read a ``key`` entry's body; NoteInvalid if nobody whom we trust vouches for its key."""
    if what.get("which") == MAC:
        return Announcement(retired_mac=str(what.get("old")))
    new = VerifierKey.parse(str(what.get("new")))
    text, signed = signed_text(str(what.get("note")), [*trusted, new])
    told = f"{_TITLE}\nold: {what.get('old')}\nnew: {new}\n"
    if text != told or new not in signed or not any(key in trusted for key in signed):
        raise NoteInvalid("nobody who is trusted vouches for this key")
    return Announcement(signing=new)
