"""Who asks: the human or engine behind a token, as far as a decision needs it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """The asker of one request, read from a verified token; nothing here comes from the body.

    ``subject`` is the person or service, ``client`` the application, ``purposes`` the purposes of
    use that the token carries (HL7 v3 codes). ``break_glass`` is the reason given for an emergency
    override, or None.
    """

    subject: str
    client: str
    role: str
    site: str | None
    purposes: frozenset[str]
    scopes: frozenset[str]
    name: str | None = None
    jti: str | None = None
    break_glass: str | None = None
