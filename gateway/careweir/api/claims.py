"""From the claims of a token that holds to who asks. Pure.

A claim of another type than it must have refuses the token: a site that cannot be read must never
become "any site". A claim that is null is a claim that is not there.

Source: RFC 9068 (claims of access tokens), IHE IUA 2.4 (``extensions.ihe_iua``), RFC 8705 and
RFC 9449 (``cnf``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from careweir.access import Actor
from careweir.errors import NotAuthenticated

TEXT_MAX: Final = 200
NUMBER_MAX: Final = 2**40  # seconds of the epoch
_IUA: Final = "ihe_iua"
_ACT_REASON: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
Claims = Mapping[str, Any]


def seconds(claims: Claims, name: str) -> int | None:
    """A time of a token, in whole seconds of the epoch; None where there is none."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < NUMBER_MAX:
        raise NotAuthenticated("a time in the token is not a number")
    return int(value)


def actor_of(claims: Claims) -> Actor:
    """Read the rights; one role only, a token with two is refused rather than guessed at."""
    subject, client = _text(claims, "sub"), _client(claims)
    if subject is None or client is None:
        raise NotAuthenticated("the token must name a subject and a client application")
    _check_kind(claims)
    iua = _object(_object(claims, "extensions"), _IUA)
    roles = _agreed(_codes(claims, "role"), _codes(iua, "subject_role"))
    if len(roles) != 1:
        raise NotAuthenticated("the token must carry exactly one role")
    purposes = _agreed(_codes(claims, "purposes"), _codes(iua, "purpose_of_use", _ACT_REASON))
    return Actor(
        subject=subject,
        client=client,
        role=roles[0],
        site=_text(claims, "site"),
        purposes=frozenset(purposes),
        scopes=_scopes(claims),
        name=_text(iua, "subject_name"),
        jti=_text(claims, "jti"),
        break_glass=_text(claims, "break_glass_reason"),
    )


def _check_kind(claims: Claims) -> None:
    """A token that is bound to a key that nobody shows, or is no access token at all."""
    if claims.get("cnf") is not None:
        raise NotAuthenticated("the token is bound to a proof that is not checked here")
    if claims.get("typ") not in (None, "Bearer", "JWT", "at+jwt"):
        raise NotAuthenticated("this is no access token")
    if claims.get("at_hash") is not None:  # stands in an OpenID Connect ID token only
        raise NotAuthenticated("this is no access token")


def _client(claims: Claims) -> str | None:
    """``client_id``, or ``azp`` where an issuer says it so; they must not differ."""
    named, authorised = _text(claims, "client_id"), _text(claims, "azp")
    if named is not None and authorised is not None and named != authorised:
        raise NotAuthenticated("the token names two client applications")
    return named or authorised


def _text(claims: Claims, name: str) -> str | None:
    value = claims.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= TEXT_MAX or not value.isprintable():
        raise NotAuthenticated("a claim of the token is not of its type")
    return value


def _object(claims: Claims, name: str) -> Claims:
    value = claims.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise NotAuthenticated("a claim of the token is not of its type")
    return value


def _scopes(claims: Claims) -> frozenset[str]:
    """``scope`` with spaces between, or a list of texts."""
    value = claims.get("scope")
    words = value.split(" ") if isinstance(value, str) else [] if value is None else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise NotAuthenticated("a claim of the token is not of its type")
    return frozenset(word for word in words if word)


def _codes(claims: Claims, name: str, system: str | None = None) -> list[str]:
    """A code, a list of codes, or a list of FHIR Codings (IUA), of one code system if named."""
    value = claims.get(name)
    items = [] if value is None else value if isinstance(value, list) else [value]
    codes: list[str] = []
    for item in items:
        coding = item if isinstance(item, dict) else {"code": item}
        code = _text(coding, "code")
        if code is None:
            raise NotAuthenticated("a claim of the token is not of its type")
        if system is None or coding.get("system") in (None, system):
            codes.append(code)
    return codes


def _agreed(said: list[str], iua: list[str]) -> list[str]:
    """What both ways to say it say; where both are there they must be the same."""
    if said and iua and set(said) != set(iua):
        raise NotAuthenticated("the token says two things about its rights")
    return said or iua
